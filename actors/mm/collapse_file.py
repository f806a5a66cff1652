"""The part of collapse_file() that knows address spaces: which range it is, and its page tables afterwards (B5)."""

from __future__ import annotations

from functools import partial

from gupsim.actors.base import handles
from gupsim.actors.mm.gather import Zap
from gupsim.actors.mm.spaces import AddressSpace
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.thp import CollapseSync
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import DONE, Done
from gupsim.protocol.pagetable import EntryKind
from gupsim.protocol.shmem import SHMEM, CollapseFile, RetractTables


class CollapseFiles(Zap):
    """The huge page is the page cache's. It is mapped by small entries, at the next faults (see limits.md)."""

    async def collapse_file(self, space: AddressSpace, start: int) -> tuple[str, int]:
        """hugepage_vma_revalidate(), then, without any lock of the address space, the page cache."""
        pages = self.tables.pages(1)
        async with space.mmap_lock.shared():
            vma = space.find_vma(start)
            if vma is None or vma.fs != SHMEM or vma.thp is False or start + pages * PAGE_SIZE > vma.end:
                return "vma_check", -1
            index = vma.index_of(start)
            if index % pages:
                return "vma_check", -1
        done = await self.ask(self.at(SHMEM), CollapseFile(vma.ino, index, self.tables.bits))
        return done.result, done.pfn

    @handles(RetractTables)
    async def retract_tables(self, msg: RetractTables) -> Done:
        """retract_page_tables(), as before 6.6: where mmap_lock is taken, the table stays."""
        span = self.tables.span(1)
        for space, vma, address in self.in_turn(partial(self.file_mappings, msg.fs, msg.ino, msg.index)):
            if address % span or address + span > vma.end or not space.mmap_lock.try_acquire():
                continue
            await self._retract(space, address)
            space.mmap_lock.release()
        return DONE

    async def _retract(self, space: AddressSpace, address: int) -> None:
        """pmdp_collapse_flush() of a table in which nothing stands any more, then the end of the table: who walks
        without a lock may still be in it, unless somebody waits for him (rule collapse_sync)."""
        pmd = self.tables.find(space, address, 1)
        if pmd is None or pmd.entry.kind != EntryKind.TABLE:
            return
        table = pmd.entry.target
        async with pmd.lock, self.tables.lock(table):
            entries = (Slot(self.tables, table, number, 0, address) for number in range(self.tables.pages(1)))
            if any(slot.entry.kind != EntryKind.NONE for slot in entries):
                return  # private copies
            await self.set_entry(space, pmd, NONE, "retract_page_tables")
            await self.shootdown(space, address, pmd.pages)
        synced = self.rules.collapse_sync is CollapseSync.IPI
        if synced:
            await self.sync_walkers()
        self.free_table(table, "sync" if synced else "at once")
