"""handle_mm_fault(): what happens at a page fault, and at a fault that GUP makes by itself (B2 step 6, B8, B10)."""

from __future__ import annotations

import errno

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.core import EFAULT, EIO, ENOMEM
from gupsim.actors.mm.cow import same_place
from gupsim.actors.mm.hugetlb import Hugetlb
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.swapin import SwapFaults
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.mm.thp import Thp
from gupsim.protocol import fs, memmap
from gupsim.protocol.memmap import ZERO_PFN, Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Status
from gupsim.protocol.mm import Fault, HandleFault, Prot
from gupsim.protocol.pagetable import Entry, EntryKind
from gupsim.protocol.shmem import SHMEM

_ANON = Page.ANON | Page.SWAPBACKED | Page.UPTODATE


class Faults(Hugetlb, Thp, SwapFaults):
    """mmap_lock is held for reading throughout; the page-table lock only where an entry is looked at and changed."""

    @handles(HandleFault)
    async def handle_fault(self, msg: HandleFault) -> Status:
        """A CPU's page fault."""
        space = self.space(msg.mm)
        address = msg.address & -PAGE_SIZE
        async with space.mmap_lock.shared():
            vma = space.find_vma(address)
            needed = Prot.WRITE if msg.write else Prot.READ
            if vma is None or not vma.prot & needed:
                error = EFAULT
            else:
                error = await self.fault(space, vma, address, write=msg.write)
        slot = self.tables.leaf(space, address)
        pfn = slot.entry.target + slot.sub_page if not error else -1
        self.trace(Fault(mm=msg.mm, address=address, write=msg.write, pfn=pfn, error=error))
        return Status(error)

    async def fault(self, space: AddressSpace, vma: Vma, address: int, *, write: bool, unshare: bool = False) -> int:
        """Make one page accessible: 0, or -EFAULT, -EIO (SIGBUS), -ENOMEM. The caller walks again afterwards.

        write may be asked of a mapping that does not allow it (FOLL_FORCE): then the private copy stays read-only.
        unshare: FAULT_FLAG_UNSHARE, a private copy for a read-only pin."""
        if vma.hugetlb:
            return await self.hugetlb_fault(space, vma, address, write=write, unshare=unshare)
        if vma.pfnmap:
            return EIO  # registers are mapped at once, by mmap
        huge = await self.huge_fault(space, vma, address, write=write, unshare=unshare)
        if huge is not None:
            return huge
        slot = await self._pte_alloc(space, vma, address)
        if slot.level:
            return 0  # somebody else had more luck with a huge page
        entry = slot.entry
        if entry.kind == EntryKind.MIGRATION:
            await self.wait_for_migration(slot)
            return 0
        if entry.kind == EntryKind.SWAP:
            error = await self.swap_page(space, vma, slot, entry, write=write)
            if error or not write:
                return error
            entry = slot.entry
        if entry.kind == EntryKind.NONE:
            return await self._no_page(space, vma, slot, write=write)
        if entry.protnone:
            return await self._numa_page(space, vma, slot, entry)
        if (write and not entry.writable) or unshare:
            if vma.shared and (vma.fs or vma.device):
                return await self._make_shared_writable(space, vma, slot, entry)
            return await self.break_cow(space, vma, slot, entry, unshare=unshare)
        return 0  # spurious: somebody else was faster

    async def _no_page(self, space: AddressSpace, vma: Vma, slot: Slot, *, write: bool) -> int:
        """do_anonymous_page() and do_fault(). What a driver mapped has no fault handler."""
        if vma.device:
            return EIO
        if not vma.fs:
            return await self._anonymous_page(space, vma, slot, write=write)
        if not write:
            return await self._read_fault(space, vma, slot)
        if not vma.shared:
            return await self._cow_fault(space, vma, slot)
        return await self._shared_fault(space, vma, slot)

    async def _pte_alloc(self, space: AddressSpace, vma: Vma, address: int) -> Slot:
        """__pte_alloc(): a last-level table where there is none. Under the pmd lock where a huge page may be on its way
        there; elsewhere nobody could tell the difference."""
        pmd = self.tables.make(space, address, 1)
        if pmd.entry.kind != EntryKind.NONE or not self.suitable(vma, pmd):
            return self.tables.make(space, address)
        async with pmd.lock:
            return self.tables.make(space, address)

    async def _anonymous_page(self, space: AddressSpace, vma: Vma, slot: Slot, *, write: bool) -> int:
        """do_anonymous_page(): the zero page for a read, a cleared page for a write."""
        if not write:
            async with slot.lock:
                if slot.entry.kind == EntryKind.NONE:
                    zero = Entry(kind=EntryKind.PAGE, target=ZERO_PFN, special=True, young=True)
                    await self.set_entry(space, slot, zero, "do_anonymous_page")
            return 0
        pfn = (await self.ask(self.memmap, memmap.AllocPages("anon", zero=True))).pfn
        if pfn < 0:
            return ENOMEM
        await self.install_anon(space, vma, slot, pfn, NONE, why="do_anonymous_page")
        return 0

    async def _file_page(self, vma: Vma, slot: Slot) -> int:
        """->fault: the page of the cache, locked and with a reference, or a negative errno."""
        answer = await self.ask(self.at(vma.fs), fs.FilemapFault(vma.ino, vma.index_of(slot.address)))
        return answer.pfn if answer.pfn >= 0 else (ENOMEM if answer.pfn == -errno.ENOMEM else EIO)

    async def _read_fault(self, space: AddressSpace, vma: Vma, slot: Slot) -> int:
        """do_read_fault(): map the page cache page read-only (a shared mapping must see its first write; not of
        tmpfs)."""
        pfn = await self._file_page(vma, slot)
        if pfn < 0:
            return pfn
        async with slot.lock:
            vacant = slot.entry.kind == EntryKind.NONE
            if vacant:
                await self.add_mapping(space, slot, pfn, adopt="lookup")
                # Where nobody wants to know of writes, vm_page_prot has the write bit.
                writable = vma.fs == SHMEM and vma.shared and vma.writable()
                entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=writable, young=True)
                await self.set_entry(space, slot, entry, "do_read_fault")
        await self.ask(self.memmap, memmap.UnlockPage(pfn))
        if not vacant:
            await self.put_own(pfn, "lookup")
        return 0

    async def _cow_fault(self, space: AddressSpace, vma: Vma, slot: Slot) -> int:
        """do_cow_fault(): a private mapping is written before it was ever read."""
        source = await self._file_page(vma, slot)
        if source < 0:
            return source
        copy = await self.copy_page(source)
        if copy >= 0:
            await self.install_anon(space, vma, slot, copy, NONE, why="do_cow_fault")
        await self.unlock_and_put(source)
        return min(0, copy)

    async def _shared_fault(self, space: AddressSpace, vma: Vma, slot: Slot) -> int:
        """do_shared_fault() (B10): the file system hears of the first write before the entry becomes writable."""
        pfn = await self._file_page(vma, slot)
        if pfn < 0:
            return pfn
        if vma.fs != SHMEM:
            await self.ask(self.memmap, memmap.UnlockPage(pfn))
            error = await self._page_mkwrite(vma, slot, pfn)
            if error:
                await self.put_own(pfn, "lookup")
                return 0 if error == -errno.EAGAIN else EIO
        async with slot.lock:
            vacant = slot.entry.kind == EntryKind.NONE
            if vacant:
                await self.add_mapping(space, slot, pfn, adopt="lookup")
                entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=True, dirty=True, young=True)
                await self.set_entry(space, slot, entry, "do_shared_fault")
        await self.mark_page_dirty(pfn, vma, slot.address, "fault")
        await self.ask(self.memmap, memmap.UnlockPage(pfn))
        if not vacant:
            await self.put_own(pfn, "lookup")
        await self._balance_dirty_pages(vma)
        return 0

    async def _balance_dirty_pages(self, vma: Vma) -> None:
        """The end of fault_dirty_shared_page()."""
        if self.dirty_limit and vma.fs and vma.fs != SHMEM:
            await self.ask(self.at(vma.fs), fs.BalanceDirtyPages())

    async def _make_shared_writable(self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry) -> int:
        """wp_page_shared(): a write to a clean, read-only entry of a shared file mapping. Neither tmpfs nor a driver
        wants to be asked before."""
        pfn = entry.target
        told = vma.fs == SHMEM or bool(vma.device)
        async with slot.lock:
            if slot.entry != entry:
                return 0
            await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", self.port.context))
            if told:
                await self._reuse_shared(space, vma, slot)
        if told:
            await self.ask(self.memmap, memmap.LockPage(pfn))
        else:
            error = await self._page_mkwrite(vma, slot, pfn)
            if error:
                await self.put_own(pfn, "lookup")
                return 0 if error == -errno.EAGAIN else EIO
            async with slot.lock:
                if same_place(slot.entry, entry):
                    await self._reuse_shared(space, vma, slot)
        await self.mark_page_dirty(pfn, vma, slot.address, "fault")
        await self.unlock_and_put(pfn)
        await self._balance_dirty_pages(vma)
        return 0

    async def _reuse_shared(self, space: AddressSpace, vma: Vma, slot: Slot) -> None:
        """wp_page_reuse() of a file's page, page-table lock held."""
        made = replace(slot.entry, writable=vma.writable(), dirty=True, young=True)
        await self.set_entry(space, slot, made, "wp_page_shared")

    async def _page_mkwrite(self, vma: Vma, slot: Slot, pfn: int) -> int:
        """->page_mkwrite: 0 with the page locked, -EAGAIN if it was truncated meanwhile, or another errno."""
        answer = await self.ask(self.at(vma.fs), fs.PageMkwrite(vma.ino, vma.index_of(slot.address), pfn))
        return answer.error

    async def _numa_page(self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry) -> int:
        """do_numa_page(): make the entry accessible again (no migration yet)."""
        async with slot.lock:
            if slot.entry == entry:
                await self.set_entry(space, slot, replace(entry, protnone=False, young=True), "do_numa_page")
        return 0
