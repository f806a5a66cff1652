"""What may interrupt a CPU, and what may not: shootdowns, quiescence, lazy mode, a hypervisor (B0, B4)."""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from gupsim.actors.base import Entity, Field, KernelActor, Port, TicketLock, WaitQueue, handles
from gupsim.actors.cpu.tlb import Tlb
from gupsim.actors.rules import KernelRules
from gupsim.actors.rules.tables import CatchUp, LazyTlb
from gupsim.actors.rules.tables import TlbFlush as FlushRule
from gupsim.protocol import pagetable
from gupsim.protocol.cpu import (
    EnterLazy,
    FlushTlb,
    IrqOff,
    IrqOn,
    LazyMode,
    PreemptVcpu,
    Quiesce,
    ResumeVcpu,
    SyncIpi,
    TlbFlush,
    TlbSpared,
    VcpuState,
)
from gupsim.protocol.message import DONE, NO, YES, Done, Flag, Request

R = TypeVar("R")


class CpuState(Entity):
    """cpu_tlbstate. loaded: the mm in CR3, "" before the first one; lazy: a kernel thread borrows it.

    preempted: the hypervisor took the CPU away; flush_owed: it flushes before anything else when it has it back."""

    loaded = Field("")
    lazy = Field(False)
    preempted = Field(False)
    flush_owed = Field(False)


class Interruptible(KernelActor):
    """Interrupts are a lock: an instruction holds it, since an interrupt comes between two instructions only (without
    that, a shootdown would overtake a store in flight: granularity.md, 3k), and a section with interrupts off holds it
    throughout. An IPI handler takes it: so the acknowledgement waits for the end of the section.

    What can come while interrupts are off, an invalidation by broadcast or the hypervisor, takes a lock that only an
    instruction holds. Where there is nothing of that kind, the first one does for both.

    levels, bits: of the page tables of this machine.
    """

    def __init__(self, address: str, port: Port, *, rules: KernelRules, levels: int, bits: int) -> None:
        super().__init__(address, port, rules=rules)
        self.name = address.removeprefix(f"{self.host}/")
        self.mm = self.at("mm")
        self.interrupts = TicketLock(self, f"interrupts of {self.name}")
        self.tlb = Tlb(self, levels, bits)
        self.state = CpuState(self, self.name)
        self._virtual = rules.tlb_flush is FlushRule.PARAVIRT
        self._broadcast = rules.tlb_flush is FlushRule.BROADCAST
        self._in_flight = TicketLock(self, f"instruction of {self.name}")
        self._resumed = WaitQueue(self, f"{self.name} to run again")
        self.instruction = _Instruction(self)

    # Shootdowns

    @handles(FlushTlb)
    async def flush_tlb(self, msg: FlushTlb) -> Done:
        """The initiator's look at this CPU, then flush_tlb_func(), or what the hardware does at a broadcast."""
        why = self._spared(msg)
        if why:
            self.trace(TlbSpared(cpu=self.name, mm=msg.mm, first=msg.first, count=msg.count, why=why))
            return DONE
        async with self._in_flight if self._broadcast else self.interrupts:
            await self._running()
            if self.state.lazy and self.state.loaded == msg.mm and not self._broadcast:
                # switch_mm_irqs_off(init_mm): nobody walks the tables of the borrowed mm from here any more.
                self.state.loaded = "init_mm"
                self.state.lazy = False
                self._flush(msg.mm, 0, 0)
                self.tlb.reached(msg.mm, msg.generation)
            else:
                self._flush_by_generation(msg)
        return DONE

    def _spared(self, msg: FlushTlb) -> str:
        """Who is not interrupted, and why: the initiator reads that in this CPU's memory and does not wait."""
        state = self.state
        if self._broadcast:
            return ""
        if self._virtual and state.preempted:
            state.flush_owed = True
            return "preempted"
        if state.loaded not in ("", msg.mm):
            return "another mm"
        if state.lazy and (not msg.freed_tables or self.rules.lazy_tlb is LazyTlb.SKIP_ALWAYS):
            return "lazy"
        return ""

    def _flush_by_generation(self, msg: FlushTlb) -> None:
        """Nothing if this generation was reached already; the range if exactly one is missing; else everything."""
        known = self.tlb.generation(msg.mm)
        if not msg.generation or not known:
            self._flush(msg.mm, msg.first, msg.count)
        elif known >= msg.generation:
            self.trace(TlbFlush(cpu=self.name, mm=msg.mm, first=msg.first, count=msg.count, dropped=0))
        elif known + 1 == msg.generation:
            self._flush(msg.mm, msg.first, msg.count)
            self.tlb.reached(msg.mm, msg.generation)
        else:
            self._flush(msg.mm, 0, 0)
            self.tlb.reached(msg.mm, msg.generation)

    def _flush(self, mm: str, first: int, count: int) -> None:
        dropped = self.tlb.flush(mm, first, count)
        self.trace(TlbFlush(cpu=self.name, mm=mm, first=first, count=count, dropped=dropped))

    @handles(SyncIpi)
    async def sync_ipi(self, msg: SyncIpi) -> Done:
        """tlb_remove_table_smp_sync(): does nothing, but only once interrupts are on."""
        async with self.interrupts:
            await self._running()
        return DONE

    @handles(Quiesce)
    async def quiesce(self, msg: Quiesce) -> Done:
        """rcu_note_context_switch(): an idle CPU is quiescent all the time, whatever its MMU does."""
        if not self.state.lazy:
            async with self.interrupts:
                await self._running()
        return DONE

    # Instructions, interrupts off, lazy mode

    async def begin_instruction(self) -> None:
        """Nothing comes in between until it ends."""
        await self.interrupts.acquire()
        if self._virtual or self._broadcast:
            await self._in_flight.acquire()
            await self._running()

    def end_instruction(self, why: type[BaseException] | None) -> None:
        """why: what ended it, if it was an exception."""
        if self._virtual or self._broadcast:
            self._in_flight.leave(why)
        self.interrupts.leave(why)

    async def irq_save(self, why: str, mm: str = "") -> None:
        """local_irq_save(), by a thread of `mm`."""
        await self.interrupts.acquire()
        await self._running()
        await self.switch_to(mm or self.state.loaded)
        self.trace(IrqOff(cpu=self.name, why=why))

    def irq_restore(self) -> None:
        """local_irq_restore(): whatever IPI waits is served now."""
        self.trace(IrqOn(cpu=self.name))
        self.interrupts.release()

    @handles(EnterLazy)
    async def enter_lazy(self, msg: EnterLazy) -> Done:
        """enter_lazy_tlb(): CR3 stays as it is."""
        async with self.interrupts:
            if self.state.loaded in ("", msg.mm):
                self.state.loaded = msg.mm
                self.state.lazy = True
                self.trace(LazyMode(cpu=self.name, mm=msg.mm, on=True))
        if msg.address >= 0:
            self.start(self.walk_ahead(msg.mm, msg.address), f"{self.host}/mmu of {self.name}")
        return DONE

    async def walk_ahead(self, mm: str, address: int) -> None:
        """A speculative walk of the MMU."""
        raise NotImplementedError

    async def switch_to(self, mm: str) -> None:
        """switch_mm_irqs_off(), interrupts off: from a kernel thread back to the mm, or from another mm to this one.

        Lazy mode ends before the look at mm.tlb_gen, as the initiator counts before it looks at lazy: one of the two
        sees the other."""
        state = self.state
        if state.loaded == mm and not state.lazy:
            return
        first = not state.loaded
        state.loaded = mm
        state.lazy = False
        known = self.tlb.generation(mm)
        if first or not known or self._broadcast:
            return
        now = (await self.ask(self.mm, pagetable.ReadTlbGen(mm))).generation
        self.trace(LazyMode(cpu=self.name, mm=mm, on=False, missed=now - known))
        if now > known and self.rules.catch_up is CatchUp.TLB_GEN:
            self._flush(mm, 0, 0)
            self.tlb.reached(mm, now)

    # The hypervisor

    @handles(PreemptVcpu)
    async def preempt(self, msg: PreemptVcpu) -> Flag:
        """A VM exit: KVM_VCPU_PREEMPTED is set where the guest's other CPUs see it."""
        if not self._virtual:
            return NO
        async with self._in_flight:
            self.state.preempted = True
        self.trace(VcpuState(cpu=self.name, running=False))
        return YES

    @handles(ResumeVcpu)
    def resume(self, msg: ResumeVcpu) -> Flag:
        """A VM entry: KVM_VCPU_FLUSH_TLB is honoured first, for every mm."""
        if not self.state.preempted:
            return NO
        self.trace(VcpuState(cpu=self.name, running=True))
        if self.state.flush_owed:
            self.state.flush_owed = False
            for mm in self.tlb.spaces():
                self._flush(mm, 0, 0)
        self.state.preempted = False
        self._resumed.wake_all()
        return YES

    async def _running(self) -> None:
        """A preempted virtual CPU does nothing, not even the next step of a walk."""
        while self._virtual and self.state.preempted:
            await self._resumed.sleep()

    def ask(self, dst: str, message: Request[R]) -> Coroutine[Any, Any, R]:
        """As for every actor, but a step of a virtual CPU needs the CPU, before and after."""
        return self._ask_running(dst, message) if self._virtual else super().ask(dst, message)

    async def _ask_running(self, dst: str, message: Request[R]) -> R:
        await self._running()
        answer = await super().ask(dst, message)
        await self._running()
        return answer


class _Instruction:
    """``async with cpu.instruction:`` one instruction of the CPU, or one walk of its MMU."""

    __slots__ = ("_cpu",)

    def __init__(self, cpu: Interruptible) -> None:
        self._cpu = cpu

    async def __aenter__(self) -> None:
        await self._cpu.begin_instruction()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cpu.end_instruction(kind)
