"""When a device may touch which frame, by its driver's own account: from driver:register to driver:release.

Direct I/O registers nothing; there the references themselves count.
"""

from __future__ import annotations

from typing import ClassVar

from gupsim.checkers.ledger import GUP_KINDS
from gupsim.checkers.names import FrameKey, frame_key, host_of, short, without_host
from gupsim.trace.records import Event
from protocol.driver import Registered, Released
from protocol.memmap import PageFree, PageGet, PagePut
from protocol.message import Tracepoint

_REMEMBERED = 32
"""Ended holds remembered per frame: an fsync asks for the time at which it began."""


class Hold:
    """Somebody holds a frame for a device. start, end: indices of events; end -1: still.

    device: name of the driver without its kind, "nic"; "" for direct I/O. handle, owner: of the registration.
    """

    __slots__ = ("device", "end", "handle", "owner", "start")

    def __init__(self, device: str, handle: int, owner: str, start: int) -> None:
        self.device = device
        self.handle = handle
        self.owner = owner
        self.start = start
        self.end = -1

    def at(self, index: int) -> bool:
        """Was it held when event `index` happened?"""
        return self.start < index and (self.end < 0 or self.end > index)


class Holds:
    """The holds of every frame. Feed it what `reads` lists."""

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (Registered, Released, PageGet, PagePut, PageFree)

    def __init__(self) -> None:
        self.frames: dict[FrameKey, list[Hold]] = {}
        self._drivers: set[tuple[str, str]] = set()

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        kind = type(point)
        if kind is Registered:
            device = short(point.driver)
            self._drivers.add((host_of(event.actor), device))
            for pfn in point.pfns:
                hold = Hold(device, point.handle, point.owner, event.index)
                self._of(frame_key(event, pfn)).append(hold)
        elif kind is Released:
            for pfn in point.pfns:
                self._end(event, pfn, short(point.driver), point.handle)
        elif kind is PageGet:
            if point.kind in GUP_KINDS and not self._by_driver(event, point.holder):
                hold = Hold("", 0, point.holder, event.index)
                self._of(frame_key(event, point.pfn)).append(hold)
        elif kind is PagePut:
            if point.kind in GUP_KINDS and not self._by_driver(event, point.holder):
                self._end(event, point.pfn, "", 0, point.holder)
        elif kind is PageFree:
            for pfn in range(point.pfn, point.pfn + (1 << point.order)):
                self.frames.pop(frame_key(event, pfn), None)

    def by(self, key: FrameKey, writer: str, index: int) -> bool:
        """Was the frame held at event `index` for the device `writer` ("dma/nic")? A device whose driver never
        registered this frame is given the benefit of any hold: names need not correspond."""
        holds = self.frames.get(key, ())
        device = short(writer)
        own = [hold for hold in holds if hold.device == device]
        return any(hold.at(index) for hold in own or holds)

    def _of(self, key: FrameKey) -> list[Hold]:
        holds = self.frames.setdefault(key, [])
        if len(holds) >= _REMEMBERED:
            holds[:] = [hold for hold in holds if hold.end < 0] or holds[-1:]
        return holds

    def _by_driver(self, event: Event, holder: str) -> bool:
        name = without_host(event, holder)
        return name.startswith("driver/") or (host_of(event.actor), short(name)) in self._drivers

    def _end(self, event: Event, pfn: int, device: str, handle: int, owner: str | None = None) -> None:
        for hold in self.frames.get(frame_key(event, pfn), ()):
            same = hold.device == device and hold.handle == handle and owner in (None, hold.owner)
            if same and hold.end < 0:
                hold.end = event.index
                return
