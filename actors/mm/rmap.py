"""The reverse map: from a page to the entries that map it (B9 steps 3 and 5, B11 step 4)."""

from __future__ import annotations

from msgspec.structs import replace

from actors.base import handles
from actors.mm.core import MmCore, clean
from actors.mm.spaces import AddressSpace, Vma
from actors.mm.tables import NONE, Slot
from actors.rules.rules import UnmapPinnedAnon
from protocol import memmap
from protocol.memmap import Page
from protocol.message import NO, Flag
from protocol.mm import Mkclean, PageMkclean, PageReferenced, TryToUnmap, Unmap, Unmapped
from protocol.pagetable import Entry, EntryKind


class Rmap(MmCore):
    """Knows nothing of pins, but for one check of 5.19."""

    @handles(PageMkclean)
    async def page_mkclean(self, msg: PageMkclean) -> Flag:
        """page_mkclean_one() for each mapping: clear and flush the entry, put it back read-only and clean."""
        if not (await self.ask(self.memmap, memmap.PageMapped(msg.pfn))).yes:
            return NO
        seen = 0
        dirty = False
        for space, vma, address in self.file_mappings(msg.fs, msg.ino, msg.index):
            slot = self._slot(space, address)
            if not vma.shared or slot is None:
                continue
            async with slot.lock:
                entry = slot.entry
                if not _maps(entry, msg.pfn):
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
        for space, _, address in await self._mappings(msg.pfn):
            slot = self._slot(space, address)
            if slot is None:
                continue
            async with slot.lock:
                entry = slot.entry
                if _maps(entry, msg.pfn) and entry.young:
                    referenced = True
                    slot.entry = replace(entry, young=False)
        return Flag(referenced)

    @handles(TryToUnmap)
    async def try_to_unmap(self, msg: TryToUnmap) -> Unmapped:
        """try_to_unmap_one() for each mapping. The flush is not deferred (B4, reclaim batching, comes with S50)."""
        ok = True
        for space, vma, address in await self._mappings(msg.pfn):
            slot = self._slot(space, address)
            if slot is not None and not await self._unmap_one(space, vma, slot, msg):
                ok = False
                break
        self.trace(Unmap(pfn=msg.pfn, ok=ok))
        return Unmapped(ok)

    async def _unmap_one(self, space: AddressSpace, vma: Vma, slot: Slot, msg: TryToUnmap) -> bool:
        anon = (space.mm, slot.address) in self.anon_rmap.get(msg.pfn, ())
        async with slot.lock:
            entry = slot.entry
            if not _maps(entry, msg.pfn):
                return True
            if anon and msg.slot < 0:
                return False
            await self.set_entry(space, slot, NONE, "try_to_unmap")
            await self.shootdown(space, slot.address, 1)
            exclusive = False
            if anon:
                flags = await self.ask(self.memmap, memmap.ReadFlags(msg.pfn, Page.ANON_EXCLUSIVE))
                exclusive = bool(flags.flags)
                if exclusive and self.rules.unmap_pinned_anon is UnmapPinnedAnon.ABORT:
                    # The entry is clear and flushed before the question: W3 of B8, step A2.
                    pinned = await self.ask(self.memmap, memmap.MaybeDmaPinned(msg.pfn, "try_to_unmap"))
                    if pinned.yes:
                        await self.set_entry(space, slot, entry, "try_to_unmap")
                        return False
            if entry.dirty:
                await self.mark_page_dirty(msg.pfn, vma, slot.address, "try_to_unmap")
            if anon:
                remembers = exclusive and self.rules.unmap_pinned_anon is UnmapPinnedAnon.ABORT
                swap = Entry(kind=EntryKind.SWAP, target=msg.slot, exclusive=remembers)
                await self.set_entry(space, slot, swap, "try_to_unmap")
                self.forget_anon(msg.pfn, space, slot.address)
            await self.drop_mapping_count(msg.pfn)
        await self.put_mapping(space, slot.address, msg.pfn)
        return True

    async def _mappings(self, pfn: int) -> list[tuple[AddressSpace, Vma, int]]:
        anon = self.anon_mappings(pfn)
        if anon:
            return anon
        mapping = await self.ask(self.memmap, memmap.ReadMapping(pfn))
        return self.file_mappings(mapping.fs, mapping.ino, mapping.index) if mapping.ino else []

    def _slot(self, space: AddressSpace, address: int) -> Slot | None:
        return self.tables.find(space, address)


def _maps(entry: Entry, pfn: int) -> bool:
    return entry.kind == EntryKind.PAGE and entry.target == pfn
