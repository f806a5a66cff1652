"""kernel-bug: an assertion of the real kernel fired, or its code would have oopsed here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gupsim.checkers.orders import Orders
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event


class KernelBugs:
    """One violation for each BUG."""

    kind: ClassVar[str] = "kernel-bug"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (KernelBug,)
    relates: ClassVar[Orders] = {}

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        pfn = event.point.pfn
        return (violation(self.kind, event, event.point.say(), pfn=pfn if pfn >= 0 else None),)

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()
