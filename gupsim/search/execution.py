"""One execution, from the first choice to the end, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import msgspec


class Violation(Protocol):
    """Anything that has a kind and says in a line what happened; a checker's violations are such."""

    @property
    def kind(self) -> str: ...
    @property
    def message(self) -> str: ...


class Finding(msgspec.Struct, frozen=True):
    """A violation that the search itself sees: "deadlock", "starvation" or "actor-failed"."""

    kind: str
    message: str


class Execution(msgspec.Struct, frozen=True):
    """What a strategy gives for each execution.

    schedule: mids in the order of delivery. violations: what is wrong with it. state: the program's fingerprint of
    the world at the end. trace: tells executions apart that differ in more than the order of independent events;
    None if the strategy does not look. cut: stopped at the limit of events. blocked: given up because whatever
    could come next was explored elsewhere (a failure of the reduction).
    """

    schedule: tuple[int, ...]
    violations: tuple[Violation, ...] = ()
    state: Hashable = None
    trace: int | None = None
    cut: bool = False
    blocked: bool = False
