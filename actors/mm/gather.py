"""mmu_gather: entries go first, then the translations, then pages and page tables (B4, R1)."""

from __future__ import annotations

from gupsim.actors.mm.flush import Flush
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.tables import FlushPending, TableBatch, TableFree, TableSingleUser, TableSync, ZapRmap
from gupsim.protocol import memmap, reclaim
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.pagetable import EntryKind
from gupsim.protocol.pagetable import TableFree as TableFreed

_BATCH = 10_000
"""MAX_GATHER_BATCH_COUNT batches: so many pages wait for one flush."""


class Gather:
    """struct mmu_gather: what one system call took out of the tables and has not given back yet.

    users: mm_users. pages: (address, pfn) of the references to put; rmaps: pages whose removal from the reverse map
    waits for the flush; tables: page tables to free; start, end: range to flush.
    """

    __slots__ = ("end", "freed_tables", "pages", "rmaps", "space", "start", "tables", "users")

    def __init__(self, space: AddressSpace, users: int) -> None:
        self.space = space
        self.users = users
        self.pages: list[tuple[int, int]] = []
        self.rmaps: list[int] = []
        self.tables: list[int] = []
        self.reset()

    def reset(self) -> None:
        """__tlb_reset_range()."""
        self.start, self.end = -1, 0
        self.freed_tables = False

    def adjust(self, address: int, pages: int = 1) -> None:
        """__tlb_adjust_range()."""
        self.start = address if self.start < 0 else min(self.start, address)
        self.end = max(self.end, address + pages * PAGE_SIZE)


class Zap(Flush):
    """The way out for mappings: munmap, MADV_DONTNEED, exit, truncate."""

    async def zap(
        self, space: AddressSpace, vma: Vma, start: int, end: int, why: str, *, files_only: bool = False
    ) -> None:
        """zap_page_range_single(): pages go, page tables stay. files_only: leave private copies."""
        gather = self.gather(space)
        await self.zap_range(gather, vma, start, end, why, files_only=files_only)
        await self.finish(gather)

    def gather(self, space: AddressSpace, users: int = 2) -> Gather:
        """tlb_gather_mmu()."""
        AddressSpace.flush_pending.add(space, 1)
        return Gather(space, users)

    async def finish(self, gather: Gather) -> None:
        """tlb_finish_mmu(). Who found an entry gone that another thread is about to flush flushes as well (4.13)."""
        space = gather.space
        if self.rules.flush_pending is FlushPending.FLUSHED and space.flush_pending > 1:
            await self.shootdown(space, 0, 0, freed_tables=True)
            gather.reset()
        await self._flush_and_free(gather)
        AddressSpace.flush_pending.add(space, -1)

    # Entries

    async def zap_range(
        self, gather: Gather, vma: Vma, start: int, end: int, why: str, *, files_only: bool = False
    ) -> None:
        """unmap_page_range()."""
        address = start
        while address < end:
            slot = self.tables.leaf(gather.space, address)
            upto = slot.start + self.tables.span(slot.level)
            if not slot.level:
                address = await self._zap_table(gather, vma, slot, end, why, files_only=files_only)
            elif slot.entry.kind != EntryKind.PAGE or (files_only and not vma.hugetlb):
                address = upto
            elif vma.hugetlb:
                await self.zap_hugetlb(gather.space, vma, slot, why)
                address = upto
            elif slot.start < start or upto > end:
                await self.split_huge_pmd(gather.space, slot)  # and the same address again
            elif await self._zap_leaf(gather, slot, why):
                address = upto  # else somebody has just split it: the same address again

    async def _zap_leaf(self, gather: Gather, slot: Slot, why: str) -> bool:
        """zap_huge_pmd()."""
        pfn = await self.take_huge(gather.space, slot, why)
        if pfn >= 0:
            gather.adjust(slot.start, slot.pages)
            gather.pages.append((slot.start, pfn))
        return pfn >= 0

    async def _zap_table(self, gather: Gather, vma: Vma, slot: Slot, end: int, why: str, *, files_only: bool) -> int:
        """zap_pte_range(): the entries of one table; the address to go on at.

        Rule R2: if one was the dirty entry of a file page, all are flushed before the lock is dropped, so that
        page_mkclean, which must take it, cannot call the page clean while somebody writes through a translation."""
        space = gather.space
        address = slot.address
        force = False
        async with slot.lock:
            if not self.tables.linked(space, slot):
                return address  # the table went while we waited
            await self.flush_batched_pending(space)
            end = min(end, slot.table_end)
            while address < end and len(gather.pages) < _BATCH:
                force |= await self._zap_entry(gather, vma, slot.beside(address), why, files_only=files_only)
                address += PAGE_SIZE
            force |= len(gather.pages) >= _BATCH
            if force:
                await self._flush(gather)
        if force:
            await self._flush_and_free(gather)
        return address

    async def _zap_entry(self, gather: Gather, vma: Vma, slot: Slot, why: str, *, files_only: bool) -> bool:
        """One entry; True if it was the dirty one of a file page."""
        space, entry = gather.space, slot.entry
        if entry.kind != EntryKind.PAGE:
            if entry.kind != EntryKind.NONE and not files_only:
                await self.set_entry(space, slot, NONE, why)
                if entry.kind == EntryKind.SWAP:
                    await self.ask(self.reclaim, reclaim.SwapFree(entry.target, cache=True))
                else:  # of a page on its way: it is not mapped here any more
                    self.forget_anon(entry.target, space, slot.address)
            return False
        anon = (space.mm, slot.address) in self.anon_rmap.get(entry.target, ())
        if files_only and anon:
            return False
        await self.set_entry(space, slot, NONE, why)
        gather.adjust(slot.address)
        if entry.special:
            return False
        if anon:
            self.forget_anon(entry.target, space, slot.address)
        dirty_file = entry.dirty and not anon
        if dirty_file:
            await self.mark_page_dirty(entry.target, vma, slot.address, why)
        if dirty_file and self.rules.zap_rmap is ZapRmap.AFTER_FLUSH:
            gather.rmaps.append(entry.target)
        else:
            await self.drop_mapping_count(entry.target)
        gather.pages.append((slot.address, entry.target))
        return dirty_file

    # Page tables

    async def free_page_tables(self, gather: Gather, gone: list[Vma]) -> None:
        """free_pgtables() for mappings that are gone: every table in whose reach no other mapping is. Level by level,
        so that no table is unlinked before those below it."""
        space = gather.space
        for level in range(1, self.tables.levels):
            span = self.tables.span(level)
            for base in (base for vma in gone for base in range(vma.start & -span, vma.end, span)):
                slot = self.tables.find(space, base, level)
                if slot is None or slot.entry.kind != EntryKind.TABLE or space.overlaps(base, base + span):
                    continue
                await self._unlink(gather, slot, slot.entry.target)

    async def _unlink(self, gather: Gather, slot: Slot, table: int) -> None:
        """free_pte_range(), free_pmd_range(). The lock stands for unlink_anon_vmas() and unlink_file_vma(), which
        wait for walks of the reverse map; who waits for it then sees that the table is not linked any more."""
        async with self.tables.lock(table):
            await self.set_entry(gather.space, slot, NONE, "free_pgtables")
        gather.adjust(slot.start)
        gather.freed_tables = True
        await self.remove_table(gather, table)

    async def remove_table(self, gather: Gather, table: int) -> None:
        """tlb_remove_table(), or where tables are pages like others, tlb_remove_page()."""
        if self.rules.table_free is TableFree.RCU:
            if self.rules.table_single_user is TableSingleUser.SHORTCUT and gather.users < 2:
                self.free_table(table, "at once")
                return
            if self.rules.table_batch is TableBatch.FAILS:
                await self._flush(gather)
                if self.rules.table_sync is TableSync.IPI:
                    await self.sync_walkers()
                self.free_table(table, "sync" if self.rules.table_sync is TableSync.IPI else "at once")
                return
        gather.tables.append(table)

    def free_table(self, table: int, how: str) -> None:
        """pte_free(), reported."""
        self.trace(TableFreed(table=table, generation=self.tables.free_table(table), how=how))

    async def _free_by_rcu(self, tables: list[int]) -> None:
        """tlb_remove_table_rcu(), after a grace period."""
        await self.quiescent()
        for table in tables:
            self.free_table(table, "rcu")

    # The end of a batch

    async def _flush(self, gather: Gather) -> None:
        """tlb_flush_mmu_tlbonly(), tlb_flush_rmaps()."""
        if gather.start >= 0:
            pages = (gather.end - gather.start) // PAGE_SIZE
            freed = gather.freed_tables
            start = gather.start
            gather.reset()
            await self.shootdown(gather.space, start, pages, freed_tables=freed)
        for pfn in gather.rmaps:
            await self.drop_mapping_count(pfn)
        gather.rmaps.clear()

    async def _flush_and_free(self, gather: Gather) -> None:
        """tlb_flush_mmu(): tables and pages go back only now (R1)."""
        await self._flush(gather)
        tables, gather.tables = gather.tables, []
        if tables and self.rules.table_free is TableFree.RCU:
            self.start(self._free_by_rcu(tables), f"{self.host}/rcu")
        else:
            for table in tables:
                self.free_table(table, "flush")
        pages, gather.pages = gather.pages, []
        for address, pfn in pages:
            if self.swap and (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.SWAPCACHE))).flags:
                await self.ask(self.reclaim, reclaim.FreeSwapCache(pfn))
            await self.put_mapping(gather.space, address, pfn)
