"""What a search has seen so far."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from gupsim.explore.errors import ExploreFailed
from gupsim.explore.seen import Outcomes
from gupsim.explore.wire import Part, Unpacker
from gupsim.search.names import Names

ANY: Final = "*"
"""Stands for whatever kind is found first."""


class Seen(msgspec.Struct, frozen=True):
    """The violations of one kind. message, actors, schedule: of the first; the schedule as paths (see `Names`).

    executions_until_found: how many it took, it included. executions: how many show the kind.
    """

    kind: str
    message: str
    actors: tuple[str, ...]
    schedule: tuple[tuple[int, ...], ...]
    executions_until_found: int
    executions: int


class Tally(msgspec.Struct):
    """complete: every execution was seen, up to the order of independent events; `why` says why not.

    traces: different executions, 0 if the strategy does not tell them apart. redundant: executions of a trace seen
    before. blocked: executions that could not go on. events: delivered in them. depth: most in one execution. cut:
    executions that were too long. promise: what the strategy guarantees. wall_s: how long it took. outcomes: how the
    executions ended, and what was tried in them.
    """

    strategy: str
    complete: bool = False
    why: str = ""
    executions: int = 0
    traces: int = 0
    redundant: int = 0
    blocked: int = 0
    events: int = 0
    depth: int = 0
    cut: int = 0
    found: dict[str, Seen] = {}
    promise: str = ""
    wall_s: float = 0.0
    outcomes: Outcomes = msgspec.field(default_factory=Outcomes)

    def add(self, part: Part, tables: Unpacker, names: Names) -> None:
        """Enter a part of the search. names: those into which `tables` were unpacked."""
        for found in part.found:
            before = self.found.get(found.kind)
            if before is not None:
                count = before.executions + found.count
                self.found[found.kind] = msgspec.structs.replace(before, executions=count)
                continue
            self.found[found.kind] = Seen(
                found.kind,
                found.message,
                tuple(found.actors),
                tuple(names.path(tables.mids[name]) for name in found.schedule),
                self.executions + found.first + 1,
                found.count,
            )
        self.executions += part.executions
        self.blocked += part.blocked
        self.events += part.events
        self.cut += part.cut
        self.depth = max(self.depth, part.depth)
        self.outcomes.join(part.outcomes)


def enough(wanted: Collection[str], found: Collection[str]) -> bool:
    """True if all wanted kinds were found; never if none is wanted."""
    if ANY in wanted:
        return bool(found)
    return bool(wanted) and all(kind in found for kind in wanted)


def checked(error: str) -> None:
    """ExploreFailed if a job failed."""
    if error:
        raise ExploreFailed(error)
