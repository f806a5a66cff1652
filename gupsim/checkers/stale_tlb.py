"""stale-tlb: a CPU used a translation after the flush or the system call that revoked it had returned (O12, R1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from msgspec.structs import replace

from gupsim.actors.base.footprint import COMMUTE, READ
from gupsim.checkers.names import FrameKey, frame_key, host_of
from gupsim.checkers.orders import LIVES, STALE, Orders, Related, needs_life
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.cpu import CpuAccess, TlbFlush, TlbSpared
from gupsim.protocol.memmap import PageAlloc, PageFree
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import MmLayout, Prot
from gupsim.protocol.pagetable import EntryChanged
from gupsim.trace.records import Event

_Place: TypeAlias = tuple[str, str, int]
"""(host, mm, page number)"""

_Cached: TypeAlias = tuple[str, str, str, int]
"""(host, cpu, mm, page number)"""


_REMEMBERED = 160
"""Events in which the story of a translation is looked for."""


def _used(host: str, point: CpuAccess) -> Related:
    """An access through a cached translation, against the return of the call that revoked it, the entry that allows it
    again, and the release of the frame. That a CPU was spared is told by that CPU."""
    if not point.cached:
        return ()
    return ((STALE, host, point.mm, point.address // PAGE_SIZE), READ), *needs_life(host, point)


def _laid_out(host: str, point: MmLayout) -> Related:
    return _pages(host, point) if point.what in ("munmap", "mprotect", "mremap", "dontneed") else ()


def _mapped(host: str, point: EntryChanged) -> Related:
    return _pages(host, point) if point.now.startswith(("ro", "rw")) else ()


def _pages(host: str, point: MmLayout | EntryChanged) -> Related:
    first = point.address // PAGE_SIZE
    return tuple(((STALE, host, point.mm, page), COMMUTE) for page in range(first, first + point.pages))


class _Revoked:
    """What an entry allowed once and does not allow now. why: the function that changed the entry; by: the system
    call that returned since, "" as long as whoever changed it may still be about to flush."""

    __slots__ = ("by", "why")

    def __init__(self, why: str) -> None:
        self.why = why
        self.by = ""


class StaleTlb:
    """Looks at accesses that made no walk. Such a one is wrong

    * if the page tables do not allow it, and a munmap, mprotect, mremap or MADV_DONTNEED returned that relies on that;
    * if its CPU was spared by a shootdown of the page since the walk, and has neither flushed nor walked again;
    * if its frame was freed since the walk (R1: a page is freed only after the flush that covers it).
    """

    kind: ClassVar[str] = "stale-tlb"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        CpuAccess, EntryChanged, MmLayout, TlbFlush, TlbSpared, PageAlloc, PageFree,
    )  # fmt: skip
    relates: ClassVar[Orders] = {
        CpuAccess: _used,
        MmLayout: _laid_out,
        EntryChanged: _mapped,
        **LIVES,
    }

    def __init__(self) -> None:
        self._entries: dict[_Place, tuple[int, bool]] = {}
        """What an entry maps as far as it is known: frame (-1: nothing), writable."""
        self._revoked: dict[_Place, dict[tuple[int, bool], _Revoked]] = {}
        """Place -> (frame, for writing only) that its entry does not allow any more."""
        self._spared: dict[_Cached, str] = {}
        self._fills: dict[_Cached, int] = {}
        """Life of the frame when the CPU walked to it."""
        self._lives: dict[FrameKey, int] = {}
        self._free: set[FrameKey] = set()
        self._recent: deque[Event] = deque(maxlen=_REMEMBERED)

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        self._recent.append(event)
        match point:
            case CpuAccess():
                return self._access(event, point)
            case EntryChanged():
                self._change(host_of(event.actor), point)
            case MmLayout():
                self._returned(host_of(event.actor), point)
            case TlbSpared():
                for cached in self._covered(event, point):
                    self._spared[cached] = point.why
            case TlbFlush():
                for cached in self._covered(event, point):
                    self._spared.pop(cached, None)
                    self._fills.pop(cached, None)
            case PageAlloc():
                for pfn in range(point.pfn, point.pfn + (1 << point.order)):
                    key = frame_key(event, pfn)
                    self._lives[key] = self._lives.get(key, 0) + 1
                    self._free.discard(key)
            case PageFree():
                self._free.update(frame_key(event, pfn) for pfn in range(point.pfn, point.pfn + (1 << point.order)))
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()

    def _access(self, event: Event, point: CpuAccess) -> Iterable[Violation]:
        host, page = host_of(event.actor), point.address // PAGE_SIZE
        cached = (host, point.cpu, point.mm, page)
        frame = frame_key(event, point.pfn)
        if not point.cached:
            self._fills[cached] = self._lives.get(frame, 0)
            self._spared.pop(cached, None)
            return ()
        why = self._wrong(cached, (host, point.mm, page), frame, point)
        if not why:
            return ()
        did = "stored to" if point.write else "loaded from"
        message = (
            f"{point.cpu} {did} page {point.pfn} at {page * PAGE_SIZE:#x} of {point.mm} through a translation that it"
            f" had cached, but {why}"
        )
        found = violation(self.kind, event, message, pfn=point.pfn)
        return (replace(found, chain=tuple(each for each in self._recent if _concerns(each, host, page, point))),)

    def _wrong(self, cached: _Cached, place: _Place, frame: FrameKey, point: CpuAccess) -> str:
        life = self._fills.get(cached)
        if frame in self._free or (life is not None and life != self._lives.get(frame, 0)):
            return "that frame was freed: nobody had waited for this CPU to forget it"
        if cached in self._spared:
            return f"a flush of it was reported complete ({self._spared[cached]}: this CPU was to catch up by itself)"
        revoked = self._revoked.get(place, {})
        for kind in ((point.pfn, False), (point.pfn, True)) if point.write else ((point.pfn, False),):
            if kind in revoked and revoked[kind].by:
                return f"{revoked[kind].by} of it has returned"
        return ""

    def _change(self, host: str, point: EntryChanged) -> None:
        there = point.now.startswith(("ro", "rw"))
        writable = point.now.startswith("rw")
        first = point.address // PAGE_SIZE
        numbers: Iterable[int] = range(point.pages)
        if point.level and not there:
            # An upper level's entry covers up to 2**27 pages; those that were never mapped have nothing to lose.
            known = (at[2] - first for at in self._entries if at[:2] == (host, point.mm))
            numbers = [number for number in known if 0 <= number < point.pages]
        for number in numbers:
            place = (host, point.mm, first + number)
            if point.now == "table" or (point.level and place not in self._entries):
                # Entries of the level below count, and those are reported when they change.
                self._entries.pop(place, None)
                if not there:
                    continue
            pfn, could_write = self._entries.get(place, (-1, False))
            now = point.pfn + number if there else -1
            self._entries[place] = (now, writable)
            revoked = self._revoked.setdefault(place, {})
            if pfn >= 0 and now != pfn:
                revoked[pfn, False] = _Revoked(point.why)
            if pfn >= 0 and could_write and (now != pfn or not writable):
                revoked[pfn, True] = _Revoked(point.why)
            revoked.pop((now, False), None)
            if writable:
                revoked.pop((now, True), None)

    def _returned(self, host: str, point: MmLayout) -> None:
        """Nobody can have allowed again meanwhile what munmap, mremap and mprotect took away; after MADV_DONTNEED
        somebody can, and somebody else take it away once more, so that only its own changes count."""
        if point.what not in ("munmap", "mprotect", "mremap", "dontneed"):
            return
        first = point.address // PAGE_SIZE
        for page in range(first, first + point.pages):
            for (_, write_only), revoked in self._revoked.get((host, point.mm, page), {}).items():
                if point.allows & (Prot.WRITE if write_only else Prot.READ):
                    continue
                if not revoked.by and (point.what != "dontneed" or revoked.why == "madvise"):
                    revoked.by = point.what

    def _covered(self, event: Event, point: TlbFlush | TlbSpared) -> list[_Cached]:
        """Translations that a CPU is known to have of a range."""
        host, first = host_of(event.actor), point.first // PAGE_SIZE
        return [
            at
            for at in self._fills
            if at[:3] == (host, point.cpu, point.mm) and (not point.count or first <= at[3] < first + point.count)
        ]


def _concerns(event: Event, host: str, page: int, access: CpuAccess) -> bool:
    """Does an event belong to the story of the translation that was used?"""
    point = event.point
    if host_of(event.actor) != host:
        return False
    if isinstance(point, (PageAlloc, PageFree)):
        return point.pfn <= access.pfn < point.pfn + (1 << point.order)
    if point.mm != access.mm:
        return False
    if isinstance(point, MmLayout):
        return point.what == "fork" or point.address <= page * PAGE_SIZE < point.address + point.pages * PAGE_SIZE
    if isinstance(point, EntryChanged):
        return point.address <= page * PAGE_SIZE < point.address + point.pages * PAGE_SIZE
    if isinstance(point, CpuAccess):
        return point.address // PAGE_SIZE == page
    return isinstance(point, (TlbFlush, TlbSpared)) and point.cpu == access.cpu
