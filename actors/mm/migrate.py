"""Migration of one anonymous page to another frame: NUMA balancing, compaction, move_pages(2) (S22, S44, S49)."""

from __future__ import annotations

import errno
from functools import partial

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.core import rmap_lock
from gupsim.actors.mm.faults import Faults
from gupsim.actors.mm.spaces import AddressSpace
from gupsim.actors.mm.split import Split
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.mm.thp import ANON
from gupsim.actors.rules.faults import MigrateOrder
from gupsim.protocol import memmap
from gupsim.protocol.gup import MovePage
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Status
from gupsim.protocol.pagetable import EntryKind
from gupsim.protocol.reclaim import IsolatePage, LruAdd, PutbackPage


class Migrate(Faults, Split):
    """Whoever has a reference keeps a page where it is; the question is only when its count is looked at."""

    @handles(MovePage)
    async def move_page(self, msg: MovePage) -> Status:
        """migrate_pages() of a list of one."""
        space = self.space(msg.mm)
        slot = self.tables.find(space, msg.address & -PAGE_SIZE)
        if slot is None:
            return Status(-errno.ENOENT)
        async with slot.lock:
            pfn = slot.entry.target
            if slot.entry.kind != EntryKind.PAGE or not self.anon_rmap.get(pfn, ()):
                return Status(-errno.ENOENT)
            if self.rules.migrate_order is MigrateOrder.HINTED:
                # change_prot_numa(): from now on faults and GUP are to come to us first.
                await self.set_entry(space, slot, replace(slot.entry, protnone=True), "change_prot_numa")
                await self.shootdown(space, slot.address, 1)
            if not (await self.ask(self.reclaim, IsolatePage(pfn))).yes:
                return Status(-errno.EAGAIN)
        target = (await self.ask(self.memmap, memmap.AllocPages("anon"))).pfn
        if target < 0:
            await self.ask(self.reclaim, PutbackPage(pfn))
            return Status(-errno.ENOMEM)
        await self.ask(self.memmap, memmap.LockPage(pfn))
        await self.ask(self.memmap, memmap.ChangeFlags(target, set=ANON))
        if self.rules.migrate_order is MigrateOrder.HINTED:
            moved = await self._move_hinted(space, slot, pfn, target)
        else:
            moved = await self._move_unmapped(pfn, target)
        await self.ask(self.memmap, memmap.UnlockPage(pfn))
        if moved:
            await self.ask(self.reclaim, LruAdd(target, anon=True))
            await self.put_own(pfn, "isolate")
        else:
            await self.ask(self.reclaim, PutbackPage(pfn))
        await self.put_own(target, "alloc")
        return Status(0 if moved else -errno.EAGAIN)

    async def _move_unmapped(self, pfn: int, target: int) -> bool:
        """try_to_migrate(), move_to_new_folio(), remove_migration_ptes(). Of an anonymous page the count is compared
        and not frozen (folio_migrate_mapping without a mapping): nothing leads to the page any more."""
        early = self.rules.migrate_order is MigrateOrder.COUNT_FIRST
        alone = not early or await self._only_mapped(pfn)
        if alone:
            for space, _, address in self.in_turn(partial(self.anon_mappings, pfn)):
                async with rmap_lock(space):
                    slot = self.tables.find(space, address)
                    if slot is not None:
                        await self.migrate_entry(space, slot, pfn)
            alone = early or (await self.ask(self.memmap, memmap.ReadCounts(pfn))).refs == 1
        if alone:
            await self.copy_content(pfn, target)
        await self.remove_migration_entries(pfn, target if alone else pfn)
        return alone

    async def _only_mapped(self, pfn: int) -> bool:
        """Mappings and our own isolation explain every reference."""
        counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
        return counts.refs == counts.maps + 1

    async def _move_hinted(self, space: AddressSpace, slot: Slot, pfn: int, target: int) -> bool:
        """migrate_misplaced_transhuge_page() of 3.8: the entry stays, as a NUMA-hinting one, which must keep everybody
        out between the look at the count and the new entry."""
        hinted = slot.entry
        if not hinted.protnone or hinted.target != pfn or not await self._only_mapped(pfn):
            return False
        await self.copy_content(pfn, target)
        async with slot.lock:
            same = slot.entry == hinted and self.tables.linked(space, slot)
            if same:
                await self.set_entry(space, slot, NONE, "migrate_misplaced_page")
                await self.shootdown(space, slot.address, 1)
                back = replace(hinted, target=target, protnone=False)
                await self.point_to(space, slot, pfn, back, "migrate_misplaced_page", exclusive=True)
                await self.drop_mapping_count(pfn)
        if same:
            await self.put_mapping(space, slot.address, pfn)
        return same
