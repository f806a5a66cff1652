"""Copy-on-write: when a write fault may reuse a private page, and the copy where it may not (B8)."""

from __future__ import annotations

from msgspec.structs import replace

from gupsim.actors.base import chunks_of
from gupsim.actors.mm.core import ENOMEM, MmCore
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.faults import CowLarge, CowReuse, CowSwapCache
from gupsim.actors.rules.thp import ThpMapcount
from gupsim.protocol import memmap, memory
from gupsim.protocol.folio import MostMapped
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.memmap import ZERO_PFN, Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.pagetable import Entry, EntryKind
from gupsim.protocol.reclaim import FreeSwapCache, LruAdd, ReuseSwapPage, TryToFreeSwap

_ANON = Page.ANON | Page.SWAPBACKED | Page.UPTODATE


class Cow(MmCore):
    """mmap_lock is held for reading throughout."""

    async def break_cow(self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry, *, unshare: bool) -> int:
        """do_wp_page() on a private page (B8): reuse it if it is ours alone by the era's rule, else copy."""
        pfn = entry.target
        anon = bool(self.anon_rmap.get(pfn, ()))
        if await self._reused(space, vma, slot, entry, anon=anon, unshare=unshare):
            return 0
        if pfn == ZERO_PFN:
            copy = (await self.ask(self.memmap, memmap.AllocPages("anon", zero=True))).pfn
        else:
            copy = await self.copy_page(pfn)
        if copy < 0:
            if pfn != ZERO_PFN:
                await self.put_own(pfn, "lookup")
            return ENOMEM
        why = "unshare" if unshare else "wp_page_copy"
        replaced = await self.install_anon(space, vma, slot, copy, entry, why=why, readonly=unshare, was_anon=anon)
        if pfn != ZERO_PFN:
            if replaced:
                if anon:
                    self.forget_anon(pfn, space, slot.address)
                await self.drop_mapping_count(pfn)
                if self.swap and self.rules.cow_swap_cache is CowSwapCache.FREED:
                    await self.ask(self.reclaim, FreeSwapCache(pfn))
                await self.put_mapping(space, slot.address, pfn)
            await self.put_own(pfn, "lookup")
        return 0

    async def _reused(
        self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry, *, anon: bool, unshare: bool
    ) -> bool:
        """The part of do_wp_page() under the page-table lock. False: to be copied, and we have a reference of it.

        The page lock is waited for only where the page is judged by its mappings, and then without the other lock."""
        pfn = entry.target
        by_mappings = anon and self.rules.cow_reuse is CowReuse.MAPCOUNT
        locked = waited = False
        while True:
            async with slot.lock:
                if waited:
                    await self.put_own(pfn, "lookup")
                same = slot.entry == entry
                if same and by_mappings and not locked:
                    locked = (await self.ask(self.memmap, memmap.TryLockPage(pfn))).yes
                waits = same and by_mappings and not locked
                reuse = same and anon and not waits and await self._may_reuse(space, pfn)
                if reuse:
                    await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.ANON_EXCLUSIVE))
                if reuse and not unshare:
                    made = replace(entry, writable=vma.writable(), dirty=True, young=True)
                    await self.set_entry(space, slot, made, "wp_page_reuse")
                if same and not reuse and pfn != ZERO_PFN:
                    await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", self.port.context))
            if not waits:
                break
            await self.ask(self.memmap, memmap.LockPage(pfn))
            locked = waited = True
        if locked:
            await self.ask(self.memmap, memmap.UnlockPage(pfn))
        return reuse or not same

    async def _may_reuse(self, space: AddressSpace, pfn: int) -> bool:
        """Is an anonymous page ours alone? What counts as proof differs by era (rule cow_reuse)."""
        if self.rules.cow_reuse is CowReuse.MAPCOUNT:
            by_page = self.rules.thp_mapcount is ThpMapcount.PAGE
            maps = (await self.ask(self.memmap, MostMapped(pfn) if by_page else memmap.ReadCounts(pfn))).maps
            return await self.reuse_swap_page(pfn, maps)
        if self.rules.cow_reuse is CowReuse.REFCOUNT:
            return (await self.ask(self.memmap, memmap.ReadCounts(pfn))).refs == 1
        if (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))).flags:
            return True
        return await self._wp_can_reuse(space, pfn)

    async def reuse_swap_page(self, pfn: int, maps: int) -> bool:
        """reuse_swap_page(), page lock held. References are not looked at."""
        if not (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.SWAPCACHE))).flags:
            return maps <= 1
        return (await self.ask(self.reclaim, ReuseSwapPage(pfn, maps))).yes

    async def _wp_can_reuse(self, space: AddressSpace, pfn: int) -> bool:
        """wp_can_reuse_anon_folio(): one reference, that of this entry, once the swap cache has let go of it."""
        folio = await self.ask(self.memmap, memmap.ReadFolio(pfn))
        counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
        if folio.pages > 1 and self.rules.cow_large is not CowLarge.ONE_REFERENCE:
            everywhere = [mm for page in range(folio.pages) for mm, _ in self.anon_rmap.get(folio.head + page, ())]
            ours = all(mm == space.mm for mm in everywhere)
            return self.rules.cow_large is CowLarge.OWN_MAPPINGS and ours and counts.refs == counts.maps
        cached = (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.SWAPCACHE))).flags
        if not cached or counts.refs > 2:
            return counts.refs == 1
        if not (await self.ask(self.memmap, memmap.TryLockPage(pfn))).yes:
            return False
        await self.ask(self.reclaim, TryToFreeSwap(pfn))
        counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
        await self.ask(self.memmap, memmap.UnlockPage(pfn))
        return counts.refs == 1

    async def copy_page(self, source: int) -> int:
        """A copy in a new page: its pfn, or -ENOMEM."""
        pfn = (await self.ask(self.memmap, memmap.AllocPages("anon"))).pfn
        if pfn < 0:
            return ENOMEM
        await self.copy_content(source, pfn)
        return pfn

    async def copy_content(self, source: int, target: int) -> None:
        """copy_user_highpage()."""
        for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
            data = await self.ask(self.memory, memory.ReadMemory(source, offset, length, "mm"))
            await self.ask(self.memory, memory.WriteMemory(target, offset, data.data, "mm"))

    async def install_anon(
        self,
        space: AddressSpace,
        vma: Vma,
        slot: Slot,
        pfn: int,
        expected: Entry,
        *,
        why: str,
        readonly: bool = False,
        was_anon: bool = False,
    ) -> bool:
        """Map a fresh anonymous page where `expected` still stands; give it back otherwise. True if it is mapped.
        was_anon: what stands there is an anonymous page."""
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=_ANON | Page.ANON_EXCLUSIVE))
        async with slot.lock:
            if not same_place(slot.entry, expected):
                installed = False
            else:
                if expected.kind == EntryKind.PAGE:
                    # Clear and flush before the new page shows: no CPU may use both (wp_page_copy).
                    await self.set_entry(space, slot, NONE, why)
                    await self.shootdown(space, slot.address, 1)
                await self.add_mapping(space, slot, pfn, adopt="alloc")
                self.track_anon(pfn, space, slot.address)
                writable = vma.writable() and not readonly
                entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=writable, dirty=not readonly, young=True)
                await self.set_entry(space, slot, entry, why)
                if expected.kind == EntryKind.PAGE:
                    self.trace(PageReplaced(space.mm, slot.address, expected.target, pfn, was_anon, why))
                installed = True
        if not installed:
            await self.put_own(pfn, "alloc")
            return False
        await self.ask(self.reclaim, LruAdd(pfn, anon=True))
        return True


def same_place(now: Entry, before: Entry) -> bool:
    """Does an entry still map the same thing? Accessed and dirty bits may have changed meanwhile."""
    return (now.kind, now.target, now.writable) == (before.kind, before.target, before.writable)
