"""starvation: a step waited longer than the scenario allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from gupsim.checkers.names import host_of
from gupsim.checkers.orders import Orders
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.process import StepBegin, StepBound, StepEnd
from gupsim.trace.records import Event

_Step: TypeAlias = tuple[str, str, int]
"""(host, thread, number)."""


class Starvation:
    """Holds the steps that have a bound (`within`) against it: by virtual time in a run, and in a search by the time of
    what they depend on, where only sleeps and timers take any. One that never ends starves too."""

    kind: ClassVar[str] = "starvation"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (StepBegin, StepBound, StepEnd, KernelBug)
    relates: ClassVar[Orders] = {}

    def __init__(self) -> None:
        self._texts: dict[_Step, str] = {}
        self._bounded: dict[_Step, tuple[Event, int]] = {}

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        if isinstance(point, KernelBug):
            # The context is dead, and what it was at is no wait.
            self._bounded = {step: had for step, had in self._bounded.items() if had[0].context != event.context}
            return ()
        step = (host_of(event.actor), point.thread, point.number)
        kind = type(point)
        if kind is StepBegin:
            self._texts[step] = point.text
        elif kind is StepBound:
            self._bounded[step] = (event, point.within)
        else:
            self._texts.pop(step, None)
            begun, within = self._bounded.pop(step, (event, 0))
            took = event.time - begun.time
            if took > within:
                message = (
                    f"step {point.number + 1} of {point.thread} ({point.text}) took {took} ns, allowed are {within}"
                )
                return (violation(self.kind, event, message),)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """What never ended."""
        for (_, thread, number), (begun, within) in self._bounded.items():
            text = self._texts[host_of(begun.actor), thread, number]
            message = f"step {number + 1} of {thread} ({text}) never ended, {within} ns are allowed"
            yield violation(self.kind, begun, message)
