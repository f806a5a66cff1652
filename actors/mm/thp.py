"""Huge leaves: their faults, their page tables in reserve, their end (B5). The huge zero page is not modelled."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gupsim.actors.base import Map, Port, WaitQueue
from gupsim.actors.mm.core import MmCore, mapping_ledger
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.faults import CowReuse
from gupsim.actors.rules.reclaim import UnmapPinnedAnon
from gupsim.actors.rules.thp import ThpEnabled
from gupsim.protocol import memmap
from gupsim.protocol.folio import MostMapped, SplitMapping
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Prot
from gupsim.protocol.pagetable import Entry, EntryKind, TableFree
from gupsim.protocol.reclaim import LruAdd

ANON = Page.ANON | Page.SWAPBACKED | Page.UPTODATE


class Thp(MmCore):
    """A huge leaf is an entry of level 1. Each has a page table in reserve (pgtable_trans_huge_deposit), so that
    splitting it never fails."""

    def __init__(self, address: str, port: Port, **options: Any) -> None:
        super().__init__(address, port, **options)
        self._deposited: Map[int, tuple[int, ...]] = Map(self, "pmd_huge_pte")
        """pmd table -> page tables in reserve for its huge leaves; the last one in is the first one out."""
        self._migrations: dict[int, WaitQueue] = {}

    # The page tables in reserve, pmd lock held

    def deposit(self, slot: Slot, table: int) -> None:
        """pgtable_trans_huge_deposit()."""
        self._deposited[slot.table] = (*self._deposited.get(slot.table, ()), table)

    def withdraw(self, slot: Slot) -> int:
        """pgtable_trans_huge_withdraw()."""
        *rest, table = self._deposited[slot.table]
        self._deposited[slot.table] = tuple(rest)
        return table

    def free_deposited(self, slot: Slot) -> None:
        """zap_deposited_table(): pte_free() at once. Nobody waits for walkers: it was never in use, unless it is the
        one of a collapsed range (S17)."""
        table = self.withdraw(slot)
        self.trace(TableFree(table=table, generation=self.tables.free_table(table), how="at once"))

    # Faults

    async def huge_fault(
        self, space: AddressSpace, vma: Vma, address: int, *, write: bool, unshare: bool
    ) -> int | None:
        """The part of __handle_mm_fault() above the last level: an errno or 0; None: go on with small pages."""
        if vma.hugetlb:
            return None
        slot = self.tables.make(space, address, 1)
        entry = slot.entry
        if entry.kind == EntryKind.NONE:
            return await self._anonymous_huge_page(space, vma, slot) if self.suitable(vma, slot) else None
        if entry.kind != EntryKind.PAGE:
            return None
        if entry.splitting:
            await self.wait_split(space, slot)
            return 0
        if (write and not entry.writable) or unshare:
            return await self._huge_wp_page(space, vma, slot, entry, unshare=unshare)
        async with slot.lock:
            # An invalid leaf is being split under this lock: who comes here waits for that and faults again.
            if slot.entry == entry and (entry.protnone or not entry.young):
                made = replace(entry, protnone=False, young=True)
                await self.set_entry(space, slot, made, "do_huge_pmd_numa_page")
        return 0

    def suitable(self, vma: Vma, slot: Slot) -> bool:
        """thp_vma_allowable_order(), thp_vma_suitable_order()."""
        if vma.fs or vma.shared or vma.device or self.rules.thp_enabled is ThpEnabled.NEVER:
            return False
        wanted = vma.thp is True if self.rules.thp_enabled is ThpEnabled.MADVISE else vma.thp is not False
        return wanted and self.fits(vma, slot)

    def fits(self, vma: Vma, slot: Slot) -> bool:
        """Does the mapping cover all of a huge range?"""
        return vma.start <= slot.start and slot.start + slot.pages * PAGE_SIZE <= vma.end

    async def _anonymous_huge_page(self, space: AddressSpace, vma: Vma, slot: Slot) -> int | None:
        """do_huge_pmd_anonymous_page(), for reads as well (use_zero_page 0)."""
        pfn = (await self.ask(self.memmap, memmap.AllocPages("anon", self.tables.bits, zero=True))).pfn
        if pfn < 0:
            return None
        table, _ = self.tables.new_table()
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=ANON | Page.ANON_EXCLUSIVE))
        async with slot.lock:
            vacant = slot.entry.kind == EntryKind.NONE
            if vacant:
                await self.map_huge(space, vma, slot, pfn, table=table, why="do_huge_pmd_anonymous_page")
        if vacant:
            await self.ask(self.reclaim, LruAdd(pfn, anon=True))
        else:
            self.tables.free_table(table)
            await self.put_own(pfn, "alloc")
        return 0

    async def map_huge(self, space: AddressSpace, vma: Vma, slot: Slot, pfn: int, *, table: int, why: str) -> None:
        """The end of a huge fault and of a collapse, pmd lock held: rmap, deposit, set_pmd_at()."""
        ledger = mapping_ledger(space, slot.start)
        await self.ask(self.memmap, memmap.AddMaps(pfn, 1, "alloc", ledger, entire=True))
        self.track_anon(pfn, space, slot.start)
        self.deposit(slot, table)
        leaf = Entry(kind=EntryKind.PAGE, target=pfn, writable=vma.writable(), dirty=True, young=True)
        await self.set_entry(space, slot, leaf, why)

    async def _huge_wp_page(
        self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry, *, unshare: bool
    ) -> int | None:
        """do_huge_pmd_wp_page(): reuse the huge page if it is ours alone, else split the leaf and go on below.

        Kernels before 5.8 copied it as a whole; here they fall back like the others."""
        pfn = entry.target
        locked = waited = False
        while True:
            async with slot.lock:
                if waited:
                    await self.put_own(pfn, "lookup")
                same = slot.entry == entry
                exclusive = same and await self._exclusive(pfn)
                if same and not exclusive and not locked:
                    locked = (await self.ask(self.memmap, memmap.TryLockPage(pfn))).yes
                decided = not same or exclusive or locked
                reuse = exclusive or (same and locked and await self._alone(pfn))
                if reuse:
                    await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.ANON_EXCLUSIVE))
                    if not unshare:
                        made = replace(entry, writable=vma.writable(), dirty=True, young=True)
                        await self.set_entry(space, slot, made, "do_huge_pmd_wp_page")
                if not decided:
                    await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", self.port.context))
            if decided:
                break
            await self.ask(self.memmap, memmap.LockPage(pfn))
            locked = waited = True
        if locked:
            await self.ask(self.memmap, memmap.UnlockPage(pfn))
        if reuse or not same:
            return 0
        await self.split_huge_pmd(space, slot)
        return None

    async def _exclusive(self, pfn: int) -> bool:
        if self.rules.cow_reuse is not CowReuse.EXCLUSIVE:
            return False
        return bool((await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))).flags)

    async def _alone(self, pfn: int) -> bool:
        """Before 5.18 huge pages were still judged by their mappings alone (reuse_swap_page)."""
        if self.rules.cow_reuse is CowReuse.EXCLUSIVE:
            return (await self.ask(self.memmap, memmap.ReadCounts(pfn))).refs == 1
        return (await self.ask(self.memmap, MostMapped(pfn))).maps == 1

    # The end of a huge leaf

    async def wait_split(self, space: AddressSpace, slot: Slot) -> None:
        """wait_split_huge_page(), before 4.5: who splits a huge page holds the anon_vma lock until it is done."""
        if slot.entry.splitting:
            async with space.anon_vma_lock.shared():
                pass

    async def split_huge_pmd(self, space: AddressSpace, slot: Slot, *, freeze: bool = False) -> None:
        """__split_huge_pmd() (B5): entries in place of the leaf; the folio stays what it is. Nothing to do if somebody
        else was faster. freeze: migration entries, unless a device may be at work in the folio."""
        async with slot.lock:
            if slot.level and slot.entry.kind == EntryKind.PAGE:
                await self._split_leaf(space, slot, slot.entry, freeze=freeze)

    async def _split_leaf(self, space: AddressSpace, slot: Slot, entry: Entry, *, freeze: bool) -> None:
        head, pages = entry.target, slot.pages
        ledger = mapping_ledger(space, slot.start)
        # pmdp_invalidate(): where the flush is an interrupt, it waits for every fast walker that saw the leaf.
        await self.set_entry(space, slot, replace(entry, invalid=True), "split_huge_pmd")
        await self.shootdown(space, slot.start, pages)
        exclusive = bool((await self.ask(self.memmap, memmap.ReadFlags(head, Page.ANON_EXCLUSIVE))).flags)
        if freeze and exclusive:
            freeze = await self.try_share(head)
        if freeze:
            await self.ask(self.memmap, memmap.AddMaps(head, -1, entire=True))
        else:
            # Before the mappings are counted: at no time may there be more mappings than references.
            await self.ask(self.memmap, memmap.GetRefs(head, pages - 1, "map", ledger))
            addresses = range(slot.start, slot.start + pages * PAGE_SIZE, PAGE_SIZE)
            ledgers = tuple(mapping_ledger(space, address) for address in addresses)
            await self.ask(self.memmap, SplitMapping(head, ledger, ledgers, exclusive))
        parts = [_part(entry, number, freeze=freeze, exclusive=exclusive) for number in range(pages)]
        await self.fill_deposited(space, slot, parts)
        if freeze:
            await self.ask(self.memmap, memmap.PutRefs(head, 1, "map", ledger))

    async def fill_deposited(self, space: AddressSpace, slot: Slot, parts: list[Entry]) -> None:
        """pgtable_trans_huge_withdraw(), set_pte_at() for each page, pmd_populate(), pmd lock held."""
        table = self.withdraw(slot)
        generation = self.tables.renew(table)
        for number, part in enumerate(parts):
            if number:
                self.track_anon(part.target, space, slot.start + number * PAGE_SIZE)
            self.tables.write(table, number, part)
        down = Entry(kind=EntryKind.TABLE, target=table, generation=generation)
        await self.set_entry(space, slot, down, "split_huge_pmd")

    async def try_share(self, pfn: int) -> bool:
        """folio_try_share_anon_rmap(), entry cleared and flushed: PageAnonExclusive goes unless the page may be pinned
        (W3 of B8). Before 5.19 there was no such flag and nobody asked."""
        if self.rules.unmap_pinned_anon is UnmapPinnedAnon.UNMAP:
            return True
        if (await self.ask(self.memmap, memmap.MaybeDmaPinned(pfn, "try_share_anon_rmap"))).yes:
            self.rules.decide("unmap_pinned_anon")
            return False
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.ANON_EXCLUSIVE))
        return True

    async def take_huge(self, space: AddressSpace, slot: Slot, why: str) -> int:
        """zap_huge_pmd() up to the gather: pfn of the folio that is to be put (`put_mapping` at `slot.start`) after
        the flush, or -1 if there is no huge leaf any more."""
        await self.wait_split(space, slot)
        async with slot.lock:
            entry = slot.entry
            if not slot.level or entry.kind != EntryKind.PAGE or entry.splitting:
                return -1
            await self.set_entry(space, slot, NONE, why)
            self.forget_anon(entry.target, space, slot.start)
            await self.ask(self.memmap, memmap.AddMaps(entry.target, -1, entire=True))
            self.free_deposited(slot)
        return entry.target

    async def change_huge_pmd(self, space: AddressSpace, slot: Slot, prot: int) -> bool | None:
        """change_huge_pmd(): mprotect of a whole leaf, which loses the write bit here and gains it at the next fault
        only. The caller flushes; False if nothing changed, None if there is no huge leaf any more."""
        await self.wait_split(space, slot)
        async with slot.lock:
            entry = slot.entry
            if entry.kind != EntryKind.PAGE or entry.splitting:
                return None
            readable = bool(prot & Prot.READ)
            writable = entry.writable and bool(prot & Prot.WRITE)
            changed = replace(entry, writable=writable and readable, protnone=not readable)
            if changed != entry:
                await self.set_entry(space, slot, changed, "change_huge_pmd")
            return changed != entry

    # Migration entries

    async def wait_for_migration(self, slot: Slot) -> None:
        """migration_entry_wait(): until the entry says where the page is now. The caller faults again."""
        entry = slot.entry
        if entry.kind != EntryKind.MIGRATION:
            return
        queue = self._migrations.setdefault(entry.target, WaitQueue(self, f"migration of page {entry.target}"))
        await queue.sleep()

    def migration_ended(self, pfn: int) -> None:
        """remove_migration_pte(): an entry stands for the page again."""
        queue = self._migrations.pop(pfn, None)
        if queue is not None:
            queue.wake_all()


def _part(entry: Entry, number: int, *, freeze: bool, exclusive: bool) -> Entry:
    """The entry of one page in place of a huge leaf."""
    pfn = entry.target + number
    if freeze:
        return Entry(
            kind=EntryKind.MIGRATION, target=pfn, writable=entry.writable, dirty=entry.dirty, exclusive=exclusive
        )
    return replace(entry, target=pfn)
