"""System calls that change an address space: mmap, munmap, mprotect, madvise, exit (B4)."""

from __future__ import annotations

import errno

from msgspec.structs import replace

from actors.base import handles
from actors.mm.core import MmCore
from actors.mm.spaces import AddressSpace, Vma
from actors.mm.tables import NONE, Slot
from actors.rules.rules import ZapRmap
from protocol import reclaim
from protocol.memory import PAGE_SIZE
from protocol.message import DONE, Done, Status
from protocol.mm import (
    ActivateMm,
    ExitMm,
    KillPending,
    MadviseDontneed,
    Mapped,
    Mmap,
    MmLayout,
    Mprotect,
    Munmap,
    Prot,
    UnmapRange,
)
from protocol.pagetable import EntryKind

_FIRST_ADDRESS = 0x10000
_GUARD = PAGE_SIZE
"""Left free after each mapping, so that running past its end is a fault and not the next mapping."""


class Layout(MmCore):
    """mmap_lock held for writing, except for madvise (a real difference: it can race with faults)."""

    @handles(ActivateMm)
    def activate(self, msg: ActivateMm) -> Done:
        """switch_mm(): from now on this CPU may cache translations of the mm."""
        space = self.space(msg.mm)
        if msg.cpu not in space.cpus:
            space.cpus = (*space.cpus, msg.cpu)
        return DONE

    @handles(KillPending)
    def kill(self, msg: KillPending) -> Done:
        self.space(msg.mm).killed = True
        return DONE

    @handles(Mmap)
    async def mmap(self, msg: Mmap) -> Mapped:
        if not msg.pages:
            return Mapped(-errno.EINVAL)
        if msg.shared and not msg.fs:
            return Mapped(-errno.ENODEV)  # MAP_SHARED|MAP_ANONYMOUS is a tmpfs file; there is no tmpfs here yet
        space = self.space(msg.mm)
        async with space.mmap_lock:
            start = space.next_address or _FIRST_ADDRESS
            end = start + msg.pages * PAGE_SIZE
            if end > self.tables.task_size:
                return Mapped(-errno.ENOMEM)
            space.next_address = end + _GUARD
            vma = Vma(start, end, msg.prot, msg.shared, msg.fs, msg.ino, msg.pgoff)
            space.set_vmas([*space.vmas, vma])
        self.trace(MmLayout(mm=msg.mm, what="mmap", address=start, pages=msg.pages))
        return Mapped(start)

    @handles(Munmap)
    async def munmap(self, msg: Munmap) -> Status:
        space = self.space(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        async with space.mmap_lock:
            for vma in space.carve(msg.address, end):
                await self.zap(space, vma, vma.start, vma.end, "munmap")
        self.trace(MmLayout(mm=msg.mm, what="munmap", address=msg.address, pages=msg.pages))
        return Status()

    @handles(MadviseDontneed)
    async def madvise_dontneed(self, msg: MadviseDontneed) -> Status:
        space = self.space(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        async with space.mmap_lock.shared():
            if not space.covered(msg.address, end):
                return Status(-errno.ENOMEM)
            for vma in space.vmas:
                await self.zap(space, vma, max(vma.start, msg.address), min(vma.end, end), "madvise")
        self.trace(MmLayout(mm=msg.mm, what="dontneed", address=msg.address, pages=msg.pages))
        return Status()

    @handles(Mprotect)
    async def mprotect(self, msg: Mprotect) -> Status:
        """Entries lose the write bit here; they gain it at the next fault only."""
        space = self.space(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        async with space.mmap_lock:
            if not space.covered(msg.address, end):
                return Status(-errno.ENOMEM)
            inside = [replace(vma, prot=msg.prot) for vma in space.carve(msg.address, end)]
            space.set_vmas([*space.vmas, *inside])
            for slot in self.tables.range(space, msg.address, end):
                async with slot.lock:
                    entry = slot.entry
                    if entry.kind != EntryKind.PAGE:
                        continue
                    if not msg.prot & Prot.READ:
                        # PROT_NONE: present for the kernel, absent for the hardware, as a NUMA-hinting entry.
                        await self.set_entry(space, slot, replace(entry, writable=False, protnone=True), "mprotect")
                    else:
                        writable = entry.writable and bool(msg.prot & Prot.WRITE)
                        changed = replace(entry, writable=writable, protnone=False)
                        if changed != entry:
                            await self.set_entry(space, slot, changed, "mprotect")
            await self.shootdown(space, msg.address, msg.pages)
        self.trace(MmLayout(mm=msg.mm, what="mprotect", address=msg.address, pages=msg.pages))
        return Status()

    @handles(ExitMm)
    async def exit(self, msg: ExitMm) -> Done:
        space = self.space(msg.mm)
        async with space.mmap_lock:
            for vma in space.carve(0, self.tables.task_size):
                await self.zap(space, vma, vma.start, vma.end, "exit")
        self.spaces.pop(msg.mm)
        self.trace(MmLayout(mm=msg.mm, what="exit", address=0, pages=0))
        return DONE

    @handles(UnmapRange)
    async def unmap_range(self, msg: UnmapRange) -> Done:
        """unmap_mapping_range() without private copies (invalidate_inode_pages2)."""
        for index in range(msg.first, msg.first + msg.pages):
            for space, vma, address in self.file_mappings(msg.fs, msg.ino, index):
                await self.zap(space, vma, address, address + PAGE_SIZE, "unmap_mapping_range", files_only=True)
        return DONE

    async def zap(
        self, space: AddressSpace, vma: Vma, start: int, end: int, why: str, *, files_only: bool = False
    ) -> None:
        """zap_pte_range() (B4): clear the entries under the page-table lock, flush, then free the pages.

        Rule R2: dirty entries of a shared file are flushed before the lock is dropped. Here every table is, so that
        one page-table page is one batch; freeing the table pages themselves is not modelled yet.
        """
        batches: dict[int, list[Slot]] = {}
        for slot in self.tables.range(space, start, end):
            if slot.entry.kind != EntryKind.NONE:
                batches.setdefault(slot.table, []).append(slot)
        for slots in batches.values():
            await self._zap_table(space, vma, slots, why, files_only)

    async def _zap_table(self, space: AddressSpace, vma: Vma, slots: list[Slot], why: str, files_only: bool) -> None:
        gather: list[tuple[int, int]] = []
        late_rmap: list[int] = []
        async with slots[0].lock:
            for slot in slots:
                entry = slot.entry
                if entry.kind == EntryKind.SWAP and not files_only:
                    await self.set_entry(space, slot, NONE, why)
                    await self.ask(self.reclaim, reclaim.SwapFree(entry.target))
                if entry.kind != EntryKind.PAGE:
                    continue
                anon = self._is_anon(entry.target, space, slot.address)
                if files_only and anon:
                    continue
                await self.set_entry(space, slot, NONE, why)
                if entry.special:
                    continue
                if anon:
                    self.forget_anon(entry.target, space, slot.address)
                dirty_file = entry.dirty and not anon
                if dirty_file:
                    await self.mark_page_dirty(entry.target, vma, slot.address, why)
                if dirty_file and self.rules.zap_rmap is ZapRmap.AFTER_FLUSH:
                    late_rmap.append(entry.target)
                else:
                    await self.drop_mapping_count(entry.target)
                gather.append((slot.address, entry.target))
            if gather:
                first = gather[0][0]
                await self.shootdown(space, first, (gather[-1][0] - first) // PAGE_SIZE + 1)
            for pfn in late_rmap:
                await self.drop_mapping_count(pfn)
        for address, pfn in gather:
            await self.put_mapping(space, address, pfn)

    def _is_anon(self, pfn: int, space: AddressSpace, address: int) -> bool:
        return (space.mm, address) in self.anon_rmap.get(pfn, ())
