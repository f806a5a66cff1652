"""split_huge_page(): the pages of a huge page become folios of their own, unless somebody uses it (B5, S20)."""

from __future__ import annotations

import errno
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.core import mapping_ledger, rmap_lock
from gupsim.actors.mm.spaces import AddressSpace
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.mm.thp import Thp
from gupsim.actors.rules.thp import ThpSplit
from gupsim.protocol import memmap
from gupsim.protocol.folio import SplitFolio
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.memmap import Folio, Page
from gupsim.protocol.message import Status
from gupsim.protocol.pagetable import Entry, EntryKind
from gupsim.protocol.reclaim import LruAdd
from gupsim.protocol.thp import SplitHugePage, SplitRefused

_CALLER: Final = 1
"""References of a folio that nothing maps and nobody but the caller uses. A huge page is never in the swap cache."""


class Split(Thp):
    """Anonymous huge pages; there are no others."""

    @handles(SplitHugePage)
    async def split_huge_page(self, msg: SplitHugePage) -> Status:
        """split_huge_page_to_list(), in the numbers of B5."""
        folio = await self.ask(self.memmap, memmap.ReadFolio(msg.pfn))
        if folio.pages == 1:
            return Status()
        flags = (await self.ask(self.memmap, memmap.ReadFlags(folio.head, Page.WRITEBACK | Page.ANON))).flags
        if flags != Page.ANON:
            return Status(-errno.EBUSY)
        spaces = {space.mm: space for pfn in _pfns(folio) for space, _, _ in self.anon_mappings(pfn)}
        async with AsyncExitStack() as stack:
            for _, space in sorted(spaces.items()):
                await stack.enter_async_context(space.anon_vma_lock)
            if self.rules.thp_split is ThpSplit.SPLITTING_BIT:
                refused = await self._split_with_bit(folio)
            else:
                refused = await self._split_frozen(folio, msg.kind)
        if refused:
            self.trace(SplitRefused(pfn=folio.head, why=refused))
            return Status(-errno.EAGAIN)
        return Status()

    async def split_huge_pmd(self, space: AddressSpace, slot: Slot, *, freeze: bool = False) -> None:
        """Before 4.5 a leaf could not be split without its page (split_huge_page_pmd)."""
        if self.rules.thp_split is not ThpSplit.SPLITTING_BIT:
            await super().split_huge_pmd(space, slot, freeze=freeze)
            return
        await self.wait_split(space, slot)
        async with slot.lock:
            head = slot.entry.target
            if not slot.level or slot.entry.kind != EntryKind.PAGE:
                return
            await self.ask(self.memmap, memmap.GetRefs(head, 1, "lookup", self.port.context))
        await self.ask(self.at("mm"), SplitHugePage(head, "lookup"))
        await self.put_own(head, "lookup")

    async def _split_frozen(self, folio: Folio, kind: str) -> str:
        """Since 4.5: "" if it is split, else why not."""
        counts = await self.ask(self.memmap, memmap.ReadCounts(folio.head))  # 1: can_split_folio(), racy
        if counts.refs - counts.maps != _CALLER:
            return "somebody holds references"
        await self._unmap_folio(folio)  # 2
        if self.rules.thp_split is ThpSplit.NO_FREEZE:
            alone = (await self.ask(self.memmap, memmap.ReadCounts(folio.head))).refs == _CALLER
        else:
            alone = (await self.ask(self.memmap, memmap.FreezeRefs(folio.head, _CALLER))).yes  # 4
        if alone:
            await self.ask(self.memmap, SplitFolio(folio.head, _CALLER, kind))  # 5, 6
        await self._remap_folio(folio)  # 7
        if not alone:
            return "somebody took a reference"
        await self._release_tails(folio, kind)  # 8
        return ""

    async def _release_tails(self, folio: Folio, kind: str) -> None:
        for tail in _pfns(folio)[1:]:
            await self.ask(self.reclaim, LruAdd(tail, anon=True))
            await self.ask(self.memmap, memmap.UnlockPage(tail))
            await self.put_own(tail, kind)

    # Migration entries in place of mappings

    async def _unmap_folio(self, folio: Folio) -> None:
        """unmap_folio(): try_to_migrate() of each mapping. What a device may be using stays mapped, and the freeze
        fails."""
        for space, _, address in self.in_turn(partial(self.anon_mappings, folio.head)):
            slot = self.tables.leaf(space, address)
            if slot.level and slot.entry.target == folio.head:
                await self.split_huge_pmd(space, slot, freeze=True)
        for pfn in _pfns(folio):
            for space, _, address in self.in_turn(partial(self.anon_mappings, pfn)):
                small = self.tables.find(space, address)
                if small is not None:
                    await self.migrate_entry(space, small, pfn)

    async def migrate_entry(self, space: AddressSpace, slot: Slot, pfn: int) -> None:
        """try_to_migrate_one()."""
        async with slot.lock:
            entry = slot.entry
            if entry.kind != EntryKind.PAGE or entry.target != pfn:
                return
            await self.set_entry(space, slot, NONE, "try_to_migrate")
            await self.shootdown(space, slot.address, 1)
            exclusive = bool((await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))).flags)
            if exclusive and not await self.try_share(pfn):
                await self.set_entry(space, slot, entry, "try_to_migrate")
                return
            moving = Entry(
                kind=EntryKind.MIGRATION, target=pfn, writable=entry.writable, dirty=entry.dirty, exclusive=exclusive
            )
            await self.set_entry(space, slot, moving, "try_to_migrate")
            await self.drop_mapping_count(pfn)
        await self.put_mapping(space, slot.address, pfn)

    async def _remap_folio(self, folio: Folio) -> None:
        """remap_page(). The anon_vma locks are held."""
        for pfn in _pfns(folio):
            await self.remove_migration_entries(pfn, pfn, locked=True)

    async def remove_migration_entries(self, pfn: int, now: int, *, locked: bool = False) -> None:
        """remove_migration_ptes(): entries for the page where it is now, and whoever waits faults again, also where
        somebody has taken the entry away meanwhile. locked: the caller holds the anon_vma locks."""
        for space, vma, address in self.in_turn(partial(self.anon_mappings, pfn)):
            async with rmap_lock(space, anon=not locked):
                slot = self.tables.find(space, address)
                if slot is None:
                    continue
                async with slot.lock:
                    entry = slot.entry
                    if entry.kind != EntryKind.MIGRATION or entry.target != pfn:
                        continue
                    writable = entry.writable and vma.writable()
                    back = Entry(kind=EntryKind.PAGE, target=now, writable=writable, dirty=entry.dirty)
                    await self.point_to(space, slot, pfn, back, "remove_migration_pte", exclusive=entry.exclusive)
        self.migration_ended(pfn)

    async def point_to(
        self, space: AddressSpace, slot: Slot, was: int, entry: Entry, why: str, *, exclusive: bool
    ) -> None:
        """folio_get(), folio_add_anon_rmap_pte(), set_pte_at(), page-table lock held."""
        pfn = entry.target
        await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "map", mapping_ledger(space, slot.address)))
        await self.ask(self.memmap, memmap.AddMaps(pfn, 1))
        if exclusive:
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.ANON_EXCLUSIVE))
        if pfn != was:
            self.forget_anon(was, space, slot.address)
            self.track_anon(pfn, space, slot.address)
        await self.set_entry(space, slot, entry, why)
        if pfn != was:
            self.trace(PageReplaced(space.mm, slot.address, was, pfn, True, why))

    # Before 4.5

    async def _split_with_bit(self, folio: Folio) -> str:
        """__split_huge_page() of kernels that counted the references of tails apart: it never fails, and it must be
        in step with fast walkers, which see the bit and go away. Where the flush does not wait for them they may still
        be counting (S20)."""
        places: list[tuple[AddressSpace, Slot]] = []
        for space, _, address in self.anon_mappings(folio.head):
            slot = self.tables.leaf(space, address)
            async with slot.lock:
                entry = slot.entry
                if slot.level and entry.kind == EntryKind.PAGE and entry.target == folio.head:
                    places.append((space, slot))
                    await self.set_entry(space, slot, replace(entry, splitting=True), "pmdp_splitting_flush")
                    await self.shootdown(space, slot.start, slot.pages)
        if not places:
            return "it is mapped nowhere"
        await self.ask(self.memmap, SplitFolio(folio.head, len(places), "map"))  # __split_huge_page_refcount()
        for space, slot in places:
            async with slot.lock:  # __split_huge_page_map()
                leaf = replace(slot.entry, splitting=False)
                await self.set_entry(space, slot, replace(leaf, invalid=True), "split_huge_page")
                await self.shootdown(space, slot.start, slot.pages)
                parts = [replace(leaf, target=pfn) for pfn in _pfns(folio)]
                await self.fill_deposited(space, slot, parts)
        for tail in _pfns(folio)[1:]:
            await self.ask(self.reclaim, LruAdd(tail, anon=True))
            await self.ask(self.memmap, memmap.UnlockPage(tail))
        return ""


def _pfns(folio: Folio) -> list[int]:
    return list(range(folio.head, folio.head + folio.pages))
