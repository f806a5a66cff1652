"""forbidden-dma: a device wrote to a page that it was given for reading only (O1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gupsim.checkers.holds import Holds
from gupsim.checkers.names import FrameKey, frame_key, short
from gupsim.checkers.orders import Orders
from gupsim.checkers.routing import Model
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.dma import DmaAccess
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event


class ForbiddenDma:
    """A pin without FOLL_WRITE breaks no sharing: what the device writes changes a page that others may have, and that
    nobody takes for dirty. Without an IOMMU nothing stops it. Reported once for each device and frame."""

    kind: ClassVar[str] = "forbidden-dma"
    models: ClassVar[tuple[type[Model], ...]] = (Holds,)
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (DmaAccess,)
    relates: ClassVar[Orders] = {}

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._told: set[tuple[FrameKey, str]] = set()

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point: DmaAccess = event.point
        key, device = frame_key(event, point.pfn), short(point.dma)
        if not point.to_memory or (key, device) in self._told:
            return ()
        own = [hold for hold in self._holds.of(key) if hold.device == device and hold.at(event.index)]
        if not own or any(hold.write for hold in own):
            return ()
        self._told.add((key, device))
        message = f"{device} wrote to page {point.pfn}, which {own[-1].owner} gave it for reading only"
        return (violation(self.kind, event, message, pfn=point.pfn),)

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()
