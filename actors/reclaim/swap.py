"""Swap: slots, the swap cache, and the I/O to the swap device (B9 steps 4, 7, 9; S11)."""

from __future__ import annotations

import errno

from actors.base import Map, Port, TicketLock, handles
from actors.base.port import wait
from actors.reclaim.lru import Lru
from actors.rules import KernelRules
from protocol import memmap
from protocol.block import BioEnd, SubmitBio
from protocol.memmap import Page
from protocol.message import DONE, Done
from protocol.reclaim import SwapCount, SwapDuplicate, SwapFree, SwapIn, SwapOut, SwappedIn, SwapUsers


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
        """slot -> number of page-table entries that name it"""
        self._lock = TicketLock(self, "swap cache lock")

    async def add_to_swap(self, pfn: int) -> int:
        """add_to_swap(): a slot for the page, which enters the swap cache; -1 if swap is full."""
        slot = self._slot_of.get(pfn, -1)
        if slot >= 0:
            return slot
        slot = next((slot for slot in range(self.swap_slots) if slot not in self._entries), -1)
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

    async def give_slot_back(self, pfn: int) -> None:
        """The page could not be unmapped: if no entry names its slot, it leaves the swap cache again."""
        slot = self._slot_of.get(pfn, -1)
        if slot >= 0 and not self._entries.get(slot, 0):
            await self._drop_entry(slot, locked=True)

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
        """do_swap_page(): the page of the swap cache, or a new one read from the device; locked, with a reference."""
        async with self._lock:
            pfn = self._cached.get(msg.slot, -1)
            if pfn >= 0:
                await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", self.port.context))
        if pfn >= 0:
            await self.ask(self.memmap, memmap.LockPage(pfn))
            return SwappedIn(pfn)
        return await self._read_back(msg.slot)

    async def _read_back(self, slot: int) -> SwappedIn:
        pfn = (await self.ask(self.memmap, memmap.AllocPages("swap"))).pfn
        if pfn < 0:
            return SwappedIn(-errno.ENOMEM)
        await self.ask(self.memmap, memmap.LockPage(pfn))
        error = await self._submit(slot, pfn, write=False)
        context = self.port.context
        await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", context))
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "alloc", context))
        if error:
            await self.ask(self.memmap, memmap.UnlockPage(pfn))
            await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "lookup", context))
            return SwappedIn(error)
        flags = Page.ANON | Page.SWAPBACKED | Page.UPTODATE
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=flags))
        self.inactive[True][pfn] = True
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.LRU))
        return SwappedIn(pfn)

    @handles(SwapFree)
    async def swap_free(self, msg: SwapFree) -> Done:
        await self._drop_entry(msg.slot, locked=msg.locked)
        return DONE

    @handles(SwapDuplicate)
    def swap_duplicate(self, msg: SwapDuplicate) -> Done:
        self._entries[msg.slot] = self._entries.get(msg.slot, 0) + 1
        return DONE

    @handles(SwapCount)
    def swap_count(self, msg: SwapCount) -> SwapUsers:
        slot = self._slot_of.get(msg.pfn, -1)
        return SwapUsers(self._entries.get(slot, 0) if slot >= 0 else 0)

    async def _drop_entry(self, slot: int, *, locked: bool) -> None:
        """swap_free() and, for the last entry, delete_from_swap_cache(): the slot is free again. Not if somebody else
        is at work on the page (__try_to_reclaim_swap): reclaim may be about to write it to this very slot."""
        async with self._lock:
            left = self._entries.get(slot, 0) - 1
            pfn = self._cached.get(slot, -1)
            busy = left <= 0 <= pfn and not locked and not (await self.ask(self.memmap, memmap.TryLockPage(pfn))).yes
            if left > 0 or busy:
                self._entries[slot] = max(left, 0)
                return
            self._entries.pop(slot)
            if pfn < 0:
                return
            self._cached.pop(slot)
            self._slot_of.pop(pfn)
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.SWAPCACHE))
            if not locked:
                await self.ask(self.memmap, memmap.UnlockPage(pfn))
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
