"""refcount: a count left its range, a page was freed while somebody holds it, or dropped with the wrong call (O2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from gupsim.checkers.ledger import GUP_KINDS, Ledger, Mismatch
from gupsim.checkers.names import FrameKey, frame_key
from gupsim.checkers.orders import Orders
from gupsim.checkers.routing import Model
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.memmap import PIN_BIAS, Page, PageBadCount, PageFlags, PageFree, PageGet, PagePut
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event

_RESERVED: Final = int(Page.RESERVED)


class Refcounts:
    """Follows every get and put by holder and kind.

    In eras in which a pin is another name for a reference (before 5.7) both calls are traced as kind "gup", so
    that mixing them is no mismatch, as it was none there.
    """

    kind: ClassVar[str] = "refcount"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (*Ledger.reads, PageBadCount, PageFlags)
    relates: ClassVar[Orders] = {}
    models: ClassVar[tuple[type[Model], ...]] = (Ledger,)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._bad: set[tuple[FrameKey, str]] = set()
        """Pages whose count is out of range: every later put would say it again."""
        self._unmanaged: set[FrameKey] = set()
        """PG_reserved: registers of devices, of which nobody may have a reference (S24). The zero page may be taken."""

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        kind = type(point)
        if kind is PageFlags:
            if point.set & _RESERVED:
                self._unmanaged.add(frame_key(event, point.pfn))
            return ()
        if kind is PagePut:
            mismatch = self._ledger.mismatch
            if mismatch is None:
                return ()
            message = _explain(point.pfn, mismatch)
            return (violation(self.kind, event, message, _holder_address(event, mismatch.holder), pfn=point.pfn),)
        if kind is PageBadCount:
            bad = (frame_key(event, point.pfn), point.what)
            if bad in self._bad:
                return ()
            self._bad.add(bad)
            message = f"the refcount of page {point.pfn} went out of its range ({point.what}): it is {point.refs} now"
            return (violation(self.kind, event, message, pfn=point.pfn),)
        if kind is PageFree:
            return self._freed(event, point)
        if kind is PageGet and point.kind in GUP_KINDS and frame_key(event, point.pfn) in self._unmanaged:
            who = point.holder or "the kernel"
            message = f"{who} took a reference on page {point.pfn}, which is no page of memory: it has no count to keep"
            return (violation(self.kind, event, message, _holder_address(event, point.holder), pfn=point.pfn),)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """References that are left at the end are the business of pin-leak."""
        return ()

    def _freed(self, event: Event, point: PageFree) -> Iterable[Violation]:
        key = frame_key(event, point.pfn)
        self._bad.difference_update({(key, "underflow"), (key, "overflow")})
        holders = self._ledger.freed
        left = [f"{amount} {_call(kind)} reference(s) of {who}" for (who, kind), amount in sorted(holders.gup.items())]
        if holders.other > 0:
            left.append(f"{holders.other} reference(s) of the kernel itself")
        if point.maps:
            left.append(f"{point.maps} page-table mapping(s)")
        if point.pins and not holders.pins:
            left.append(f"a pin count of {point.pins}")
        if not left:
            return ()
        message = f"page {point.pfn} was freed although it still has {', '.join(left)}"
        who = [_holder_address(event, holder) for holder, _ in holders.gup]
        return (violation(self.kind, event, message, *sorted(who), pfn=point.pfn),)


def _call(kind: str) -> str:
    return "FOLL_PIN" if kind == "pin" else "FOLL_GET"


def _holder_address(event: Event, holder: str) -> str:
    """A holder is an actor, "driver/nic", perhaps with more about it: "driver/nic#3", "fs/ext4 dio of ..."."""
    name = holder.partition(" ")[0].partition("#")[0]
    return f"{event.actor.partition('/')[0]}/{name}" if name else event.actor


def _explain(pfn: int, mismatch: Mismatch) -> str:
    who, missing = mismatch.holder or "the kernel", mismatch.missing
    if mismatch.kind == "gup":
        if mismatch.instead:
            return (
                f"{who} dropped page {pfn} with put_page(), but had taken it with pin_user_pages():"
                f" {PIN_BIAS - 1} references of a small page stay behind for ever"
            )
        return f"{who} called put_page() on page {pfn} {missing} time(s) more often than it had taken it"
    if mismatch.instead:
        return (
            f"{who} dropped page {pfn} with unpin_user_page(), but had taken it with get_user_pages():"
            f" the refcount of a small page loses {PIN_BIAS} instead of 1"
        )
    return f"{who} called unpin_user_page() on page {pfn} {missing} time(s) more often than it had pinned it"
