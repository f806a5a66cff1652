"""The story of a page: what the tracepoints told about it, from its pin to the violation, without the noise."""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec.structs import replace

from gupsim.checkers.ledger import GUP_KINDS
from gupsim.checkers.names import FrameKey, host_of
from gupsim.checkers.violation import Violation
from gupsim.protocol.block import BlockChecksum, BlockRead, BlockWrite
from gupsim.protocol.cpu import CpuAccess, IrqOff, IrqOn, TlbFlush
from gupsim.protocol.dma import DmaAccess, DmaEnd, DmaStart
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.engine import LockContended, LockGranted, LockReleased, Stuck
from gupsim.protocol.flusher import WritebackBounce, WritebackEnd, WritebackSkip, WritebackStart
from gupsim.protocol.fs import (
    BuffersAttached,
    BuffersReleased,
    CacheDrop,
    DiscardDirty,
    PageMkwriteDone,
    SetPageDirtyDone,
)
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.kernel import KernelBug, KernelWarning
from gupsim.protocol.memmap import Page, PageAlloc, PageBadCount, PageFlags, PageFree, PageGet, PageMapping, PagePut
from gupsim.protocol.memory import MemoryRead, MemoryWrite, MemoryZero
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import Fault, Mkclean, PagesPinned, Unmap
from gupsim.protocol.observer import FileSeen, VmstatSeen
from gupsim.protocol.pagetable import EntryChanged
from gupsim.protocol.reclaim import FreezeRefused, ReleaseBuffersDone
from gupsim.trace.records import Event

LINES = 25
"""Events in a chain."""

_REMEMBERED: Final = 160
"""Events remembered per page and overall."""

_BEFORE: Final = 8
"""How far before its pin a page's story may begin, to show the fault that made it writable."""

_MOST_FRAMES: Final = 1024
"""Frames of one tracepoint: of a larger buffer the first page of each folio stands for the others."""

_SILENT: Final = frozenset(
    (
        LockContended,
        LockGranted,
        LockReleased,
        Stuck,
        IrqOff,
        IrqOn,
        TlbFlush,
        MemoryRead,
        MemoryZero,
        FileSeen,
        VmstatSeen,
    )
)
"""Never part of a story."""

_TURNS: Final = frozenset(
    (
        PageGet, PagePut, PagesPinned, Registered, Released, DmaStart, DmaEnd, Mkclean, WritebackStart, WritebackEnd,
        WritebackSkip, WritebackBounce, BlockChecksum, BlockWrite, BuffersReleased, ReleaseBuffersDone, FreezeRefused,
        Unmap, SetPageDirtyDone, PageMkwriteDone, DiscardDirty, CacheDrop, KernelBug, KernelWarning, PageAlloc,
        PageFree, PageBadCount, PageReplaced,
    )
)  # fmt: skip
"""The turns of a story: the last to be left out when it is too long."""

_STATE: Final = int(Page.DIRTY | Page.WRITEBACK | Page.PRIVATE | Page.SWAPCACHE | Page.ANON_EXCLUSIVE)
"""Flags whose changes matter to who may do what with a page."""


def is_noise(point: Tracepoint) -> bool:
    """True if nobody who reads a story misses it: lock grants, lookups, what another tracepoint says better."""
    kind = type(point)
    if kind in _SILENT:
        return True
    if isinstance(point, (PageGet, PagePut)):
        return point.kind not in GUP_KINDS
    if isinstance(point, PageFlags):
        return not (point.set | point.cleared) & _STATE
    if isinstance(point, CpuAccess):
        return not point.write
    if isinstance(point, MemoryWrite):
        # A store, a DMA access and a disk's read are tracepoints of their own.
        return point.by.startswith(("cpu/", "dma/", "block/"))
    return False


def frames_of(event: Event) -> tuple[int, ...]:
    """The frames that a tracepoint is about."""
    point = event.point
    pfns = getattr(point, "pfns", None)
    if pfns is not None:
        few = len(pfns) <= _MOST_FRAMES
        return tuple(dict.fromkeys(pfns if few else (first for first, _ in pfns.runs)))
    pfn = getattr(point, "pfn", -1)
    if isinstance(point, WritebackBounce):
        return (pfn, point.bounce)
    if isinstance(point, PageReplaced):
        return (point.old,) if point.new < 0 else (point.old, point.new)
    if isinstance(point, WritebackStart) and point.source != pfn:
        return (pfn, point.source)
    return (pfn,) if pfn >= 0 else ()


class _PageStory:
    __slots__ = ("events", "held", "pinned")

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=_REMEMBERED)
        self.held = 0
        self.pinned = -1


class Stories:
    """Remembers what was told about every page, and what was told last; feed it every event."""

    def __init__(self) -> None:
        self._pages: dict[FrameKey, _PageStory] = {}
        self._latest: deque[Event] = deque(maxlen=_REMEMBERED)

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        if is_noise(point):
            return
        self._latest.append(event)
        host = host_of(event.actor)
        for pfn in frames_of(event):
            page = self._pages.get((host, pfn))
            if page is None:
                page = self._pages[host, pfn] = _PageStory()
            if isinstance(point, PageAlloc):
                page.events.clear()
                page.held, page.pinned = 0, -1
            elif isinstance(point, PageGet):
                if page.held <= 0:
                    page.pinned = event.index
                page.held += point.amount
            elif isinstance(point, PagePut):
                page.held -= point.amount
            page.events.append(event)

    def tell(self, found: Violation) -> Violation:
        """The violation with its chain, unless its checker gave it one."""
        if found.chain or (found.event is None and found.pfn is None):
            return found
        chain = self._of_page(found) if found.pfn is not None else self._of_context(found)
        if found.event is not None and (not chain or chain[-1] is not found.event):
            chain = [*(event for event in chain if event is not found.event), found.event]
        return replace(found, chain=tuple(shorten(chain, LINES)))

    def _of_page(self, found: Violation) -> list[Event]:
        key = (host_of(found.actors[0]), found.pfn if found.pfn is not None else -1)
        page = self._pages.get(key)
        if page is None:
            return []
        events = list(page.events)
        start = (
            next((at for at, event in enumerate(events) if event.index >= page.pinned), 0) if page.pinned >= 0 else 0
        )
        for at in range(start - 1, max(start - 1 - _BEFORE, -1), -1):
            if isinstance(events[at].point, (Fault, PageMkwriteDone, BuffersAttached)):
                start = at
        return events[start:]

    def _of_context(self, found: Violation) -> list[Event]:
        context = found.event.context if found.event is not None else ""
        return [event for event in self._latest if event.context == context or event.actor in found.actors]


def shorten(chain: list[Event], lines: int) -> list[Event]:
    """At most `lines` events: a run of accesses by one DMA operation counts once, then side remarks go, then what is
    oldest in the middle. The first and the last event always stay."""
    kept: list[Event] = []
    for event in chain:
        if kept and _repeats(kept[-1], event):
            kept[-1] = event
        else:
            kept.append(event)
    for dull in (_is_bookkeeping, _is_side_remark):
        excess = len(kept) - lines
        if excess <= 0:
            return kept
        droppable = [event for event in kept[1:-1] if dull(event)][:excess]
        dropped = {event.index for event in droppable}
        kept = [event for event in kept if event.index not in dropped]
    if len(kept) > lines:
        kept = [*kept[:3], *kept[3 - lines :]]
    return kept


def _repeats(before: Event, event: Event) -> bool:
    first, second = before.point, event.point
    return (
        isinstance(first, DmaAccess)
        and isinstance(second, DmaAccess)
        and before.actor == event.actor
        and first.operation == second.operation
    )


def _is_bookkeeping(event: Event) -> bool:
    point = event.point
    if isinstance(point, SetPageDirtyDone):
        return point.buffers and not point.newly
    return isinstance(point, (PageMapping, PageFlags, EntryChanged, MemoryWrite, CpuAccess, BlockRead))


def _is_side_remark(event: Event) -> bool:
    return type(event.point) not in _TURNS
