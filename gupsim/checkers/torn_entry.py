"""torn-entry: get_user_pages returned a page that never stood at that address (O9: whole entries only)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gupsim.checkers.names import host_of, without_host
from gupsim.checkers.orders import Orders
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.pagetable import EntryChanged
from gupsim.trace.records import Event


class TornEntries:
    """Remembers every page that an entry ever stood for; what a walk mixed of two entries is none of them."""

    kind: ClassVar[str] = "torn-entry"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (EntryChanged, PagesPinned)
    relates: ClassVar[Orders] = {}

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], set[tuple[int, int]]] = {}
        """(host, mm) -> (address, page) of last-level entries."""
        self._leaves: dict[tuple[str, str], set[int]] = {}
        """(host, mm) -> page number minus pfn of huge leaves."""

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        space = (host_of(event.actor), point.mm)
        if type(point) is EntryChanged:
            if not point.now.startswith(("ro", "rw")):
                pass
            elif point.level:
                self._leaves.setdefault(space, set()).add(point.address // PAGE_SIZE - point.pfn)
            else:
                self._stored.setdefault(space, set()).add((point.address, point.pfn))
            return ()
        if not point.fast:
            return ()  # the slow walk looks under the page-table lock
        page = point.address // PAGE_SIZE
        found = []
        for first, count in point.pfns.runs:
            if page - first not in self._leaves.get(space, ()):
                found += [
                    self._tell(event, point, (page + number) * PAGE_SIZE, first + number)
                    for number in range(count)
                    if ((page + number) * PAGE_SIZE, first + number) not in self._stored.get(space, ())
                ]
            page += count
        return found

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()

    def _tell(self, event: Event, point: PagesPinned, address: int, pfn: int) -> Violation:
        holder = without_host(event, point.holder)
        message = (
            f"{holder} got page {pfn} for {point.mm} at {address:#x}, where no entry ever stood for it: the walk took"
            " one half of the entry before and one half after it changed"
        )
        who = f"{host_of(event.actor)}/{holder.partition(' ')[0].partition('#')[0]}"
        return violation(self.kind, event, message, who, pfn=pfn)
