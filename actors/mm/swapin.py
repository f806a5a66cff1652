"""do_swap_page(): a page comes back from swap (B9, S11)."""

from __future__ import annotations

import errno

from gupsim.actors.mm.core import EIO, ENOMEM
from gupsim.actors.mm.cow import Cow
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import Slot
from gupsim.actors.rules.faults import SwapFault
from gupsim.protocol import memmap
from gupsim.protocol.memmap import Page
from gupsim.protocol.pagetable import Entry, EntryKind
from gupsim.protocol.reclaim import SwapFree, SwapIn, TryToFreeSwap


class SwapFaults(Cow):
    """The swap cache, and what is proof that a page in it is ours alone."""

    async def swap_page(self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry, *, write: bool) -> int:
        """do_swap_page(): bring the page back, writable where the era has proof that it is ours alone (rule
        swap_fault). A write for which there is none goes on as a COW fault."""
        answer = await self.ask(self.reclaim, SwapIn(entry.target))
        if answer.pfn < 0:
            return {-errno.EAGAIN: 0, -errno.ENOMEM: ENOMEM}.get(answer.pfn, EIO)
        pfn = answer.pfn
        by_mappings = self.rules.swap_fault is SwapFault.MAPCOUNT
        async with slot.lock:
            mapped = slot.entry == entry
            if mapped:
                if by_mappings:
                    maps = (await self.ask(self.memmap, memmap.ReadCounts(pfn))).maps
                    ours = write and await self.reuse_swap_page(pfn, maps)
                else:
                    await self.ask(self.reclaim, SwapFree(entry.target))
                    ours = await self._swapped_alone(pfn, entry, write=write)
                await self.add_mapping(space, slot, pfn, adopt="lookup")
                self.track_anon(pfn, space, slot.address)
                if ours and self.rules.swap_fault not in (SwapFault.MAPCOUNT, SwapFault.REFCOUNT):
                    await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.ANON_EXCLUSIVE))
                reads = self.rules.swap_fault in (SwapFault.WRITABLE, SwapFault.ONLY_EXCLUSIVE)
                writable = ours and (write or reads) and vma.writable()
                back = Entry(kind=EntryKind.PAGE, target=pfn, writable=writable, dirty=ours and write, young=True)
                await self.set_entry(space, slot, back, "do_swap_page")
                if by_mappings:
                    await self.ask(self.reclaim, SwapFree(entry.target))
                    await self.ask(self.reclaim, TryToFreeSwap(pfn, if_full=True))
        await self.ask(self.memmap, memmap.UnlockPage(pfn))
        if not mapped:
            await self.put_own(pfn, "lookup")
        return 0

    async def _swapped_alone(self, pfn: int, entry: Entry, *, write: bool) -> bool:
        """Since 5.18, page lock held, the entry's share of the slot given back: is the page ours alone?"""
        only = self.rules.swap_fault is SwapFault.ONLY_EXCLUSIVE
        refs = (await self.ask(self.memmap, memmap.ReadCounts(pfn))).refs
        # should_try_to_free_swap(): the swap cache and we.
        hopeful = write and (entry.exclusive if only else refs == 2)
        await self.ask(self.reclaim, TryToFreeSwap(pfn, if_full=not hopeful))
        if entry.exclusive or only:
            return entry.exclusive
        refs = (await self.ask(self.memmap, memmap.ReadCounts(pfn))).refs
        return refs == 1 and (write or self.rules.swap_fault is not SwapFault.REFCOUNT)
