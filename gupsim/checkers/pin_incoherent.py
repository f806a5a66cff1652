"""pin-incoherent: an address came to mean another page than the one that a device has of it (W2, oracle O3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

import msgspec

from gupsim.actors.base.footprint import COMMUTE
from gupsim.checkers.ledger import GUP_KINDS
from gupsim.checkers.names import FrameKey, frame_key, host_of, without_host
from gupsim.checkers.orders import HELD, Orders, Related, looks
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.folio import FolioSplit
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.memmap import PageAlloc, PageFree, PagePut
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import Foll, PagesPinned
from gupsim.protocol.pagetable import EntryChanged
from gupsim.trace.records import Event

_Address: TypeAlias = tuple[str, str, int]
"""(host, mm, address of a page)."""

BY_USER = ("munmap", "madvise", "mremap", "move_ptes", "exit")
"""Functions that take an entry away because the process asked for it."""


def _dropped(host: str, point: PagePut) -> Related:
    """The end of a hold. That a call returned a page before or after it was replaced is all the same: it is held in
    both cases."""
    return (((HELD, host), COMMUTE),) if point.kind in GUP_KINDS else ()


class _Pin(msgspec.Struct):
    """Pages of one folio that a call obtained, `pages` of them from address and frame on. holder: without its host.
    let_go: addresses that the process itself took away. told: reported once."""

    at: _Address
    pfn: int
    pages: int
    holder: str
    flags: int
    let_go: set[_Address] = msgspec.field(default_factory=set)
    told: bool = False

    def frame_at(self, at: _Address) -> int:
        """The frame that it has of an address, -1 if none."""
        number = (at[2] - self.at[2]) // PAGE_SIZE
        return self.pfn + number if at[:2] == self.at[:2] and 0 <= number < self.pages else -1


class PinIncoherent(msgspec.Struct):
    """While somebody holds a page for a device, what the kernel itself puts in its place is a violation: copy-on-write,
    collapse, migration, KSM. What the process did with its own mapping is its own affair (S30) and only counted.

    Which calls promise that: all that write, for what the device writes then is lost; read-only pins (FOLL_PIN) of
    anonymous memory; read-only long-term references of anything. Not a short FOLL_GET for reading, and not a short
    read-only pin of a file page: the page that was there at one instant is all that they promise (B1, I0).

    user_caused: pages that a process took away from under its own pin, and used again with another page.
    """

    kind: ClassVar[str] = "pin-incoherent"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        PagesPinned,
        PagePut,
        PageReplaced,
        EntryChanged,
        PageAlloc,
        PageFree,
        FolioSplit,
    )
    relates: ClassVar[Orders] = {PagePut: _dropped, PageReplaced: looks(HELD)}

    user_caused: int = 0
    pins: dict[FrameKey, list[_Pin]] = msgspec.field(default_factory=dict)
    """By the first page of the folio."""
    replaced: dict[_Address, PageReplaced] = msgspec.field(default_factory=dict)
    """What stands at an address in the place of a page that was copied."""
    orders: dict[FrameKey, int] = msgspec.field(default_factory=dict)
    """Of folios of more than one page, by their first page."""

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        kind = type(point)
        if kind is PagesPinned:
            return self._pinned(event, point)
        if kind is PageReplaced:
            return self._replaced(event, point)
        if kind is PagePut:
            self._put(event, point)
        elif kind is EntryChanged:
            self._changed(event, point)
        elif kind is PageAlloc:
            if point.order:
                self.orders[frame_key(event, point.pfn)] = point.order
        elif kind is FolioSplit:
            self._split(event, point)
        elif kind is PageFree:
            self.pins.pop(frame_key(event, point.pfn), None)
            self.orders.pop(frame_key(event, point.pfn), None)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()

    def _head(self, event: Event, pfn: int) -> FrameKey:
        host = host_of(event.actor)
        for order in set(self.orders.values()):
            head = pfn & -(1 << order)
            if self.orders.get((host, head)) == order:
                return host, head
        return host, pfn

    def _pinned(self, event: Event, point: PagesPinned) -> Iterable[Violation]:
        host = host_of(event.actor)
        holder = without_host(event, point.holder)
        flags = point.flags | (Foll.PIN if point.pin else 0)
        found = []
        address = point.address & -PAGE_SIZE
        for pfn, count in point.pfns.runs:
            pin = _Pin((host, point.mm, address), pfn, count, holder, flags)
            self.pins.setdefault(self._head(event, pfn), []).append(pin)
            broken = [moved for moved in self._replaced_in(pin) if _promised(pin, anon=moved.anon)]
            found += [self._tell(event, pin, moved) for moved in broken]
            address += count * PAGE_SIZE
        return found

    def _replaced_in(self, pin: _Pin) -> list[PageReplaced]:
        """What stands in the place of pages that a call has just obtained."""
        host, mm, address = pin.at
        if pin.pages <= len(self.replaced):
            places = ((host, mm, address + number * PAGE_SIZE) for number in range(pin.pages))
            there = [(at, self.replaced[at]) for at in places if at in self.replaced]
        else:
            there = list(self.replaced.items())
        return [moved for at, moved in there if pin.frame_at(at) == moved.old]

    def _replaced(self, event: Event, point: PageReplaced) -> Iterable[Violation]:
        at = (host_of(event.actor), point.mm, point.address)
        self.replaced[at] = point
        return [
            self._tell(event, pin, point)
            for pin in self.pins.get(self._head(event, point.old), ())
            if pin.frame_at(at) == point.old and _promised(pin, anon=point.anon)
        ]

    def _put(self, event: Event, point: PagePut) -> None:
        if point.kind not in GUP_KINDS:
            return
        key = frame_key(event, point.pfn)
        pins = self.pins.get(key)
        if not pins:
            return
        holder, left = without_host(event, point.holder), point.amount
        for pin in [pin for pin in pins if pin.holder == holder]:
            gone = min(left, pin.pages)
            left -= gone
            pin.pages -= gone
            if not pin.pages:
                pins.remove(pin)
        if not pins:
            del self.pins[key]

    def _changed(self, event: Event, point: EntryChanged) -> None:
        """An entry that stands for the old page again, or that the process itself took away."""
        at = (host_of(event.actor), point.mm, point.address)
        if point.now.startswith(("ro", "rw")):
            moved = self.replaced.get(at)
            if moved is not None and moved.old == point.pfn:
                del self.replaced[at]
            self._used_again(at, point.pfn)
        elif point.why in BY_USER:
            for pin in self.pins.get(self._head(event, point.pfn), ()):
                if pin.frame_at(at) >= 0:
                    pin.let_go.add(at)

    def _used_again(self, at: _Address, pfn: int) -> None:
        for pins in self.pins.values():
            for pin in pins:
                if at in pin.let_go and pin.frame_at(at) != pfn:
                    pin.let_go.discard(at)
                    self.user_caused += 1

    def _split(self, event: Event, point: FolioSplit) -> None:
        """Every page is a folio of its own now, and its pins with it."""
        host = host_of(event.actor)
        self.orders.pop((host, point.pfn), None)
        for pin in self.pins.pop((host, point.pfn), ()):
            for number in range(pin.pages):
                at = (*pin.at[:2], pin.at[2] + number * PAGE_SIZE)
                part = _Pin(at, pin.pfn + number, 1, pin.holder, pin.flags, pin.let_go & {at}, pin.told)
                self.pins.setdefault((host, part.pfn), []).append(part)

    def _tell(self, event: Event, pin: _Pin, moved: PageReplaced) -> Violation:
        pin.told = True
        host, mm, address = pin.at[0], moved.mm, moved.address
        call = "pin_user_pages" if pin.flags & Foll.PIN else "get_user_pages"
        what = "dropped" if moved.new < 0 else "replaced"
        by = "" if moved.new < 0 else f" by page {moved.new}"
        message = (
            f"{moved.why} {what} page {moved.old} of {mm} at {address:#x}{by} although {pin.holder}"
            f" has it ({call}): the device and the process do not mean the same page any more"
        )
        who = f"{host}/{pin.holder.partition(' ')[0].partition('#')[0]}"
        return violation(self.kind, event, message, who, pfn=moved.old)


def _promised(pin: _Pin, *, anon: bool) -> bool:
    """May the holder of this rely on it that the kernel leaves the page where it is?"""
    if pin.told:
        return False
    if pin.flags & (Foll.WRITE | Foll.LONGTERM):
        return True
    return bool(pin.flags & Foll.PIN) and anon
