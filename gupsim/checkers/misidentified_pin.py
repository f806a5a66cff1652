"""misidentified-pin: the kernel asked whether a page is pinned for DMA, and was told no though it is (B3).

The other error, a yes without a pin, is allowed by design and only counted (`false_positive_pins` in the metrics).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gupsim.checkers.ledger import Ledger
from gupsim.checkers.names import frame_key
from gupsim.checkers.orders import Orders
from gupsim.checkers.routing import Model
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.memmap import MaybePinnedAsked
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event


class MisidentifiedPins:
    """Compares each answer of folio_maybe_dma_pinned() with the ledger of FOLL_PIN references."""

    kind: ClassVar[str] = "misidentified-pin"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (MaybePinnedAsked,)
    relates: ClassVar[Orders] = {}
    models: ClassVar[tuple[type[Model], ...]] = (Ledger,)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        holders = self._ledger.of(frame_key(event, point.pfn))
        if point.answer or not holders.pins:
            return ()
        who = sorted({holder for holder, kind in holders.gup if kind == "pin"})
        message = (
            f"{point.by} asked whether page {point.pfn} may be pinned for DMA and was told no, but"
            f" {', '.join(who)} has {holders.pins} pin(s) on it"
        )
        return (violation(self.kind, event, message, pfn=point.pfn),)

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()
