"""pin-incoherent: an address came to mean another page than the one that a device has of it (W2, oracle O3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

import msgspec

from gupsim.checkers.ledger import GUP_KINDS
from gupsim.checkers.names import FrameKey, frame_key, host_of, without_host
from gupsim.checkers.violation import Violation, violation
from gupsim.trace.records import Event
from protocol.folio import FolioSplit
from protocol.gup import PageReplaced
from protocol.memmap import PageAlloc, PageFree, PagePut
from protocol.memory import PAGE_SIZE
from protocol.message import Tracepoint
from protocol.mm import Foll, PagesPinned
from protocol.pagetable import EntryChanged

_Address: TypeAlias = tuple[str, str, int]
"""(host, mm, address of a page)."""

BY_USER = ("munmap", "madvise", "mremap", "move_ptes", "exit")
"""Functions that take an entry away because the process asked for it."""


class _Pin(msgspec.Struct):
    """One page that a call obtained. holder: without its host. told: reported once."""

    at: _Address
    pfn: int
    head: int
    holder: str
    flags: int
    let_go: bool = False
    told: bool = False


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

    user_caused: int = 0
    pins: dict[FrameKey, list[_Pin]] = msgspec.field(default_factory=dict)
    """By the first page of the folio."""
    replaced: dict[_Address, PageReplaced] = msgspec.field(default_factory=dict)
    """What stands at an address in the place of a page that was copied."""
    orders: dict[FrameKey, int] = msgspec.field(default_factory=dict)

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
                self.orders.update(
                    (frame_key(event, pfn), point.order) for pfn in range(point.pfn, point.pfn + (1 << point.order))
                )
        elif kind is FolioSplit:
            self._split(event, point)
        elif kind is PageFree:
            self.pins.pop(frame_key(event, point.pfn), None)
            if point.order:
                for pfn in range(point.pfn, point.pfn + (1 << point.order)):
                    self.orders.pop(frame_key(event, pfn), None)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()

    def _head(self, event: Event, pfn: int) -> FrameKey:
        return host_of(event.actor), pfn & -(1 << self.orders.get(frame_key(event, pfn), 0))

    def _pinned(self, event: Event, point: PagesPinned) -> Iterable[Violation]:
        host = host_of(event.actor)
        holder = without_host(event, point.holder)
        found = []
        for number, pfn in enumerate(point.pfns):
            key = self._head(event, pfn)
            at = (host, point.mm, (point.address & -PAGE_SIZE) + number * PAGE_SIZE)
            pin = _Pin(at, pfn, key[1], holder, point.flags | (Foll.PIN if point.pin else 0))
            self.pins.setdefault(key, []).append(pin)
            moved = self.replaced.get(at)
            if moved is not None and moved.old == pfn and _promised(pin, anon=moved.anon):
                found.append(self._tell(event, pin, moved))
        return found

    def _replaced(self, event: Event, point: PageReplaced) -> Iterable[Violation]:
        at = (host_of(event.actor), point.mm, point.address)
        self.replaced[at] = point
        return [
            self._tell(event, pin, point)
            for pin in self.pins.get(self._head(event, point.old), ())
            if pin.at == at and pin.pfn == point.old and _promised(pin, anon=point.anon)
        ]

    def _put(self, event: Event, point: PagePut) -> None:
        if point.kind not in GUP_KINDS:
            return
        key = frame_key(event, point.pfn)
        pins = self.pins.get(key)
        if not pins:
            return
        holder = without_host(event, point.holder)
        for pin in [pin for pin in pins if pin.holder == holder][: point.amount]:
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
                pin.let_go |= pin.at == at

    def _used_again(self, at: _Address, pfn: int) -> None:
        for pins in self.pins.values():
            for pin in pins:
                if pin.let_go and pin.at == at and pin.pfn != pfn:
                    pin.let_go = False
                    self.user_caused += 1

    def _split(self, event: Event, point: FolioSplit) -> None:
        """Every page is a folio of its own now, and its pins with it."""
        host = host_of(event.actor)
        for pfn in range(point.pfn, point.pfn + (1 << point.order)):
            self.orders.pop((host, pfn), None)
        for pin in self.pins.pop((host, point.pfn), ()):
            self.pins.setdefault((host, pin.pfn), []).append(pin)

    def _tell(self, event: Event, pin: _Pin, moved: PageReplaced) -> Violation:
        pin.told = True
        host, mm, address = pin.at
        call = "pin_user_pages" if pin.flags & Foll.PIN else "get_user_pages"
        message = (
            f"{moved.why} replaced page {moved.old} of {mm} at {address:#x} by page {moved.new} although {pin.holder}"
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
