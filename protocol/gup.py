"""What only get_user_pages and page migration ask: references on folios that may fall apart, a page that moves (B1-B3).

Addresses are in bytes, `mm` names an address space.
"""

from __future__ import annotations

from gupsim.protocol.message import Message, Request, Status, Tracepoint
from gupsim.protocol.mm import Mapped


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


class MapDevice(Request[Mapped], frozen=True):
    """mmap(2) of the file of `driver` ("driver/gpu"). registers: remap_pfn_range() into a VM_PFNMAP mapping; else pages
    of the driver's own by vm_insert_page(). From process, to mm."""

    mm: str
    pages: int
    driver: str
    registers: bool
    shared: bool = True


class LookUpPfn(Request["FollowedPfn"], frozen=True):
    """follow_pfn() and its successors: the frame behind an address of a VM_PFNMAP mapping, without a reference. From
    drivers, to mm."""

    mm: str
    address: int
    write: bool


class FollowedPfn(Message, frozen=True):
    """The frame, or a negative errno. Answers LookUpPfn."""

    pfn: int
    error: int = 0


class PageReplaced(Tracepoint, frozen=True, tag="mm:replace"):
    """The kernel put page `new` in the place of page `old` at an address of `mm`; what it held was copied. new -1: it
    dropped the page, and what comes there next is cleared. anon: old was an anonymous page. why: who did it."""

    mm: str
    address: int
    old: int
    new: int
    anon: bool
    why: str

    def say(self) -> str:
        if self.new < 0:
            return f"{self.why}: {self.mm} has page {self.old} at {self.address:#x} no more, nor what was in it"
        return f"{self.why}: {self.mm} has page {self.new} at {self.address:#x} now, page {self.old} was copied to it"


MESSAGES: tuple[type[Message], ...] = (
    TryGrab,
    Grabbed,
    GrabTimes,
    GrabbedTimes,
    MovePage,
    MapDevice,
    LookUpPfn,
    FollowedPfn,
)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (PageReplaced,)
