"""table-use-after-free: a lockless walker read a page table that was freed, or that is another one by now (O8, I2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from msgspec.structs import replace

from gupsim.checkers.names import host_of
from gupsim.checkers.orders import Orders
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.cpu import IrqOff, LazyMode, TlbFlush, TlbSpared, VcpuState
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import MmLayout
from gupsim.protocol.pagetable import EntryChanged, TableAlloc, TableFree, TableRead
from gupsim.trace.records import Event

_REMEMBERED = 24
"""Events before the read of which a violation tells."""

_HOW = {
    "rcu": "after an RCU grace period",
    "flush": "after the TLB flush",
    "sync": "after an IPI to every CPU",
    "at once": "at once",
}


class TableUseAfterFree:
    """Each read of an entry says which generation of the table page the walker believes to read, and which it is.

    Reported once for each walker and table: what it reads there after the first time is no news.
    """

    kind: ClassVar[str] = "table-use-after-free"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        TableFree, TableRead, TableAlloc, EntryChanged, MmLayout, IrqOff, TlbFlush, TlbSpared, LazyMode, VcpuState,
    )  # fmt: skip
    relates: ClassVar[Orders] = {}

    def __init__(self) -> None:
        self._freed: dict[tuple[str, int, int], str] = {}
        self._reported: set[tuple[str, str, int, int]] = set()
        self._recent: deque[Event] = deque(maxlen=_REMEMBERED)

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        host = host_of(event.actor)
        self._recent.append(event)
        if type(point) is TableFree:
            self._freed[host, point.table, point.generation] = point.how
        return self._read(event, host, point) if type(point) is TableRead else ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()

    def _read(self, event: Event, host: str, point: TableRead) -> Iterable[Violation]:
        walk = (host, point.by, point.table, point.generation)
        if point.now == point.generation or walk in self._reported:
            return ()
        self._reported.add(walk)
        how = self._freed.get((host, point.table, point.generation))
        went = f"was freed ({_HOW[how]})" if how is not None else "changed hands"
        now = f"is in use as generation {point.now} by now" if point.now else "is free"
        message = (
            f"{point.by} walks the tables of {point.mm} without a lock and reads table {point.table}, which {went}"
            f" and {now}: whatever is in there is taken for an entry"
        )
        chain = tuple(before for before in self._recent if host_of(before.actor) == host)
        return (replace(violation(self.kind, event, message), chain=chain),)
