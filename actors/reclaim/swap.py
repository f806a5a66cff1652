"""Swap: slots, the swap cache, and the I/O to the swap device (B9 steps 4, 7, 9; S11)."""

from __future__ import annotations

import errno

from gupsim.actors.base import Map, Port, TicketLock, handles
from gupsim.actors.base.port import wait
from gupsim.actors.reclaim.lru import Lru
from gupsim.actors.rules import KernelRules
from gupsim.protocol import memmap
from gupsim.protocol.block import BioEnd, SubmitBio
from gupsim.protocol.memmap import Page
from gupsim.protocol.message import DONE, YES, Done, Flag
from gupsim.protocol.reclaim import (
    FreeSwapCache,
    ReuseSwapPage,
    SwapDuplicate,
    SwapFree,
    SwapIn,
    SwapOut,
    SwappedIn,
    TryToFreeSwap,
)

_AGAIN = SwappedIn(-errno.EAGAIN)


class Swap(Lru):
    """One swap area. A slot is in use while a page of the swap cache or a page-table entry names it.

    block: local name of the device, "" for none; slots: its size in pages.
    """

    def __init__(self, address: str, port: Port, *, rules: KernelRules, block: str = "", slots: int = 0) -> None:
        super().__init__(address, port, rules=rules)
        self.swap_device = self.at(block) if block else ""
        self.swap_slots = slots if block else 0
        self._cached: Map[int, int] = Map(self, "swap cache")
        """slot -> pfn"""
        self._slot_of: Map[int, int] = Map(self, "swap slot of")
        self._entries: Map[int, int] = Map(self, "swap_map")
        """slot -> number of page-table entries that name it; 0 for one that only the swap cache has"""
        self._lock = TicketLock(self, "swap cache lock")

    async def add_to_swap(self, pfn: int) -> int:
        """add_to_swap(): a slot for the page, which enters the swap cache; -1 if swap is full."""
        slot = await self._get_swap_page()
        if slot < 0:
            return -1
        self._entries[slot] = 0  # each entry that is unmapped adds itself
        self._cached[slot] = pfn
        self._slot_of[pfn] = slot
        await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "cache"))
        # Dirty, so that it will be written before it can go.
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.SWAPCACHE | Page.DIRTY))
        self.trace(SwapOut(pfn=pfn, slot=slot))
        return slot

    def slot_of(self, pfn: int) -> int:
        """page_private() of a page of the swap cache; -1 of any other."""
        return self._slot_of.get(pfn, -1)

    async def _get_swap_page(self) -> int:
        """A free slot, or else one that only the swap cache has, and gives up (__try_to_reclaim_swap); -1."""
        for slot in range(self.swap_slots):
            if slot not in self._entries:
                return slot
        for slot, pfn in self._cached.items():
            if not self._entries.get(slot, 0) and (await self.ask(self.memmap, memmap.TryLockPage(pfn))).yes:
                freed = await self.try_to_free_swap(TryToFreeSwap(pfn))
                await self.ask(self.memmap, memmap.UnlockPage(pfn))
                if freed.yes and slot not in self._entries:
                    return slot
        return -1

    @property
    def _full(self) -> bool:
        """vm_swap_full(): less than half of it is free."""
        return 2 * (self.swap_slots - len(self._entries)) < self.swap_slots

    async def write_to_swap(self, pfn: int, slot: int) -> None:
        """swap_writepage(), waited for: the device reads the live page."""
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.WRITEBACK))
        await self._submit(slot, pfn, write=True)
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.WRITEBACK))

    async def leave_swap_cache(self, pfn: int, expected: int) -> str:
        """__remove_mapping() of a swap cache page: "" if it is out and frozen, else why not."""
        async with self._lock:
            frozen = await self.ask(self.memmap, memmap.FreezeRefs(pfn, expected))
            if not frozen.yes:
                return "somebody still holds a reference"
            dirty = await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.DIRTY))
            if dirty.flags:
                await self.ask(self.memmap, memmap.UnfreezeRefs(pfn, expected))
                return "dirty again"
            slot = self._slot_of[pfn]
            self._cached.pop(slot)
            self._slot_of.pop(pfn)
            if not self._entries.get(slot, 0):
                self._entries.pop(slot)
        return ""

    @handles(SwapIn)
    async def swap_in(self, msg: SwapIn) -> SwappedIn:
        """lookup_swap_cache(), read_swap_cache_async(). Who waited for the page lock looks whether the page is still
        that of this slot."""
        async with self._lock:
            pfn = self._cached.get(msg.slot, -1)
            if pfn >= 0:
                await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", self.port.context))
        if pfn < 0:
            return await self._read_swap_cache(msg.slot)
        await self.ask(self.memmap, memmap.LockPage(pfn))
        if self._cached.get(msg.slot, -1) == pfn:
            return SwappedIn(pfn)
        await self.ask(self.memmap, memmap.UnlockPage(pfn))
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "lookup", self.port.context))
        return _AGAIN

    async def _read_swap_cache(self, slot: int) -> SwappedIn:
        """A new page, locked and in the swap cache before anybody else can find it, then the I/O."""
        context = self.port.context
        pfn = (await self.ask(self.memmap, memmap.AllocPages("swap"))).pfn
        if pfn < 0:
            return SwappedIn(-errno.ENOMEM)
        async with self._lock:
            free = slot in self._entries and slot not in self._cached
            if free:
                await self.ask(self.memmap, memmap.LockPage(pfn))
                self._cached[slot] = pfn
                self._slot_of[pfn] = slot
                await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "cache"))
                flags = Page.ANON | Page.SWAPBACKED | Page.SWAPCACHE
                await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=flags))
                await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", context))
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "alloc", context))
        if not free:
            return _AGAIN  # somebody else is faster, or the entry is gone
        error = await self._submit(slot, pfn, write=False)
        if error:
            await self._delete_from_swap_cache(pfn)
            await self.ask(self.memmap, memmap.UnlockPage(pfn))
            await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "lookup", context))
            return SwappedIn(error)
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.UPTODATE))
        self.inactive[True][pfn] = True
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.LRU))
        return SwappedIn(pfn)

    @handles(SwapFree)
    async def swap_free(self, msg: SwapFree) -> Done:
        """swap_free(), free_swap_and_cache()."""
        async with self._lock:
            left = self._entries.get(msg.slot, 0) - 1
            pfn = self._cached.get(msg.slot, -1)
            if left > 0 or pfn >= 0:
                self._entries[msg.slot] = max(left, 0)
            else:
                self._entries.pop(msg.slot)
        if msg.cache and left <= 0 <= pfn:
            await self.free_swap_cache(FreeSwapCache(pfn))
        return DONE

    @handles(SwapDuplicate)
    def swap_duplicate(self, msg: SwapDuplicate) -> Done:
        self._entries[msg.slot] = self._entries.get(msg.slot, 0) + 1
        return DONE

    @handles(ReuseSwapPage)
    async def reuse_swap_page(self, msg: ReuseSwapPage) -> Flag:
        slot = self._slot_of.get(msg.pfn, -1)
        if slot < 0:
            return Flag(msg.maps <= 1)
        if msg.maps + self._entries.get(slot, 0) > 1:
            return Flag(False)
        if not (await self.ask(self.memmap, memmap.ReadFlags(msg.pfn, Page.WRITEBACK))).flags:
            await self._delete_from_swap_cache(msg.pfn)
        return YES

    @handles(TryToFreeSwap)
    async def try_to_free_swap(self, msg: TryToFreeSwap) -> Flag:
        slot = self._slot_of.get(msg.pfn, -1)
        if slot < 0:
            return YES
        if (msg.if_full and not self._full) or self._entries.get(slot, 0):
            return Flag(False)
        if (await self.ask(self.memmap, memmap.ReadFlags(msg.pfn, Page.WRITEBACK))).flags:
            return Flag(False)
        await self._delete_from_swap_cache(msg.pfn)
        return YES

    @handles(FreeSwapCache)
    async def free_swap_cache(self, msg: FreeSwapCache) -> Done:
        if msg.pfn not in self._slot_of or (await self.ask(self.memmap, memmap.PageMapped(msg.pfn))).yes:
            return DONE
        if (await self.ask(self.memmap, memmap.TryLockPage(msg.pfn))).yes:
            await self.try_to_free_swap(TryToFreeSwap(msg.pfn))
            await self.ask(self.memmap, memmap.UnlockPage(msg.pfn))
        return DONE

    async def _delete_from_swap_cache(self, pfn: int) -> None:
        """delete_from_swap_cache() of a locked page: memory alone has its content now, so it is dirty."""
        async with self._lock:
            slot = self._slot_of.pop(pfn)
            if slot is None:
                return
            self._cached.pop(slot)
            if not self._entries.get(slot, 0):
                self._entries.pop(slot)
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.DIRTY, clear=Page.SWAPCACHE))
            await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "cache"))

    async def _submit(self, slot: int, pfn: int, *, write: bool) -> int:
        """One bio to the swap device; 0 or a negative errno when it ended."""
        token = self.port.reserve()
        self.send(self.swap_device, SubmitBio(slot, pfn, write, token, self.address))
        return int(await wait(token))

    @handles(BioEnd)
    def bio_end(self, msg: BioEnd) -> None:
        """end_swap_bio_write/read(), in interrupt context."""
        self.port.wake(msg.tag, msg.error)
