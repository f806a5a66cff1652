"""When a device may touch which frame, by its driver's own account: from driver:register to driver:release.

Direct I/O registers nothing; there the references themselves count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from gupsim.checkers.ledger import GUP_KINDS
from gupsim.checkers.names import FrameKey, frame_key, host_of, short, without_host
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.memmap import PageFree, PageGet, PagePut
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.pages import Pages
from gupsim.trace.records import Event

_REMEMBERED: Final = 32
"""Ended holds remembered per frame: an fsync asks for the time at which it began."""

_LARGE: Final = 64
"""Pages of a run that is not looked up page by page."""


class Hold:
    """Somebody holds frames for a device. start, end: indices of events; end -1: still.

    device: name of the driver without its kind, "nic"; "" for direct I/O and whoever else has references. handle and
    owner are those of the registration; without one the owner is the holder. write: the device may write.
    """

    __slots__ = ("device", "end", "handle", "host", "owner", "pages", "start", "write")

    def __init__(
        self, host: str, pages: Pages, start: int, *, device: str = "", handle: int = 0, owner: str, write: bool = True
    ) -> None:
        self.host = host
        self.device = device
        self.handle = handle
        self.owner = owner
        self.start = start
        self.end = -1
        self.pages = pages
        self.write = write

    def at(self, index: int) -> bool:
        """Was it held when event `index` happened?"""
        return self.start < index and (self.end < 0 or self.end > index)


class Holds:
    """The holds of every frame. Feed it what `reads` lists."""

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (Registered, Released, PageGet, PagePut, PageFree)

    def __init__(self) -> None:
        self.frames: dict[FrameKey, list[Hold]] = {}
        self._large: list[Hold] = []
        """Those with runs that are not entered page by page."""
        self._drivers: set[tuple[str, str]] = set()
        self._registered: dict[tuple[str, str, int], Hold] = {}

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        kind = type(point)
        if kind is Registered:
            self._register(event, point)
        elif kind is Released:
            hold = self._registered.pop((host_of(event.actor), short(point.driver), point.handle), None)
            if hold is not None:
                hold.end = event.index
        elif kind is PageGet:
            if point.kind in GUP_KINDS and not self._by_driver(event, point.holder):
                host = host_of(event.actor)
                hold = Hold(host, Pages.of((point.pfn,)), event.index, owner=point.holder)
                self._enter(hold, point.pfn)
        elif kind is PagePut:
            if point.kind in GUP_KINDS and not self._by_driver(event, point.holder):
                self._end(event, point.pfn, point.holder)
        elif kind is PageFree:
            for pfn in range(point.pfn, point.pfn + (1 << point.order)) if point.order else (point.pfn,):
                self.frames.pop(frame_key(event, pfn), None)

    def of(self, key: FrameKey) -> Iterator[Hold]:
        """All that is remembered of a frame, ended or not."""
        yield from self.frames.get(key, ())
        host, pfn = key
        for hold in self._large:
            if hold.host == host and hold.pages.holds(pfn):
                yield hold

    def by(self, key: FrameKey, writer: str, index: int) -> bool:
        """Was the frame held at event `index` for the device `writer` ("dma/nic")? A device whose driver never
        registered this frame is given the benefit of any hold: names need not correspond."""
        holds = list(self.of(key))
        device = short(writer)
        own = [hold for hold in holds if hold.device == device]
        return any(hold.at(index) for hold in own or holds)

    def _register(self, event: Event, point: Registered) -> None:
        host, device = host_of(event.actor), short(point.driver)
        self._drivers.add((host, device))
        hold = Hold(
            host,
            point.pfns,
            event.index,
            device=device,
            handle=point.handle,
            owner=point.owner,
            write=point.write,
        )
        self._registered[host, device, point.handle] = hold
        large = False
        for first, count in point.pfns.runs:
            if count > _LARGE:
                large = True
                continue
            for pfn in range(first, first + count):
                self._enter(hold, pfn)
        if large:
            self._large.append(hold)

    def _enter(self, hold: Hold, pfn: int) -> None:
        holds = self.frames.setdefault((hold.host, pfn), [])
        if len(holds) >= _REMEMBERED:
            holds[:] = [each for each in holds if each.end < 0] or holds[-1:]
        holds.append(hold)

    def _by_driver(self, event: Event, holder: str) -> bool:
        name = without_host(event, holder)
        return name.startswith("driver/") or (host_of(event.actor), short(name)) in self._drivers

    def _end(self, event: Event, pfn: int, owner: str) -> None:
        for hold in self.frames.get(frame_key(event, pfn), ()):
            if not hold.device and hold.owner == owner and hold.end < 0:
                hold.end = event.index
                return
