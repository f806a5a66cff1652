"""mprotect and mremap: entries change or move, pages stay (B4)."""

from __future__ import annotations

import errno
from contextlib import nullcontext

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.core import EFAULT, mapping_ledger
from gupsim.actors.mm.gather import Zap
from gupsim.actors.mm.spaces import AddressSpace
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.tables import MremapFlush
from gupsim.protocol import memmap
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Status
from gupsim.protocol.mm import Mapped, MmLayout, Mprotect, Mremap, Prot
from gupsim.protocol.pagetable import Entry, EntryKind


class Change(Zap):
    """mmap_lock is held for writing: against faults and slow GUP. The reverse map and fast walkers do not heed it."""

    @handles(Mprotect)
    async def mprotect(self, msg: Mprotect) -> Status:
        """do_mprotect_pkey(): up to the first hole, which is an error only then. Entries lose the write bit here; they
        gain it at the next fault only."""
        space = self.space(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        async with space.mmap_lock:
            upto = space.covered_upto(msg.address, end)
            error = 0 if upto == end else -errno.ENOMEM
            if upto == msg.address:
                return Status(error)
            if not self.may_split(space, msg.address, upto):
                return Status(-errno.EINVAL)
            if msg.prot & Prot.WRITE and not space.may_write(msg.address, upto):
                return Status(-errno.EACCES)
            inside = [replace(vma, prot=msg.prot) for vma in space.carve(msg.address, upto)]
            space.set_vmas([*space.vmas, *inside])
            pages = (upto - msg.address) // PAGE_SIZE
            AddressSpace.flush_pending.add(space, 1)
            if await self._change_range(space, msg.address, upto, msg.prot):
                await self.shootdown(space, msg.address, pages)
            AddressSpace.flush_pending.add(space, -1)
            left = MmLayout(mm=msg.mm, what="mprotect", address=msg.address, pages=pages, allows=msg.prot)
            self.trace(left)
        return Status(error)

    async def _change_range(self, space: AddressSpace, start: int, end: int, prot: int) -> bool:
        """change_protection_range(): True if translations must go."""
        changed = False
        address = start
        while address < end:
            slot = self.tables.leaf(space, address)
            upto = slot.start + self.tables.span(slot.level)
            if not slot.level:
                upto = min(end, slot.table_end)
                changed |= await self._change_table(space, slot, upto, prot)
            elif slot.entry.kind == EntryKind.PAGE:
                if slot.start < start or upto > end:
                    await self.split_huge_pmd(space, slot)
                    continue  # with the small entries
                leaf_changed = await self.change_huge_pmd(space, slot, prot)
                if leaf_changed is None:
                    continue  # somebody has just split it
                changed |= leaf_changed
            address = upto
        return changed

    async def _change_table(self, space: AddressSpace, slot: Slot, end: int, prot: int) -> bool:
        """change_pte_range()."""
        changed = False
        async with slot.lock:
            await self.flush_batched_pending(space)
            for address in range(slot.address, end, PAGE_SIZE):
                at = slot.beside(address)
                entry = at.entry
                made = _protected(entry, prot)
                if entry.kind == EntryKind.PAGE and made != entry:
                    await self.set_entry(space, at, made, "mprotect")
                    changed = True
        return changed

    @handles(Mremap)
    async def mremap(self, msg: Mremap) -> Mapped:
        """move_vma(): a second mapping of the same pages, the entries of the first one, munmap of the first one. Huge
        leaves are split, also where the kernel could move them whole."""
        space = self.space(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        async with space.mmap_lock:
            vma = space.find_vma(msg.address)
            if vma is None or vma.hugetlb or end > vma.end or not msg.pages:
                return Mapped(EFAULT)
            start = self.free_range(space, msg.pages)
            if start < 0:
                return Mapped(start)
            part = vma.part(msg.address, end)
            space.set_vmas([*space.vmas, replace(part, start=start, end=start + end - msg.address)])
            moved = await self._move_page_tables(space, msg.address, end, start)
            if moved and self.rules.mremap_flush is MremapFlush.AFTER_LOCK:
                await self.sleep(0)  # the locks are free, and nothing is flushed: anybody may come
                await self.shootdown(space, msg.address, msg.pages)
            await self.unmap(space, msg.address, end, "mremap")
            self.trace(MmLayout(mm=msg.mm, what="mremap", address=msg.address, pages=msg.pages))
        return Mapped(start)

    def free_range(self, space: AddressSpace, pages: int, align: int = 0) -> int:
        """get_unmapped_area()."""
        raise NotImplementedError

    async def unmap(self, space: AddressSpace, start: int, end: int, why: str, users: int = 2) -> None:
        """do_munmap()."""
        raise NotImplementedError

    async def _move_page_tables(self, space: AddressSpace, old: int, end: int, new: int) -> bool:
        """move_page_tables(): True if an entry moved."""
        moved = False
        while old < end:
            slot = self.tables.leaf(space, old)
            if slot.level and slot.entry.kind == EntryKind.PAGE:
                await self.split_huge_pmd(space, slot)
                continue
            if slot.level:
                length = min(slot.start + self.tables.span(slot.level), end) - old
            else:
                there = self.tables.make(space, new)
                length = min(end - old, slot.table_end - old, there.table_end - new)
                moved |= await self._move_ptes(space, slot, there, length)
            old += length
            new += length
        return moved

    async def _move_ptes(self, space: AddressSpace, slot: Slot, there: Slot, length: int) -> bool:
        """move_ptes(), under the locks of both tables. Who drops them before the flush lets others unmap and free a
        page at its new address while CPUs still reach it at the old one (CVE-2018-18281)."""
        moved = False
        async with slot.lock, nullcontext() if there.table == slot.table else there.lock:
            await self.flush_batched_pending(space)
            for offset in range(0, length, PAGE_SIZE):
                source, target = slot.beside(slot.address + offset), there.beside(there.address + offset)
                entry = source.entry
                if entry.kind == EntryKind.NONE:
                    continue
                await self.set_entry(space, source, NONE, "move_ptes")
                await self.set_entry(space, target, entry, "move_ptes")
                if entry.kind == EntryKind.PAGE:
                    moved = True
                    await self._move_mapping(space, source, target, entry)
            if moved and self.rules.mremap_flush is MremapFlush.UNDER_LOCK:
                await self.shootdown(space, slot.address, length // PAGE_SIZE)
        return moved

    async def _move_mapping(self, space: AddressSpace, source: Slot, target: Slot, entry: Entry) -> None:
        """The page's reference belongs to the entry, which has another address now. Nothing of the kernel's."""
        if (space.mm, source.address) in self.anon_rmap.get(entry.target, ()):
            self.track_anon(entry.target, space, target.address)
            self.forget_anon(entry.target, space, source.address)
        if not entry.special:
            ledger = mapping_ledger(space, target.address)
            await self.ask(self.memmap, memmap.GetRefs(entry.target, 1, "map", ledger))
            await self.put_mapping(space, source.address, entry.target)


def _protected(entry: Entry, prot: int) -> Entry:
    """pte_modify(). PROT_NONE: present for the kernel, absent for the hardware, as a NUMA-hinting entry."""
    if not prot & Prot.READ:
        return replace(entry, writable=False, protnone=True)
    return replace(entry, writable=entry.writable and bool(prot & Prot.WRITE), protnone=False)
