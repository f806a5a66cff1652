"""What only get_user_pages and page migration ask: references on folios that may fall apart, a page that moves (B1-B3).

Addresses are in bytes, `mm` names an address space.
"""

from __future__ import annotations

from protocol.message import Message, Request, Status, Tracepoint
from protocol.mm import Mapped


class TryGrab(Request["Grabbed"], frozen=True):
    """try_get_folio() of GUP-fast (B1, P6): page_folio(), then `amount` references on that head unless its count is
    zero. Of a large folio these are two steps, and it may fall apart in between (S21). From a cpu, to memmap."""

    pfn: int
    amount: int
    holder: str


class Grabbed(Message, frozen=True):
    """The page whose count it was, -1 if the get was refused. Answers TryGrab."""

    head: int


class GrabTimes(Request["GrabbedTimes"], frozen=True):
    """`times` calls of try_grab_folio() on one page at once, as somebody who wants to make its count overflow would
    make them one by one (S15). From a driver, to memmap."""

    pfn: int
    times: int
    pin: bool
    holder: str


class GrabbedTimes(Message, frozen=True):
    """How many of them succeeded. Answers GrabTimes."""

    times: int


class MovePage(Request[Status], frozen=True):
    """migrate_pages() of one anonymous page, by NUMA balancing, compaction or move_pages(2): 0; -2 (-ENOENT) if no such
    page is there, -11 (-EAGAIN) if somebody else uses it, -12 (-ENOMEM). From process, to mm."""

    mm: str
    address: int


class MapRegisters(Request[Mapped], frozen=True):
    """mmap(2) of the registers of a device: remap_pfn_range() into a VM_PFNMAP mapping. From process, to mm."""

    mm: str
    pages: int


class PageReplaced(Tracepoint, frozen=True, tag="mm:replace"):
    """The kernel put page `new` in the place of page `old` at an address of `mm`; what it held was copied. anon: old
    was an anonymous page. why: the function that did it."""

    mm: str
    address: int
    old: int
    new: int
    anon: bool
    why: str

    def say(self) -> str:
        return f"{self.why}: {self.mm} has page {self.new} at {self.address:#x} now, page {self.old} was copied to it"


MESSAGES: tuple[type[Message], ...] = (TryGrab, Grabbed, GrabTimes, GrabbedTimes, MovePage, MapRegisters)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (PageReplaced,)
