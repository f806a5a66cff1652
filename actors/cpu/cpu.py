"""One CPU: its instructions (B0)."""

from __future__ import annotations

from gupsim.actors.base import Port, handles
from gupsim.actors.cpu.shootdown import Interruptible
from gupsim.actors.rules import KernelRules
from gupsim.protocol import memory, mm, pagetable
from gupsim.protocol.cpu import CpuAccess, Load, Loaded, Store
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.pagetable import EntryKind

_SIGNALS = {-14: "SIGSEGV", -5: "SIGBUS", -12: "SIGBUS"}


class CpuCore(Interruptible):
    """Runs what its threads ask, one instruction at a time.

    chunk: bytes that one instruction moves at most. levels, bits: the page tables of this machine.
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
    ) -> None:
        super().__init__(address, port, rules=rules, levels=levels, bits=bits)
        self.chunk = chunk
        self.levels = levels
        self.bits = bits
        self.memmap = self.at("memmap")
        self.memory = self.at("memory")

    @handles(Load)
    async def load(self, msg: Load) -> Loaded:
        """A load: TLB hit, or a walk; a fault and again."""
        while True:
            async with self.instruction:
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
            async with self.instruction:
                pfn = await self._translate(msg.mm, msg.address, write=True)
                if pfn >= 0:
                    offset = msg.address % PAGE_SIZE
                    await self.ask(self.memory, memory.WriteMemory(pfn, offset, msg.data, self.name))
                    return Loaded()
            signal = await self._fault(msg.mm, msg.address, write=True)
            if signal:
                return Loaded(signal=signal)

    async def _translate(self, space: str, address: int, *, write: bool) -> int:
        """B0: (a) a hit that suffices, (b) a store through an entry without D, (c) a walk. -1: page fault."""
        await self.switch_to(space)
        hit = self.tlb.find(space, address)
        if hit is not None and (not write or (hit.writable and hit.dirty)):
            return self._access(space, address, hit.pfn, write=write, cached=True)
        if hit is not None and hit.writable:
            marked = await self.ask(self.mm, pagetable.SetDirtyBit(space, address, hit.pfn))
            if marked.yes:
                self.tlb.fill(space, address, hit.pfn, hit.pages, writable=True, dirty=True)
                return self._access(space, address, hit.pfn, write=write, cached=True)
        fresh = not self.tlb.generation(space)
        walked = await self.ask(self.mm, pagetable.WalkHardware(space, address, write, self.name, fresh))
        if hit is not None:
            self.tlb.drop(space, hit)
        if not walked.ok:
            return -1
        if walked.generation:
            self.tlb.reached(space, walked.generation)
        self.tlb.fill(space, address, walked.pfn, walked.pages, writable=walked.writable, dirty=walked.dirty)
        return self._access(space, address, walked.pfn, write=write, cached=False)

    def _access(self, space: str, address: int, pfn: int, *, write: bool, cached: bool) -> int:
        self.trace(CpuAccess(cpu=self.name, mm=space, address=address, pfn=pfn, write=write, cached=cached))
        return pfn

    async def _fault(self, space: str, address: int, *, write: bool) -> str:
        """The page fault, interrupts on again: "" or the signal."""
        status = await self.ask(self.mm, mm.HandleFault(space, address, write))
        return _SIGNALS.get(status.error, "SIGSEGV") if status.error else ""

    async def walk_ahead(self, mm: str, address: int) -> None:
        """What the MMU may do at any time: read its way down, level by level, without a thread that wants it. It is
        over before an interrupt or an invalidation by broadcast is served; RCU does not know of it."""
        async with self.instruction:
            if self.state.loaded != mm:
                return
            table = await self.ask(self.mm, pagetable.ReadRoot(mm))
            for level in reversed(range(self.levels)):
                index = address // PAGE_SIZE >> (self.bits * level) & ((1 << self.bits) - 1)
                read = pagetable.ReadEntry(mm, table.target, table.generation, index, level)
                table = await self.ask(self.mm, read)
                if table.kind != EntryKind.TABLE:
                    return
