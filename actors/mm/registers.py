"""Registers of devices in an address space (VM_PFNMAP): entries that stand for no memory (B1 P5, B2 step 3, S24)."""

from __future__ import annotations

from actors.base import handles
from actors.mm.core import ENOMEM
from actors.mm.layout import Layout
from actors.mm.spaces import Vma
from protocol import memmap
from protocol.gup import MapRegisters
from protocol.memmap import Page
from protocol.memory import PAGE_SIZE
from protocol.mm import Mapped, MmLayout, Prot
from protocol.pagetable import Entry, EntryKind


class Registers(Layout):
    """Their frames have a struct page, as reserved RAM has, and nobody keeps its count."""

    @handles(MapRegisters)
    async def map_registers(self, msg: MapRegisters) -> Mapped:
        """The driver's ->mmap: remap_pfn_range(), every entry at once."""
        space = self.space(msg.mm)
        async with space.mmap_lock:
            start = self.free_range(space, msg.pages)
            if start < 0:
                return Mapped(start)
            prot = Prot.READ | Prot.WRITE
            vma = Vma(start, start + msg.pages * PAGE_SIZE, prot, shared=True, pfnmap=True)
            space.set_vmas([*space.vmas, vma])
            for address in range(vma.start, vma.end, PAGE_SIZE):
                pfn = (await self.ask(self.memmap, memmap.AllocPages("registers"))).pfn
                if pfn < 0:
                    return Mapped(ENOMEM)
                await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.RESERVED))
                slot = self.tables.make(space, address)
                entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=True, dirty=True, young=True, special=True)
                async with slot.lock:
                    await self.set_entry(space, slot, entry, "remap_pfn_range")
        self.trace(MmLayout(mm=msg.mm, what="mmap", address=start, pages=msg.pages))
        return Mapped(start)
