"""A device driver: pins user memory, programs its DMA engine, dirties and releases the pages."""

from __future__ import annotations

from gupsim.protocol.message import Done, Message, Request, Status, Tracepoint
from gupsim.protocol.pages import Pages


class PinBuffer(Request["Pinned"], frozen=True):
    """ioctl: pin `nr` pages at `address` of `mm` for the device. From process.

    flags: bits of `Foll` as the driver's author wrote them: GET or PIN choose the call; neither leaves it to rule
    `driver_call`. fast: get_user_pages_fast on `cpu` (an address). remote: get_user_pages_remote. times: how often the
    driver asks for the one page.
    """

    mm: str
    address: int
    nr: int
    flags: int
    fast: bool
    remote: bool
    cpu: str
    owner: str
    times: int = 1


class Pinned(Message, frozen=True):
    """handle of the registration (0 if none) and the number of pages in it, or a negative errno. Answers PinBuffer."""

    handle: int
    result: int


class StartDma(Request["DmaResult"], frozen=True):
    """ioctl: let the device write `data` repeated over `length` bytes into (to_memory), or read from, a pinned page.
    Answered when the device is done.

    page: index in the registration; pause_for: names that the script's director must have seen before the last
    chunk moves (timed runs only)."""

    handle: int
    page: int
    offset: int
    length: int
    to_memory: bool
    fill: int = 0
    pause_for: tuple[str, ...] = ()


class DmaResult(Message, frozen=True):
    """error: 0 or a negative errno (-9: no such registration or page); first byte moved. Answers StartDma."""

    error: int
    first: int = 0


class DirtyPages(Request[Status], frozen=True):
    """The driver marks all pages of a registration dirty. how: "lock" (set_page_dirty_lock), "nolock"
    (set_page_dirty), "raw" (SetPageDirty: the flag alone, VFIO before 5.6)."""

    handle: int
    how: str


class ReleaseBuffer(Request[Status], frozen=True):
    """ioctl: give the pages back.

    dirty: mark them dirty first (unpin_user_pages_dirty_lock, or set_page_dirty_lock and put). how: "match" (the
    partner of the call that acquired), "put" or "unpin" regardless: an unconverted error path (S31). pages: so many,
    whatever was obtained (S47)."""

    handle: int
    dirty: bool
    how: str
    pages: int | None = None


class CloseDevice(Request[Status], frozen=True):
    """The process closed the device: a sound driver releases what `owner` registered, unless a child has it open still.
    From process, at exit."""

    owner: str


class ShareDevice(Request[Done], frozen=True):
    """fork: `child` has open what `parent` had open; who closes it last lets the registrations go. From process."""

    parent: str
    child: str


class Registered(Tracepoint, frozen=True, tag="driver:register"):
    """A registration holds these pages. pins: taken with FOLL_PIN. write: the device may write to them."""

    driver: str
    handle: int
    owner: str
    pfns: Pages
    pins: bool
    write: bool = True

    def say(self) -> str:
        kind = "pins" if self.pins else "references"
        return f"{self.driver}: registration {self.handle} of {self.owner} {kind} page(s) {self.pfns.say()}"


class Released(Tracepoint, frozen=True, tag="driver:release"):
    """The driver is done with a registration. how as in ReleaseBuffer."""

    driver: str
    handle: int
    owner: str
    pfns: Pages
    how: str

    def say(self) -> str:
        return f"{self.driver}: registration {self.handle} of {self.owner} released"


MESSAGES: tuple[type[Message], ...] = (
    PinBuffer,
    Pinned,
    StartDma,
    DmaResult,
    DirtyPages,
    ReleaseBuffer,
    CloseDevice,
    ShareDevice,
)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (Registered, Released)
