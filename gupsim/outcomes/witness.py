"""What one execution came to, as its tracepoints tell: the result of every step, and what is there at the end."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Final

import msgspec

from gupsim.protocol.kernel import KernelWarning
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.observer import ContentSeen
from gupsim.protocol.process import StepEnd, ThreadEnd
from gupsim.scenario.claims import PLACES, same_value, split_place
from gupsim.scenario.model import Claim
from gupsim.trace.records import Event

NEVER: Final = "-"
"""In place of the result of a step that did not end."""


class Witness(msgspec.Struct, frozen=True, array_like=True):
    """results: by step, those that ended. ended: threads that got to their end. warnings: of the kernel, as "where:
    what", each once. content: by place, as "file data:0", its bytes, as "0xaa" or "0x11/0xaa" (see `ContentSeen`).
    decided: rules that decided something, in this execution or in one before it."""

    results: dict[tuple[str, int], str]
    ended: frozenset[str]
    warnings: tuple[str, ...] = ()
    content: dict[str, str] = {}
    decided: frozenset[str] = frozenset()

    def holds(self, claim: Claim, steps: dict[str, tuple[str, int]], kinds: Collection[str]) -> bool:
        """Does this execution show all of the claim? steps: by their names. kinds: of the violations in it."""
        for name, value in {**claim.result, **claim.load}.items():
            if not same_value(value, self.results.get(steps[name], NEVER)):
                return False
        for place in PLACES:
            for name, value in getattr(claim, place).items():
                if not same_value(value, self.at(place, name)):
                    return False
        warned = all(any(text in warning for warning in self.warnings) for text in claim.warning)
        return warned and all(kind in kinds for kind in claim.kind)

    def at(self, place: str, name: str) -> str:
        """The bytes at a place that a claim or a person names: "data", "data:1", "buf", "app/buf:1"."""
        owner, what, page = split_place(name)
        if place != "memory" or owner:
            owned = f"{owner}/" if owner else ""
            return self.content.get(f"{place} {owned}{what}:{page}", NEVER)
        end = f"/{what}:{page}"
        return next((seen for key, seen in self.content.items() if key.startswith(place) and key.endswith(end)), NEVER)


class WitnessReader:
    """Feed it what `reads` lists."""

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (StepEnd, ThreadEnd, KernelWarning, ContentSeen)

    def __init__(self) -> None:
        self._results: dict[tuple[str, int], str] = {}
        self._ended: set[str] = set()
        self._warnings: dict[str, None] = {}
        self._content: dict[str, str] = {}

    def feed(self, event: Event) -> None:
        """Take the next event."""
        point = event.point
        kind = type(point)
        if kind is StepEnd:
            self._results[point.thread, point.number] = point.result
        elif kind is ThreadEnd:
            self._ended.add(point.thread)
        elif kind is KernelWarning:
            self._warnings[f"{point.where}: {point.message}"] = None
        elif kind is ContentSeen:
            self._content[point.place] = point.bytes

    def witness(self, decided: frozenset[str] = frozenset()) -> Witness:
        """What was seen so far."""
        warnings = tuple(sorted(self._warnings))
        return Witness(dict(self._results), frozenset(self._ended), warnings, dict(self._content), decided)
