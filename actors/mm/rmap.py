"""The reverse map: from a page to the entries that map it (B9 steps 3 and 5, B11 step 4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.core import Place, clean, rmap_lock
from gupsim.actors.mm.flush import Flush
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.reclaim import Lazyfree, UnmapPinnedAnon
from gupsim.protocol import memmap
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.memmap import Page
from gupsim.protocol.message import NO, Flag
from gupsim.protocol.mm import Mkclean, PageMkclean, PageReferenced, TryToUnmap, Unmap, Unmapped
from gupsim.protocol.pagetable import Entry, EntryKind
from gupsim.protocol.reclaim import SwapDuplicate


class _Owed:
    """What try_to_unmap leaves to TryToUnmapFlush."""

    __slots__ = ("dirty", "flush")

    def __init__(self) -> None:
        self.flush = False
        self.dirty = False


class Rmap(Flush):
    """Knows nothing of pins, but for one check of 5.19."""

    @handles(PageMkclean)
    async def page_mkclean(self, msg: PageMkclean) -> Flag:
        """page_mkclean_one() for each mapping: clear and flush the entry, put it back read-only and clean."""
        if not (await self.ask(self.memmap, memmap.PageMapped(msg.pfn))).yes:
            return NO
        seen = 0
        dirty = False
        for space, vma, address in self.in_turn(partial(self.file_mappings, msg.fs, msg.ino, msg.index)):
            slot = self.tables.find(space, address)
            if not vma.shared or slot is None:
                continue
            async with slot.lock:
                entry = slot.entry
                if not _maps(slot, entry, msg.pfn) or not self.tables.linked(space, slot):
                    continue
                seen += 1
                if not entry.writable and not entry.dirty:
                    continue
                dirty = True
                await self.set_entry(space, slot, NONE, "page_mkclean")
                await self.shootdown(space, address, 1)
                await self.set_entry(space, slot, clean(entry), "page_mkclean")
        self.trace(Mkclean(pfn=msg.pfn, mappings=seen, dirty=dirty))
        return Flag(dirty)

    @handles(PageReferenced)
    async def page_referenced(self, msg: PageReferenced) -> Flag:
        """Test and clear the accessed bits; no flush, a stale accessed bit in a TLB costs nothing but accuracy."""
        if not (await self.ask(self.memmap, memmap.PageMapped(msg.pfn))).yes:
            return NO
        referenced = False
        anon = bool(self.anon_mappings(msg.pfn))
        for space, _, address in self.in_turn(await self._mappings(msg.pfn)):
            async with rmap_lock(space, anon=anon):
                slot = self.tables.leaf(space, address)
                async with slot.lock:
                    entry = slot.entry
                    if _maps(slot, entry, msg.pfn) and entry.young and self.tables.linked(space, slot):
                        referenced = True
                        slot.entry = replace(entry, young=False)
        return Flag(referenced)

    @handles(TryToUnmap)
    async def try_to_unmap(self, msg: TryToUnmap) -> Unmapped:
        """try_to_unmap_one() for each mapping. A huge leaf is split first (TTU_SPLIT_HUGE_PMD)."""
        ok = True
        owed = _Owed()
        anon = bool(self.anon_mappings(msg.pfn))
        for space, vma, address in self.in_turn(await self._mappings(msg.pfn)):
            slot = self.tables.leaf(space, address)
            if slot.level and _maps(slot, slot.entry, msg.pfn):
                await self.split_huge_pmd(space, slot)
            async with rmap_lock(space, anon=anon):
                slot = self.tables.leaf(space, address)
                if not slot.level and not await self._unmap_one(space, vma, slot, msg, owed):
                    ok = False
                    break
        self.trace(Unmap(pfn=msg.pfn, ok=ok))
        return Unmapped(ok, owed.flush, owed.dirty)

    async def _unmap_one(self, space: AddressSpace, vma: Vma, slot: Slot, msg: TryToUnmap, owed: _Owed) -> bool:
        async with slot.lock:
            entry = slot.entry
            if not _maps(slot, entry, msg.pfn) or not self.tables.linked(space, slot):
                return True
            anon = (space.mm, slot.address) in self.anon_rmap.get(msg.pfn, ())
            if anon and msg.slot < 0 and not msg.lazyfree:
                return False
            await self.set_entry(space, slot, NONE, "try_to_unmap")
            if await self.flush_or_owe(space, slot.address):
                owed.flush = True
                owed.dirty |= entry.dirty
            exclusive = False
            if anon and not msg.lazyfree:
                flags = await self.ask(self.memmap, memmap.ReadFlags(msg.pfn, Page.ANON_EXCLUSIVE))
                exclusive = bool(flags.flags)
                if exclusive and self.rules.unmap_pinned_anon is UnmapPinnedAnon.ABORT:
                    # The entry is clear before the question: W3 of B8, step A2.
                    pinned = await self.ask(self.memmap, memmap.MaybeDmaPinned(msg.pfn, "try_to_unmap"))
                    if pinned.yes:
                        self.rules.decide("unmap_pinned_anon")
                        await self.set_entry(space, slot, entry, "try_to_unmap")
                        return False
                    # A3: the entry in swap remembers it from now on, and fork may take it away from that alone.
                    await self.ask(self.memmap, memmap.ChangeFlags(msg.pfn, clear=Page.ANON_EXCLUSIVE))
            if entry.dirty:
                await self.mark_page_dirty(msg.pfn, vma, slot.address, "try_to_unmap")
            if msg.lazyfree and not await self._droppable(msg.pfn):
                await self.set_entry(space, slot, entry, "try_to_unmap")
                return False
            if anon:
                self.forget_anon(msg.pfn, space, slot.address)
            if msg.lazyfree:
                self.trace(PageReplaced(space.mm, slot.address, msg.pfn, -1, True, "reclaim after MADV_FREE"))
            if anon and not msg.lazyfree:
                remembers = exclusive and self.rules.unmap_pinned_anon is UnmapPinnedAnon.ABORT
                await self.ask(self.reclaim, SwapDuplicate(msg.slot))
                swap = Entry(kind=EntryKind.SWAP, target=msg.slot, exclusive=remembers)
                await self.set_entry(space, slot, swap, "try_to_unmap")
            await self.drop_mapping_count(msg.pfn)
        await self.put_mapping(space, slot.address, msg.pfn)
        return True

    async def _droppable(self, pfn: int) -> bool:
        """After MADV_FREE, the entry cleared and its dirty bit moved: clean, and, since 5.18, nobody has it but us and
        mappings."""
        if (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.DIRTY))).flags:
            return False
        if self.rules.lazyfree is Lazyfree.UNCHECKED:
            return True
        counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
        return counts.refs == 1 + counts.maps

    async def _mappings(self, pfn: int) -> Callable[[], list[Place]]:
        if self.anon_mappings(pfn):
            return partial(self.anon_mappings, pfn)
        mapping = await self.ask(self.memmap, memmap.ReadMapping(pfn))
        return partial(self.file_mappings, mapping.fs, mapping.ino, mapping.index) if mapping.ino else list


def _maps(slot: Slot, entry: Entry, pfn: int) -> bool:
    return entry.kind == EntryKind.PAGE and entry.target <= pfn < entry.target + slot.pages
