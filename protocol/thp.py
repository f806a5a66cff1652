"""Transparent huge pages: khugepaged, collapse, split (B5). Addresses are in bytes."""

from __future__ import annotations

from gupsim.protocol.message import Done, Message, Request, Status, Tracepoint


class CollapseRange(Request[Status], frozen=True):
    """collapse_huge_page() of the huge range at `address`: 0, -11 (-EAGAIN) if a page is in use, -22 (-EINVAL) if the
    range cannot be collapsed, -12 (-ENOMEM). From khugepaged and MADV_COLLAPSE, to mm.

    advised: MADV_COLLAPSE, for which neither holes nor the rule thp_enabled matter."""

    mm: str
    address: int
    advised: bool = False


class NextHugeRange(Request["HugeRange"], frozen=True):
    """The first range at or after `address` that khugepaged may try. From khugepaged, to mm."""

    mm: str
    address: int


class HugeRange(Message, frozen=True):
    """Its address, or -1 if there is none. Answers NextHugeRange."""

    address: int


class KhugepagedEnter(Request[Done], frozen=True):
    """khugepaged_enter(): this mm has ranges for khugepaged. From mm (madvise)."""

    mm: str


class Collapse(Request[Status], frozen=True):
    """A nudge: khugepaged looks at this range next. From process."""

    mm: str
    address: int


class ScanNext(Request[Status], frozen=True):
    """khugepaged_scan_mm_slot(): khugepaged goes on with one range after the last one that it tried."""


class SplitHugePage(Request[Status], frozen=True):
    """split_huge_page(): the folio of a page, which the caller has locked and holds one reference of (`kind`).

    0, -11 (-EAGAIN) if somebody else uses it, -16 (-EBUSY) if it is under writeback or no anonymous one. From reclaim.
    """

    pfn: int
    kind: str


class Collapsed(Tracepoint, frozen=True, tag="thp:collapse"):
    """collapse_huge_page() ended. pfn: of the huge page, -1 if there is none. result: SCAN_* in lower case."""

    mm: str
    address: int
    pfn: int
    result: str

    def say(self) -> str:
        if self.pfn >= 0:
            return f"{self.mm} at {self.address:#x} is huge page {self.pfn} now"
        return f"no huge page for {self.mm} at {self.address:#x}: {self.result.replace('_', ' ')}"


class CollapseMoved(Tracepoint, frozen=True, tag="thp:copy"):
    """Collapse copied a page into the huge page and dropped the old one."""

    pfn: int
    to: int

    def say(self) -> str:
        return f"collapse copied page {self.pfn} to page {self.to}"


class SplitRefused(Tracepoint, frozen=True, tag="thp:split_refused"):
    """split_huge_page() gave up."""

    pfn: int
    why: str

    def say(self) -> str:
        return f"huge page {self.pfn} was not split: {self.why}"


MESSAGES: tuple[type[Message], ...] = (
    CollapseRange, NextHugeRange, HugeRange, KhugepagedEnter, Collapse, ScanNext, SplitHugePage,
)  # fmt: skip
TRACEPOINTS: tuple[type[Tracepoint], ...] = (Collapsed, CollapseMoved, SplitRefused)
