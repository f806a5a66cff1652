"""Who holds how many references of which page, by kind: the refcount as its holders see it (B3, oracle O2)."""

from __future__ import annotations

from typing import ClassVar, Final

from gupsim.checkers.names import FrameKey, frame_key, without_host
from gupsim.protocol.memmap import PageFree, PageGet, PagePut
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event

GUP_KINDS = ("gup", "pin")
"""FOLL_GET and FOLL_PIN: held by drivers and direct I/O, which the rest of the kernel cannot see."""


class Holders:
    """The references of one page.

    gup: (holder, kind) -> references taken with FOLL_GET or FOLL_PIN. other: all the rest together, because a
    reference may change its kind while it is held.
    """

    __slots__ = ("gup", "other")

    def __init__(self) -> None:
        self.gup: dict[tuple[str, str], int] = {}
        self.other = 0

    def of(self, holder: str) -> int:
        """References that `holder` has with either call."""
        return sum(self.gup.get((holder, kind), 0) for kind in GUP_KINDS)

    @property
    def pins(self) -> int:
        """FOLL_PIN references of all holders."""
        return sum(amount for (_, kind), amount in self.gup.items() if kind == "pin")

    def add(self, holder: str, kind: str, amount: int) -> None:
        """References taken (amount > 0) or dropped."""
        if kind not in GUP_KINDS:
            self.other += amount
            return
        left = self.gup.get((holder, kind), 0) + amount
        if left > 0:
            self.gup[holder, kind] = left
        else:
            self.gup.pop((holder, kind), None)


_NOTHING: Final = Holders()
"""Of a page of which nothing is known; nobody adds to it."""


class Mismatch:
    """A reference was dropped with a call that is not the partner of the one that took it.

    holder, kind: of the drop. missing: how many of that kind the holder did not have. instead: how many it had of
    the other kind.
    """

    __slots__ = ("holder", "instead", "kind", "missing")

    def __init__(self, holder: str, kind: str, missing: int, instead: int) -> None:
        self.holder = holder
        self.kind = kind
        self.missing = missing
        self.instead = instead


class Ledger:
    """References of every page. Feed it what `reads` lists."""

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (PageGet, PagePut, PageFree)

    def __init__(self) -> None:
        self.pages: dict[FrameKey, Holders] = {}
        self.freed = _NOTHING
        """What the page that was freed last still had."""
        self.mismatch: Mismatch | None = None
        """What is wrong with the last put, if anything is."""

    def of(self, key: FrameKey) -> Holders:
        """The references of a page; an empty record if nothing is known."""
        return self.pages.get(key, _NOTHING)

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        kind = type(point)
        if kind is PageGet:
            self._page(event).add(without_host(event, point.holder), point.kind, point.amount)
        elif kind is PagePut:
            self.mismatch = self._put(event, point)
        elif kind is PageFree:
            self.freed = self.pages.pop(frame_key(event, point.pfn), _NOTHING)

    def _page(self, event: Event) -> Holders:
        key = frame_key(event, event.point.pfn)
        page = self.pages.get(key)
        if page is None:
            page = self.pages[key] = Holders()
        return page

    def _put(self, event: Event, point: PagePut) -> Mismatch | None:
        page = self._page(event)
        holder = without_host(event, point.holder)
        if point.kind not in GUP_KINDS:
            page.add(holder, point.kind, -point.amount)
            return None
        missing = point.amount - page.gup.get((holder, point.kind), 0)
        if missing <= 0:
            page.add(holder, point.kind, -point.amount)
            return None
        partner = "pin" if point.kind == "gup" else "gup"
        instead = page.gup.get((holder, partner), 0)
        page.gup.pop((holder, point.kind), None)
        if point.kind == "pin":
            # unpin after get: the reference is gone, and 1023 more; put after pin leaves 1023 behind.
            page.add(holder, "gup", -min(missing, instead))
        return Mismatch(holder, point.kind, missing, instead)
