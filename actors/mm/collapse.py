"""Collapse of small anonymous pages into a huge page: khugepaged and MADV_COLLAPSE (B5)."""

from __future__ import annotations

import errno
from typing import Final

import msgspec

from gupsim.actors.base import handles
from gupsim.actors.mm.collapse_file import CollapseFiles
from gupsim.actors.mm.core import mapping_ledger
from gupsim.actors.mm.faults import Faults
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.mm.thp import ANON
from gupsim.actors.rules.faults import SwapFault
from gupsim.actors.rules.rules import KernelRules
from gupsim.actors.rules.thp import CollapseCount, CollapseReadonly, CollapseSwap, CollapseSync, ThpEnabled
from gupsim.protocol import memmap, memory
from gupsim.protocol.folio import MostMapped
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.memmap import ZERO_PFN, Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Status
from gupsim.protocol.pagetable import Entry, EntryKind
from gupsim.protocol.reclaim import IsolatePage, LruAdd, PutbackPage
from gupsim.protocol.thp import Collapsed, CollapseMoved, CollapseRange, HugeRange, NextHugeRange

_ERRNO: Final = {
    "succeed": 0,
    "pmd_mapped": 0,
    "page_count": -errno.EAGAIN,
    "page_lock": -errno.EAGAIN,
    "page_lru": -errno.EAGAIN,
    "exceed_none_pte": -errno.EBUSY,
    "del_page_lru": -errno.EAGAIN,
    "page_filled": -errno.EAGAIN,
    "pte_mapped_hugepage": 0,
    "alloc_huge_page_fail": -errno.ENOMEM,
}
"""madvise_collapse_errno(); -EINVAL for the others."""


class Old(msgspec.Struct, frozen=True):
    """One page of a range that collapses. head: of its folio; address: where it is mapped; slot: its entry."""

    pfn: int
    head: int
    address: int
    slot: Slot


class Tally:
    """What the entries of a range come to. limits: max_ptes_none, max_ptes_swap, max_ptes_shared, if `limited`: they
    bind khugepaged, not MADV_COLLAPSE."""

    __slots__ = ("_limits", "_rules", "holes", "shared", "swapped", "writable", "young")

    def __init__(self, rules: KernelRules, limits: tuple[int, int, int], *, limited: bool) -> None:
        self._rules = rules
        self._limits = limits if limited else None
        self.holes = self.swapped = self.shared = self.young = 0
        self.writable = False

    def entry(self, entry: Entry) -> str:
        """One entry; "", or why the range is left alone."""
        if entry.kind == EntryKind.SWAP and self._rules.collapse_swap is CollapseSwap.READ_IN:
            self.swapped += 1
            return "exceed_swap_pte" if self._limits and self.swapped > self._limits[1] else ""
        if entry.kind == EntryKind.NONE or (entry.kind == EntryKind.PAGE and entry.target == ZERO_PFN):
            self.holes += 1
            return "exceed_none_pte" if self._limits and self.holes > self._limits[0] else ""
        if entry.kind != EntryKind.PAGE:
            return "pte_non_present"
        if not entry.writable and self._rules.collapse_readonly is CollapseReadonly.EVERY:
            return "page_ro"
        self.writable |= entry.writable
        self.young += entry.young
        return ""

    def page(self, maps: int) -> str:
        """A page that so many entries map."""
        self.shared += maps > 1
        return "exceed_shared_pte" if self._limits and self.shared > self._limits[2] else ""


class Collapse(Faults, CollapseFiles):
    """collapse_huge_page(), in the numbers of B5."""

    @handles(NextHugeRange)
    def next_huge_range(self, msg: NextHugeRange) -> HugeRange:
        """khugepaged_scan_mm_slot(): which range may be tried next."""
        span = self.tables.span(1)
        for vma in self.space(msg.mm).vmas:
            first = -(-max(vma.start, msg.address) // span) * span
            if self._allowed(vma, advised=False) and first + span <= vma.end:
                return HugeRange(first)
        return HugeRange(-1)

    @handles(CollapseRange)
    async def collapse_range(self, msg: CollapseRange) -> Status:
        """0, or what MADV_COLLAPSE returns."""
        space = self.space(msg.mm)
        start = msg.address & -self.tables.span(1)
        result, pfn = await self._collapse(space, start, advised=msg.advised)
        if result == "vma_check" and msg.advised:
            result, pfn = await self.collapse_file(space, start)
        self.trace(Collapsed(mm=msg.mm, address=start, pfn=pfn, result=result))
        return Status(_ERRNO.get(result, -errno.EINVAL))

    async def _collapse(self, space: AddressSpace, start: int, *, advised: bool) -> tuple[str, int]:
        async with space.mmap_lock.shared():
            result = await self._scan(space, start, advised=advised)  # 1
        if result:
            return result, -1
        huge = (await self.ask(self.memmap, memmap.AllocPages("huge", self.tables.bits))).pfn  # 2
        if huge < 0:
            return "alloc_huge_page_fail", -1
        async with space.mmap_lock.shared():
            result = await self._swap_in(space, start, advised=advised)  # 3
        if not result:
            async with space.mmap_lock:
                result = await self._exchange(space, start, huge, advised=advised)  # 4 to 12
        if result:
            await self.put_own(huge, "alloc")
            return result, -1
        return "succeed", huge

    def _allowed(self, vma: Vma, *, advised: bool) -> bool:
        """thp_vma_allowable_order(): MADV_COLLAPSE asks for consent only where it was refused."""
        if vma.fs or vma.shared or vma.device or vma.hugetlb or vma.thp is False:
            return False
        enabled = self.rules.thp_enabled
        return advised or enabled is ThpEnabled.ALWAYS or (enabled is ThpEnabled.MADVISE and vma.thp is True)

    def _revalidate(self, space: AddressSpace, start: int, *, advised: bool) -> tuple[str, Vma | None]:
        """hugepage_vma_revalidate(), find_pmd_or_thp_or_none(): "" if the range may be collapsed."""
        vma = space.find_vma(start)
        if vma is None:
            return "vma_null", None
        slot = self.tables.find(space, start, 1)
        if not self._allowed(vma, advised=advised) or start + self.tables.span(1) > vma.end:
            return "vma_check", None
        if slot is None or slot.entry.kind == EntryKind.NONE:
            return "pmd_none", None
        return ("", vma) if slot.entry.kind == EntryKind.TABLE else ("pmd_mapped", None)

    async def _scan(self, space: AddressSpace, start: int, *, advised: bool) -> str:
        """hpage_collapse_scan_pmd(): a look at every entry and its page, to give up early."""
        result, vma = self._revalidate(space, start, advised=advised)
        if vma is None:
            return result
        tally = Tally(self.rules, self.max_ptes, limited=not advised)
        table = self.tables.find(space, start, 1)
        assert table is not None
        async with self.tables.lock(table.entry.target):
            for slot in self._slots(table.entry.target, start):
                result = tally.entry(slot.entry) or await self._page_suits(slot, tally, space)
                if result:
                    return result
        if not tally.writable and self.rules.collapse_readonly is CollapseReadonly.REFUSED:
            return "page_ro"
        enough = tally.young and not (tally.swapped and tally.young < self.tables.pages(1) // 2)
        return "" if advised or enough else "lack_referenced_page"

    async def _page_suits(self, slot: Slot, tally: Tally, space: AddressSpace) -> str:
        """Of a page that is there: is it anonymous, not shared by too many, on the LRU, and in nobody else's hands?"""
        entry = slot.entry
        if entry.kind != EntryKind.PAGE or entry.target == ZERO_PFN:
            return ""
        if (space.mm, slot.address) not in self.anon_rmap.get(entry.target, ()):
            return "page_anon"
        by_mappings = self.rules.collapse_count is CollapseCount.MAPPINGS
        if not by_mappings and (await self.ask(self.memmap, memmap.ReadFolio(entry.target))).pages > 1:
            return "page_compound"
        if by_mappings and (result := tally.page((await self.ask(self.memmap, MostMapped(entry.target))).maps)):
            return result
        if not (await self.ask(self.memmap, memmap.ReadFlags(entry.target, Page.LRU))).flags:
            return "page_lru"
        return "" if await self._count_suits(entry.target) else "page_count"

    async def _swap_in(self, space: AddressSpace, start: int, *, advised: bool) -> str:
        """__collapse_huge_page_swapin()."""
        result, vma = self._revalidate(space, start, advised=advised)
        if vma is None:
            return result
        for address in range(start, start + self.tables.span(1), PAGE_SIZE):
            slot = self.tables.find(space, address)
            if slot is not None and slot.entry.kind == EntryKind.SWAP:
                error = await self.fault(space, vma, address, write=False)
                if error:
                    return "fail"
        return ""

    async def _exchange(self, space: AddressSpace, start: int, huge: int, *, advised: bool) -> str:
        """Steps 4 to 12. mmap_lock keeps faults and slow GUP out, the anon_vma lock the reverse map; a fast walk is
        kept out by nothing but the flush of step 6, if that waits for it, or by step 8."""
        result, vma = self._revalidate(space, start, advised=advised)
        if vma is None:
            return result
        pmd = self.tables.find(space, start, 1)
        assert pmd is not None
        down = pmd.entry
        async with space.anon_vma_lock:
            async with pmd.lock:  # 6: pmdp_collapse_flush()
                await self.set_entry(space, pmd, NONE, "pmdp_collapse_flush")
                await self.shootdown(space, start, pmd.pages)
            if self.rules.collapse_sync is CollapseSync.IPI:
                await self.sync_walkers()  # 8
            old: list[Old] = []
            async with self.tables.lock(down.target):
                result = await self._isolate(space, start, down, old, advised=advised)  # 9
            if result:
                await self._put_back(old)
                async with pmd.lock:
                    await self.set_entry(space, pmd, down, "collapse_huge_page: bail out")
                return result
        await self._copy(start, old, huge)  # 10; the pages are locked and isolated: rmap leaves them alone
        await self._drop(space, old, huge, start)
        await self.ask(self.memmap, memmap.ChangeFlags(huge, set=ANON | Page.ANON_EXCLUSIVE))
        async with pmd.lock:  # 11
            await self.map_huge(space, vma, pmd, huge, table=down.target, why="collapse_huge_page")
        await self.ask(self.reclaim, LruAdd(huge, anon=True))
        return ""

    async def _isolate(self, space: AddressSpace, start: int, down: Entry, old: list[Old], *, advised: bool) -> str:
        """__collapse_huge_page_isolate(), under the lock of the page table that was taken out: "" if all pages are
        ours alone. `old` gets those that are locked and isolated by then."""
        tally = Tally(self.rules, self.max_ptes, limited=not advised)
        taken: set[int] = set()
        for slot in self._slots(down.target, start):
            entry = slot.entry
            result = tally.entry(entry)
            if result or entry.kind == EntryKind.SWAP:
                return result or "pte_non_present"
            if entry.kind != EntryKind.PAGE or entry.target == ZERO_PFN:
                continue
            pfn = entry.target
            if (space.mm, slot.address) not in self.anon_rmap.get(pfn, ()):
                return "page_anon"
            if self.rules.collapse_count is CollapseCount.MAPPINGS:
                result = tally.page((await self.ask(self.memmap, MostMapped(pfn))).maps)
            head = (await self.ask(self.memmap, memmap.ReadFolio(pfn))).head
            result = result or ("" if head in taken else await self._take_page(entry, head))
            if result:
                return result
            taken.add(head)
            old.append(Old(pfn, head, slot.address, slot))
        if not tally.writable and self.rules.collapse_readonly is CollapseReadonly.REFUSED:
            return "page_ro"
        return "" if advised or tally.young else "lack_referenced_page"

    async def _take_page(self, entry: Entry, head: int) -> str:
        """Locked and off the LRU, or why not."""
        if not (await self.ask(self.memmap, memmap.TryLockPage(head))).yes:
            return "page_lock"
        # The proof that no device and nobody else uses it. A fast walker that came through the old table
        # may still add a reference after it: step 8 exists for that.
        result = "" if await self._count_suits(entry.target) else "page_count"
        if not result and not entry.writable and self.rules.swap_fault is SwapFault.MAPCOUNT:
            maps = (await self.ask(self.memmap, MostMapped(entry.target))).maps
            cached = (await self.ask(self.memmap, memmap.ReadFlags(head, Page.SWAPCACHE))).flags
            if cached and not await self.reuse_swap_page(head, maps):
                result = "swap_cache_page"
        if not result and not (await self.ask(self.reclaim, IsolatePage(head))).yes:
            result = "del_page_lru"
        if result:
            await self.ask(self.memmap, memmap.UnlockPage(head))
        return result

    async def _count_suits(self, pfn: int) -> bool:
        """page_count() == 1 + PageSwapCache(); since 5.8 is_refcount_suitable(): mappings and the swap cache explain
        every reference."""
        counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
        flags = (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.SWAPCACHE))).flags
        maps = counts.maps if self.rules.collapse_count is CollapseCount.MAPPINGS else 1
        return counts.refs == maps + bool(flags)

    async def _put_back(self, old: list[Old]) -> None:
        """release_pte_pages()."""
        for head in dict.fromkeys(page.head for page in old):
            await self.ask(self.memmap, memmap.UnlockPage(head))
            await self.ask(self.reclaim, PutbackPage(head))

    async def _copy(self, start: int, old: list[Old], huge: int) -> None:
        """__collapse_huge_page_copy(): chunk by chunk, and nobody stops a device that writes meanwhile."""
        there = {page.address: page.pfn for page in old}
        for number in range(self.tables.pages(1)):
            source = there.get(start + number * PAGE_SIZE)
            if source is None:
                await self.ask(self.memory, memory.ZeroFrame(huge + number))
            else:
                await self.copy_content(source, huge + number)

    async def _drop(self, space: AddressSpace, old: list[Old], huge: int, start: int) -> None:
        """__collapse_huge_page_copy_succeeded(): the old entries go, with their mappings and references."""
        await self._put_back(old)
        for page in old:
            async with page.slot.lock:
                await self.set_entry(space, page.slot, NONE, "collapse_huge_page")
                self.forget_anon(page.pfn, space, page.address)
                await self.drop_mapping_count(page.pfn)
            to = huge + (page.address - start) // PAGE_SIZE
            self.trace(CollapseMoved(pfn=page.pfn, to=to))
            self.trace(PageReplaced(space.mm, page.address, page.pfn, to, True, "collapse_huge_page"))
            await self.ask(
                self.memmap, memmap.PutRefs(page.pfn, 1, "map", mapping_ledger(space, page.address))
            )  # the last one, unless it is shared

    def _slots(self, table: int, start: int) -> list[Slot]:
        """The entries of a last-level table that maps the range from `start`, or mapped it."""
        return [
            Slot(self.tables, table, number, 0, start + number * PAGE_SIZE) for number in range(self.tables.pages(1))
        ]
