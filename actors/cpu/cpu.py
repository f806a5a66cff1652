"""One CPU: instructions, TLB, interrupts (B0, B4)."""

from __future__ import annotations

import msgspec

from actors.base import KernelActor, Map, Port, TicketLock, handles
from actors.rules import KernelRules
from protocol import memory, mm, pagetable
from protocol.cpu import CpuAccess, FlushTlb, IrqOff, IrqOn, Load, Loaded, Store, TlbFlush
from protocol.memory import PAGE_SIZE
from protocol.message import DONE, Done

_SIGNALS = {-14: "SIGSEGV", -5: "SIGBUS", -12: "SIGBUS"}


class Translation(msgspec.Struct, frozen=True):
    """A TLB entry: the frame, and what may be done without asking the page tables again."""

    pfn: int
    writable: bool
    dirty: bool


class CpuCore(KernelActor):
    """Runs what its threads ask, one instruction at a time.

    Interrupts are a lock: an instruction holds it, since an interrupt comes between two instructions only (without
    that, a shootdown would overtake a store in flight: granularity.md, 3k), and a section with interrupts off holds it
    throughout. An IPI handler takes it: so the acknowledgement waits for the end of the section.

    chunk: bytes that one instruction moves at most. levels, bits, pte_special: the page tables of this machine.
    """

    def __init__(
        self,
        address: str,
        port: Port,
        *,
        rules: KernelRules,
        chunk: int = PAGE_SIZE,
        levels: int = 4,
        bits: int = 9,
        pte_special: bool = True,
    ) -> None:
        super().__init__(address, port, rules=rules)
        self.chunk = chunk
        self.levels = levels
        self.bits = bits
        self.pte_special = pte_special
        self.name = address.removeprefix(f"{self.host}/")
        self.mm = self.at("mm")
        self.memmap = self.at("memmap")
        self.memory = self.at("memory")
        self.interrupts = TicketLock(self, f"interrupts of {self.name}")
        self.tlb: Map[tuple[str, int], Translation] = Map(self, "tlb")
        """(mm, page number) -> translation. It may be stale: only a flush makes it go."""

    @handles(Load)
    async def load(self, msg: Load) -> Loaded:
        """A load: TLB hit, or a walk; a fault and again."""
        while True:
            async with self.interrupts:
                pfn = await self._translate(msg.mm, msg.address, write=False)
                if pfn >= 0:
                    offset = msg.address % PAGE_SIZE
                    read = memory.ReadMemory(pfn, offset, msg.length, self.name)
                    return Loaded((await self.ask(self.memory, read)).data)
            signal = await self._fault(msg.mm, msg.address, write=False)
            if signal:
                return Loaded(signal=signal)

    @handles(Store)
    async def store(self, msg: Store) -> Loaded:
        """A store: through a TLB entry with W and D nobody is asked, whatever the page tables say by now."""
        while True:
            async with self.interrupts:
                pfn = await self._translate(msg.mm, msg.address, write=True)
                if pfn >= 0:
                    offset = msg.address % PAGE_SIZE
                    await self.ask(self.memory, memory.WriteMemory(pfn, offset, msg.data, self.name))
                    return Loaded()
            signal = await self._fault(msg.mm, msg.address, write=True)
            if signal:
                return Loaded(signal=signal)

    @handles(FlushTlb)
    async def flush_tlb(self, msg: FlushTlb) -> Done:
        """flush_tlb_func(): runs, and so acknowledges, only when interrupts are on."""
        async with self.interrupts:
            first = msg.first // PAGE_SIZE
            going = [at for at in self.tlb if at[0] == msg.mm and (not msg.count or first <= at[1] < first + msg.count)]
            for at in going:
                self.tlb.pop(at)
            self.trace(TlbFlush(cpu=self.name, mm=msg.mm, first=msg.first, count=msg.count, dropped=len(going)))
        return DONE

    async def irq_save(self, why: str) -> None:
        """local_irq_save()."""
        await self.interrupts.acquire()
        self.trace(IrqOff(cpu=self.name, why=why))

    def irq_restore(self) -> None:
        """local_irq_restore(): whatever IPI waits is served now."""
        self.trace(IrqOn(cpu=self.name))
        self.interrupts.release()

    async def _translate(self, space: str, address: int, *, write: bool) -> int:
        """B0: (a) a hit that suffices, (b) a store through an entry without D, (c) a walk. -1: page fault."""
        at = (space, address // PAGE_SIZE)
        cached = self.tlb.get(at)
        if cached is not None and (not write or (cached.writable and cached.dirty)):
            return self._access(space, address, cached.pfn, write=write, cached=True)
        if cached is not None and cached.writable:
            marked = await self.ask(self.mm, pagetable.SetDirtyBit(space, address, cached.pfn))
            if marked.yes:
                self.tlb[at] = Translation(cached.pfn, writable=True, dirty=True)
                return self._access(space, address, cached.pfn, write=write, cached=True)
        walked = await self.ask(self.mm, pagetable.WalkHardware(space, address, write, self.name))
        if not walked.ok:
            self.tlb.pop(at)
            return -1
        self.tlb[at] = Translation(walked.pfn, walked.writable, walked.dirty)
        return self._access(space, address, walked.pfn, write=write, cached=False)

    def _access(self, space: str, address: int, pfn: int, *, write: bool, cached: bool) -> int:
        self.trace(CpuAccess(cpu=self.name, mm=space, address=address, pfn=pfn, write=write, cached=cached))
        return pfn

    async def _fault(self, space: str, address: int, *, write: bool) -> str:
        """The page fault, interrupts on again: "" or the signal."""
        status = await self.ask(self.mm, mm.HandleFault(space, address, write))
        return _SIGNALS.get(status.error, "SIGSEGV") if status.error else ""
