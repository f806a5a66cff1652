"""One CPU: loads, stores, the GUP-fast walk with interrupts off, TLB and its shootdown."""

from __future__ import annotations

from gupsim.protocol.memory import Data
from gupsim.protocol.message import Done, Flag, Message, Request, Tracepoint
from gupsim.protocol.mm import UserPages


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
    """Drop the translations of `count` pages from address `first` of `mm` (count 0: all of them). An IPI is answered
    when its handler has run, not while interrupts are off; an invalidation by broadcast, when no instruction is in
    flight (B4). From mm.

    generation: of the mm, which this flush brings the CPU to; 0 if the platform does not count flushes.
    freed_tables: page tables go as well, so that a CPU in lazy mode is not spared."""

    mm: str
    first: int
    count: int
    generation: int = 0
    freed_tables: bool = False


class Quiesce(Request[Done], frozen=True):
    """RCU-sched: answered when the CPU has interrupts on, or is idle. From mm, whose call_rcu() waits for all CPUs."""


class SyncIpi(Request[Done], frozen=True):
    """smp_call_function() with an empty handler: answered once interrupts are on. From mm."""


class EnterLazy(Request[Done], frozen=True):
    """enter_lazy_tlb(): the CPU runs a kernel thread on the borrowed `mm`, until a thread of a process needs it again.

    address: its MMU walks ahead to this one meanwhile, as it may at any time; -1: it does not. From process."""

    mm: str
    address: int = -1


class PreemptVcpu(Request[Flag], frozen=True):
    """The hypervisor takes the CPU from the guest, between two instructions, interrupts off or not. No: there is no
    hypervisor. From process."""


class ResumeVcpu(Request[Flag], frozen=True):
    """The hypervisor lets the CPU run again."""


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
    """A CPU flushed, at a shootdown or when it caught up. count 0: all of the mm. dropped: translations that went."""

    cpu: str
    mm: str
    first: int
    count: int
    dropped: int

    def say(self) -> str:
        return f"{self.cpu} flushed {self.dropped} translation(s) of {self.mm}"


class TlbSpared(Tracepoint, frozen=True, tag="tlb:spared"):
    """A CPU was told of a shootdown, or looked at, and kept its translations for the time being; the initiator goes
    on. why: "lazy", "preempted", "another mm"."""

    cpu: str
    mm: str
    first: int
    count: int
    why: str

    def say(self) -> str:
        return f"{self.cpu} keeps its translations of {self.mm} for now: {_SPARED[self.why]}"


_SPARED = {
    "lazy": "it runs a kernel thread on a borrowed mm",
    "preempted": "the virtual CPU does not run, and will flush when it does",
    "another mm": "it has another mm loaded",
}


class LazyMode(Tracepoint, frozen=True, tag="tlb:lazy"):
    """A CPU borrows `mm` for a kernel thread, or (`on` False) runs a thread of it again. missed: shootdowns."""

    cpu: str
    mm: str
    on: bool
    missed: int = 0

    def say(self) -> str:
        if self.on:
            return f"{self.cpu} goes lazy: a kernel thread borrows {self.mm}"
        return f"{self.cpu} returns to {self.mm}, {self.missed} shootdown(s) behind"


class VcpuState(Tracepoint, frozen=True, tag="vcpu:run"):
    """The hypervisor took a virtual CPU from the guest (`running` False) or gave it back."""

    cpu: str
    running: bool

    def say(self) -> str:
        return f"{self.cpu} {'runs again' if self.running else 'is preempted by the hypervisor'}"


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


MESSAGES: tuple[type[Message], ...] = (
    Load, Loaded, Store, GetUserPagesFast, FlushTlb, Quiesce, SyncIpi, EnterLazy, PreemptVcpu, ResumeVcpu,
)  # fmt: skip
TRACEPOINTS: tuple[type[Tracepoint], ...] = (IrqOff, IrqOn, TlbFlush, TlbSpared, LazyMode, VcpuState, CpuAccess)
