"""One CPU: loads, stores, the GUP-fast walk with interrupts off, TLB and its shootdown."""

from __future__ import annotations

from protocol.memory import Data
from protocol.message import Done, Message, Request, Tracepoint
from protocol.mm import UserPages


class Load(Request["Loaded"], frozen=True):
    """A user-mode load of `length` bytes, all in one chunk of one page. From process."""

    mm: str
    address: int
    length: int


class Loaded(Message, frozen=True):
    """signal: "", "SIGSEGV" or "SIGBUS". Answers Load and Store (then without data)."""

    data: Data = b""
    signal: str = ""


class Store(Request[Loaded], frozen=True):
    """A user-mode store of `data`, all in one chunk of one page. From process."""

    mm: str
    address: int
    data: Data


class GetUserPagesFast(Request[UserPages], frozen=True):
    """get_user_pages_fast() / pin_user_pages_fast(): lockless walk with interrupts off, then the slow path (B1).
    Fields as in mm.GetUserPages. From drivers; runs on the CPU of the thread that called the driver."""

    mm: str
    address: int
    nr: int
    flags: int
    holder: str


class FlushTlb(Request[Done], frozen=True):
    """IPI: drop the translations of `count` pages from address `first` of `mm` (count 0: all of them). Answered when
    the handler has run: not while interrupts are off (B4). From mm."""

    mm: str
    first: int
    count: int


class IrqOff(Tracepoint, frozen=True, tag="irq:off"):
    """Interrupts went off on a CPU for `why`."""

    cpu: str
    why: str

    def say(self) -> str:
        return f"{self.cpu}: interrupts off ({self.why})"


class IrqOn(Tracepoint, frozen=True, tag="irq:on"):
    """Interrupts are on again; queued IPIs are served now."""

    cpu: str

    def say(self) -> str:
        return f"{self.cpu}: interrupts on"


class TlbFlush(Tracepoint, frozen=True, tag="tlb:flush"):
    """A CPU acknowledged a shootdown. dropped: translations that went."""

    cpu: str
    mm: str
    first: int
    count: int
    dropped: int

    def say(self) -> str:
        return f"{self.cpu} flushed {self.dropped} translation(s) of {self.mm}"


class CpuAccess(Tracepoint, frozen=True, tag="cpu:access"):
    """A load or store reached memory. cached: the translation came from the TLB, no walk was made."""

    cpu: str
    mm: str
    address: int
    pfn: int
    write: bool
    cached: bool

    def say(self) -> str:
        what = "stored to" if self.write else "loaded from"
        return f"{self.cpu} {what} {self.address:#x} of {self.mm} (page {self.pfn})"


MESSAGES: tuple[type[Message], ...] = (Load, Loaded, Store, GetUserPagesFast, FlushTlb)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (IrqOff, IrqOn, TlbFlush, CpuAccess)
