"""Mappings that a driver makes: of registers (VM_PFNMAP), or of pages of its own (VM_MIXEDMAP) (B1 P5, B2 step 3, S24).

The driver's ->mmap sets all entries at once, and there is no fault handler: what was zapped stays away (SIGBUS).
"""

from __future__ import annotations

from typing import Any

from gupsim.actors.base import Map, Port, handles
from gupsim.actors.mm.core import EFAULT, ENOMEM, mapping_ledger
from gupsim.actors.mm.layout import Layout
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.rules.pins import FollowPfn
from gupsim.protocol import memmap
from gupsim.protocol.gup import FollowedPfn, LookUpPfn, MapDevice
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Mapped, MmLayout, Prot
from gupsim.protocol.pagetable import Entry, EntryKind


class DeviceMaps(Layout):
    """Registers have frames with a struct page, as reserved RAM has, and nobody keeps its count. Pages of a driver have
    a reference of the driver until the last mapping of them is closed, and one for each entry."""

    def __init__(self, address: str, port: Port, **options: Any) -> None:
        super().__init__(address, port, **options)
        self._buffers: Map[int, tuple[int, ...]] = Map(self, "driver pages")
        """Number of a buffer -> its pages."""
        self._buffer_numbers: Map[str, int] = Map(self, "last driver buffer")

    @handles(MapDevice)
    async def map_device(self, msg: MapDevice) -> Mapped:
        """mmap(2) of a device file: remap_pfn_range(), or vm_insert_page() for each page."""
        space = self.space(msg.mm)
        async with space.mmap_lock:
            start = self.free_range(space, msg.pages)
            if start < 0:
                return Mapped(start)
            number = self._buffer_numbers.get("last", 0) + 1
            self._buffer_numbers["last"] = number
            prot = Prot.READ | Prot.WRITE
            vma = Vma(
                start,
                start + msg.pages * PAGE_SIZE,
                prot,
                msg.shared,
                ino=number,
                device=msg.driver,
                pfnmap=msg.registers,
            )
            space.set_vmas([*space.vmas, vma])
            pages: list[int] = []
            for address in range(vma.start, vma.end, PAGE_SIZE):
                owner = "registers" if msg.registers else "driver"
                pfn = (await self.ask(self.memmap, memmap.AllocPages(owner, zero=not msg.registers))).pfn
                if pfn < 0:
                    return Mapped(ENOMEM)
                pages.append(pfn)
                await (self._remap(space, address, pfn) if vma.pfnmap else self._insert_page(space, vma, address, pfn))
            if not msg.registers:
                self._buffers[number] = tuple(pages)
        self.trace(MmLayout(mm=msg.mm, what="mmap", address=start, pages=msg.pages))
        return Mapped(start)

    async def _remap(self, space: AddressSpace, address: int, pfn: int) -> None:
        """remap_pfn_range() of a page: an entry that stands for no memory."""
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.RESERVED))
        slot = self.tables.make(space, address)
        entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=True, dirty=True, young=True, special=True)
        async with slot.lock:
            await self.set_entry(space, slot, entry, "remap_pfn_range")

    async def _insert_page(self, space: AddressSpace, vma: Vma, address: int, pfn: int) -> None:
        """vm_insert_page(): a normal entry with a reference; the driver's own stays."""
        context = self.port.context
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.UPTODATE))
        await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "driver", vma.device))
        slot = self.tables.make(space, address)
        async with slot.lock:
            await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "map", mapping_ledger(space, address)))
            await self.ask(self.memmap, memmap.AddMaps(pfn, 1))
            entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=vma.shared, dirty=vma.shared, young=True)
            await self.set_entry(space, slot, entry, "vm_insert_page")
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "alloc", context))

    async def close_device(self, vma: Vma) -> None:
        """vm_ops->close: with the last mapping of its pages the driver lets go of them."""
        everywhere = (other for space in self.spaces.values() for other in space.vmas)
        if vma.ino in self._buffers and not any(other.device and other.ino == vma.ino for other in everywhere):
            for pfn in self._buffers.pop(vma.ino) or ():
                await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "driver", vma.device))

    @handles(LookUpPfn)
    async def look_up_pfn(self, msg: LookUpPfn) -> FollowedPfn:
        """follow_fault_pfn() of VFIO: the frame that an entry of a VM_PFNMAP mapping names. No reference is taken, and
        what was seen is true under the page-table lock only."""
        space = self.space(msg.mm)
        async with space.mmap_lock.shared():
            vma = space.find_vma(msg.address)
            if vma is None or not vma.pfnmap:
                return FollowedPfn(-1, EFAULT)
            slot = self.tables.leaf(space, msg.address & -PAGE_SIZE)
            async with slot.lock:
                entry = slot.entry
        if entry.kind != EntryKind.PAGE:
            return FollowedPfn(-1, EFAULT)  # fixup_user_fault(): there is no fault handler
        if msg.write and not entry.writable and self.rules.follow_pfn is FollowPfn.CHECKED:
            return FollowedPfn(-1, EFAULT)
        return FollowedPfn(entry.target + slot.sub_page)
