"""What a run, or a check of a stored trace, came to: the one object that every report is made from."""

from __future__ import annotations

import msgspec

from gupsim.checkers.violation import Violation
from gupsim.trace.records import Header


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """header: what was run. violations: in the order in which they were seen. metrics, vmstat: by name; None where
    something never happened. events: deliveries. end_time: virtual ns. trace_sha256: of the whole trace, "" if it
    is cut off. warnings: what a person must know before believing the rest. results: of the steps that have names.
    ended_with: what the scenario says it is about, if it does, results and bytes. notes: what was not tried, and so is
    no part of the verdict. claims: those that the file makes about results, and whether this history shows them.
    cut: the trace is cut off."""

    header: Header
    violations: tuple[Violation, ...] = ()
    metrics: dict[str, int | None] = {}
    vmstat: dict[str, int] = {}
    events: int = 0
    end_time: int = 0
    trace_sha256: str = ""
    warnings: tuple[str, ...] = ()
    results: dict[str, str] = {}
    ended_with: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    claims: dict[str, bool] = {}
    cut: bool = False

    @property
    def verdict(self) -> str:
        """ "ok" or "violation"; "undecided" of a trace that is cut off."""
        if self.violations:
            return "violation"
        return "undecided" if self.cut else "ok"
