"""dma-use-after-free: a device touched a frame after it was freed, or while it belongs to somebody else (O1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final

from gupsim.actors.base.footprint import READ
from gupsim.checkers.names import FrameKey, frame_key, host_of, short
from gupsim.checkers.orders import LIFE, LIVES, Orders, Related, needs_life
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.dma import DmaAccess, DmaEnd, DmaStart
from gupsim.protocol.driver import Registered
from gupsim.protocol.memmap import PageAlloc, PageFree
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.pages import Pages
from gupsim.trace.records import Event

_REMEMBERED: Final = 64
"""Registrations remembered per device."""


def _registered(host: str, point: Registered) -> Related:
    """The driver has the frames of this moment, a folio each."""
    return tuple(((LIFE, host, first), READ) for first, _ in point.pfns.runs)


class DmaUseAfterFree:
    """Compares the life of a frame at each DMA access with its life when the driver of the device got it, or, of one
    that no driver registered, when the operation was programmed.

    Each operation is reported once, at its first bad access.
    """

    kind: ClassVar[str] = "dma-use-after-free"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        PageAlloc,
        PageFree,
        Registered,
        DmaStart,
        DmaAccess,
        DmaEnd,
    )
    relates: ClassVar[Orders] = {Registered: _registered, DmaStart: needs_life, DmaAccess: needs_life, **LIVES}

    def __init__(self) -> None:
        self._lives: dict[FrameKey, int] = {}
        """The event at which a frame was allocated last."""
        self._free: set[FrameKey] = set()
        self._owners: dict[FrameKey, str] = {}
        self._operations: dict[tuple[str, str, int], int] = {}
        """Of each operation the last event at which its frame may have been allocated; -1: reported."""
        self._buffers: dict[tuple[str, str], deque[tuple[Pages, int]]] = {}
        """What the driver of a device registered, and when."""

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        kind = type(point)
        if kind is PageAlloc:
            for pfn in range(point.pfn, point.pfn + (1 << point.order)):
                key = frame_key(event, pfn)
                self._lives[key] = event.index
                self._owners[key] = point.owner
                self._free.discard(key)
        elif kind is PageFree:
            self._free.update(frame_key(event, pfn) for pfn in range(point.pfn, point.pfn + (1 << point.order)))
        elif kind is DmaStart:
            self._operations[self._operation(event)] = self._programmed(event, point.pfn)
        elif kind is Registered:
            buffers = self._buffers.setdefault((host_of(event.actor), short(point.driver)), deque(maxlen=_REMEMBERED))
            buffers.append((point.pfns, event.index))
        elif kind is DmaAccess:
            return self._access(event, point)
        elif kind is DmaEnd:
            self._operations.pop(self._operation(event), None)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()

    def _programmed(self, event: Event, pfn: int) -> int:
        """When the device got this frame."""
        for pages, index in reversed(self._buffers.get((host_of(event.actor), short(event.point.dma)), ())):
            if pages.holds(pfn):
                return index
        return event.index

    def _access(self, event: Event, point: DmaAccess) -> Iterable[Violation]:
        operation = self._operation(event)
        got = self._operations.get(operation, -1)
        key = frame_key(event, point.pfn)
        reused = self._lives.get(key, 0) > got
        if got < 0 or not (reused or key in self._free):
            return ()
        self._operations[operation] = -1
        what = "wrote to" if point.to_memory else "read from"
        now = "is free" if key in self._free else f"was freed and belongs to {self._owners[key]!r} by now"
        message = (
            f"{short(point.dma)} {what} page {point.pfn} (DMA {point.operation}), which {now}: the frame was given"
            " back while the device still had its address"
        )
        return (violation(self.kind, event, message, pfn=point.pfn),)

    @staticmethod
    def _operation(event: Event) -> tuple[str, str, int]:
        return host_of(event.actor), short(event.point.dma), event.point.operation
