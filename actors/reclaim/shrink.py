"""shrink_folio_list(): the nine steps of B9 for one isolated page."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import msgspec

from gupsim.actors.base import Map, Port, handles
from gupsim.actors.reclaim.swap import Swap
from gupsim.actors.rules import KernelRules
from gupsim.actors.rules.reclaim import Lazyfree, ReclaimPinnedAnon, ReclaimPinnedFile, ReclaimWrites
from gupsim.protocol import fs, memmap
from gupsim.protocol.memmap import Mapping, Page
from gupsim.protocol.mm import PageReferenced, TryToUnmap, TryToUnmapFlush
from gupsim.protocol.reclaim import (
    FreezeRefused,
    IsolatePage,
    Reclaimed,
    ReclaimPages,
    ReleaseBuffersDone,
    Shrink,
    ShrinkOutcome,
    TryToFreeSwap,
)
from gupsim.protocol.thp import SplitHugePage

_CACHE_AND_ISOLATION = 2
"""References of an otherwise unused page of a page cache or swap cache while reclaim holds it isolated."""


class Outcome(Enum):
    """What becomes of an isolated page."""

    FREED = "freed"
    ACTIVATE = "activate"
    KEEP = "keep"


class Verdict(msgspec.Struct, frozen=True):
    """The end of one page's treatment. why: the step that decided; unlocked: ->writepage took over the page lock."""

    outcome: Outcome
    why: str
    unlocked: bool = False


Treated: TypeAlias = tuple[int, bool, Verdict]
"""An isolated page: pfn, whether it is anonymous, what becomes of it."""


class Shrinker(Swap):
    """kswapd and direct reclaim."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules, block: str = "", slots: int = 0) -> None:
        super().__init__(address, port, rules=rules, block=block, slots=slots)
        self._owed: Map[str, bool] = Map(self, "flush_required")
        """Context -> whether one of the entries that it cleared was dirty, if it owes a flush."""

    @handles(Shrink)
    async def shrink(self, msg: Shrink) -> Reclaimed:
        """shrink_inactive_list(): isolate from the tail, treat each page, put back what stays."""
        treated: list[Treated] = []
        for anon in (False, True) if msg.anon and self.swap_slots else (False,):
            await self.refill(anon, msg.pages)
            for pfn in list(self.inactive[anon])[: msg.pages]:
                if not await self.isolate(pfn, anon):
                    continue
                treated.append((pfn, anon, await self._treat(pfn, anon, msg)))
        return Reclaimed(len(treated), await self._let_go(treated))

    @handles(ReclaimPages)
    async def reclaim_pages(self, msg: ReclaimPages) -> Reclaimed:
        """reclaim_pages(): the pages of a huge page that had to be split are treated one by one."""
        how = Shrink(len(msg.pfns), kswapd=False, force=True)
        treated: list[Treated] = []
        for pfn in msg.pfns:
            anon = await self._flag(pfn, Page.ANON)
            pages = (await self.ask(self.memmap, memmap.ReadFolio(pfn))).pages
            treated.append((pfn, anon, await self._treat(pfn, anon, how)))
            if pages == 1 or (await self.ask(self.memmap, memmap.ReadFolio(pfn))).pages > 1:
                continue
            treated += [
                (tail, anon, await self._treat(tail, anon, how))
                for tail in range(pfn + 1, pfn + pages)
                if (await self.isolate_page(IsolatePage(tail))).yes
            ]
        return Reclaimed(len(msg.pfns), await self._let_go(treated))

    async def _let_go(self, treated: list[Treated]) -> int:
        """The end of shrink_folio_list(): one flush for all, then pages are freed or put back; how many were freed."""
        await self._flush_owed()
        freed = 0
        for pfn, anon, verdict in treated:
            if verdict.outcome is Outcome.FREED:
                freed += 1
                await self.ask(self.memmap, memmap.FreeFrozen(pfn))
            else:
                await self.put_back(pfn, anon, activate=verdict.outcome is Outcome.ACTIVATE)
        return freed

    async def _flush_owed(self, *, before_io: bool = False) -> None:
        """try_to_unmap_flush(), and before I/O try_to_unmap_flush_dirty(), which a clean entry is no reason for."""
        dirty = self._owed.get(self.port.context)
        if dirty is None or (before_io and not dirty):
            return
        self._owed.pop(self.port.context)
        await self.ask(self.at("mm"), TryToUnmapFlush())

    async def _treat(self, pfn: int, anon: bool, msg: Shrink) -> Verdict:
        """Step 1 and, with the page locked, the others."""
        if not (await self.ask(self.memmap, memmap.TryLockPage(pfn))).yes:
            self.trace(ShrinkOutcome(pfn=pfn, outcome=Outcome.KEEP.value, why="page locked"))
            return Verdict(Outcome.KEEP, "page locked")
        verdict = await (self._shrink_anon(pfn, msg) if anon else self._shrink_file(pfn, msg))
        if not verdict.unlocked:
            await self.ask(self.memmap, memmap.UnlockPage(pfn))
        self.trace(ShrinkOutcome(pfn=pfn, outcome=verdict.outcome.value, why=verdict.why))
        return verdict

    async def _shrink_file(self, pfn: int, msg: Shrink) -> Verdict:
        if verdict := await self._check_in_use(pfn, msg, anon=False):  # 2, 3
            return verdict
        if verdict := await self._unmap(pfn, -1):  # 5; step 4 is for anonymous pages
            return verdict
        # 6 (since 6.5): no new pin can arrive now, and a page that a device may still write keeps its buffers
        keep = self.rules.reclaim_pinned_file is ReclaimPinnedFile.KEEP_BUFFERS
        if keep and await self._pinned(pfn, "reclaim_pinned_file"):
            return Verdict(Outcome.ACTIVATE, "may be pinned for DMA: its buffers are kept")
        mapping = await self.ask(self.memmap, memmap.ReadMapping(pfn))
        if not mapping.ino:
            return Verdict(Outcome.KEEP, "truncated: whoever holds it frees it")
        if await self._flag(pfn, Page.DIRTY):  # 7
            return await self._write_file(pfn, mapping, msg)
        if await self._flag(pfn, Page.PRIVATE):  # 8: no reference count is looked at; the Hubbard bug starts here
            released = await self.ask(mapping.fs, fs.ReleaseBuffers(pfn, mapping.ino, mapping.index))
            self.trace(ReleaseBuffersDone(pfn=pfn, ok=released.yes))
            if not released.yes:
                return Verdict(Outcome.ACTIVATE, "its buffers are busy")
        # 9: the count is frozen first, dirty is looked at second (S33)
        remove = fs.RemoveMapping(pfn, mapping.ino, mapping.index, _CACHE_AND_ISOLATION)
        if not (await self.ask(mapping.fs, remove)).yes:
            self.trace(FreezeRefused(pfn=pfn, expected=_CACHE_AND_ISOLATION, why="one reference too many, or dirty"))
            return Verdict(Outcome.KEEP, "somebody still uses it: it stays in the page cache")
        return Verdict(Outcome.FREED, "clean and unused")

    async def _shrink_anon(self, pfn: int, msg: Shrink) -> Verdict:
        if verdict := await self._check_in_use(pfn, msg, anon=True):  # 2, 3
            return verdict
        if pfn in self.lazyfree:
            return await self._shrink_lazyfree(pfn)
        if not await self._flag(pfn, Page.SWAPCACHE) and (verdict := await self._enter_swap_cache(pfn)):  # 4
            return verdict
        slot = self.slot_of(pfn)
        if verdict := await self._unmap(pfn, slot):  # 5
            await self.try_to_free_swap(TryToFreeSwap(pfn, if_full=True))
            return verdict
        # 6 asks of anonymous pages, too: one that was pinned since step 4 stops here, unmapped
        keep = self.rules.reclaim_pinned_file is ReclaimPinnedFile.KEEP_BUFFERS
        if keep and await self._pinned(pfn, "reclaim_pinned_file"):
            return Verdict(Outcome.ACTIVATE, "may be pinned for DMA: it stays in the swap cache")
        if await self._flag(pfn, Page.DIRTY):  # 7
            if not await self._freeable(pfn):
                return Verdict(Outcome.KEEP, "dirty and in use")
            await self._flush_owed(before_io=True)
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
            await self.write_to_swap(pfn, slot)
        why = await self.leave_swap_cache(pfn, _CACHE_AND_ISOLATION)  # 9
        if why:
            self.trace(FreezeRefused(pfn=pfn, expected=_CACHE_AND_ISOLATION, why=why))
            return Verdict(Outcome.KEEP, f"{why}: it stays in the swap cache")
        return Verdict(Outcome.FREED, "swapped out")

    async def _enter_swap_cache(self, pfn: int) -> Verdict | None:
        """Step 4: a place in swap; since 5.11 not for a page that may be pinned (S11)."""
        refused = self.rules.reclaim_pinned_anon is ReclaimPinnedAnon.REFUSED
        if refused and await self._pinned(pfn, "reclaim_pinned_anon"):
            return Verdict(Outcome.KEEP, "may be pinned for DMA: it is not swapped")
        if (await self.ask(self.memmap, memmap.ReadFolio(pfn))).pages > 1:
            # Swap holds small pages here: the kernel would try to swap the huge page as a whole first.
            split = await self.ask(self.at("mm"), SplitHugePage(pfn, "isolate"))
            if split.error:
                return Verdict(Outcome.ACTIVATE, "a huge page in use: it cannot be split")
        return Verdict(Outcome.ACTIVATE, "no swap space") if await self.add_to_swap(pfn) < 0 else None

    async def _shrink_lazyfree(self, pfn: int) -> Verdict:
        """After MADV_FREE: no swap, and no question about pins, for a clean page. Before 5.18 nobody asked for other
        references either, before the entry was gone: whoever has one keeps a page that the process has lost."""
        if await self._unmap(pfn, -1, lazyfree=True):
            if self.rules.lazyfree is Lazyfree.KEPT and not await self._flag(pfn, Page.DIRTY):
                return Verdict(Outcome.ACTIVATE, "in use: to be dropped later")
            self.lazyfree.pop(pfn)
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.SWAPBACKED))
            return Verdict(Outcome.ACTIVATE, "written to or in use: not to be dropped any more")
        if not (await self.ask(self.memmap, memmap.FreezeRefs(pfn, 1))).yes:
            return Verdict(Outcome.KEEP, "somebody still uses it, but no process has it mapped any more")
        self.lazyfree.pop(pfn)
        return Verdict(Outcome.FREED, "dropped after MADV_FREE")

    async def _check_in_use(self, pfn: int, msg: Shrink, *, anon: bool) -> Verdict | None:
        """Steps 2 and 3. A page touched once since the last scan is kept a round, touched again activated."""
        if await self._flag(pfn, Page.WRITEBACK):
            return Verdict(Outcome.ACTIVATE, "under writeback")
        if msg.force:
            return None
        in_entries = (await self.ask(self.at("mm"), PageReferenced(pfn))).yes
        before = await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.REFERENCED))
        if not in_entries:
            return None
        if anon or before.flags:
            return Verdict(Outcome.ACTIVATE, "referenced since the last scan")
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.REFERENCED))
        return Verdict(Outcome.KEEP, "referenced once since the last scan")

    async def _unmap(self, pfn: int, slot: int, *, lazyfree: bool = False) -> Verdict | None:
        """Step 5: knows nothing of pins."""
        if not (await self.ask(self.memmap, memmap.PageMapped(pfn))).yes:
            return None
        unmapped = await self.ask(self.at("mm"), TryToUnmap(pfn, slot, lazyfree))
        if unmapped.owed:
            context = self.port.context
            self._owed[context] = self._owed.get(context, False) or unmapped.dirty
        return None if unmapped.ok else Verdict(Outcome.ACTIVATE, "could not be unmapped")

    async def _write_file(self, pfn: int, mapping: Mapping, msg: Shrink) -> Verdict:
        """Step 7: pageout() writes a dirty file page only for kswapd, and only if nobody else uses it."""
        if not msg.kswapd or self.rules.reclaim_writes is ReclaimWrites.NEVER:
            return Verdict(Outcome.ACTIVATE, "dirty")
        if not await self._freeable(pfn):
            return Verdict(Outcome.KEEP, "dirty and in use")
        await self._flush_owed(before_io=True)
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
        await self.ask(mapping.fs, fs.WritePage(pfn, mapping.ino, mapping.index, source=pfn))
        return Verdict(Outcome.KEEP, "dirty: written", unlocked=True)

    async def _freeable(self, pfn: int) -> bool:
        """is_page_cache_freeable()."""
        counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
        private = 1 if await self._flag(pfn, Page.PRIVATE) else 0
        return counts.refs - private == _CACHE_AND_ISOLATION

    async def _pinned(self, pfn: int, rule: str) -> bool:
        """folio_maybe_dma_pinned(), which only matters to a rule."""
        pinned = (await self.ask(self.memmap, memmap.MaybeDmaPinned(pfn, "reclaim"))).yes
        if pinned:
            self.rules.decide(rule)
        return pinned

    async def _flag(self, pfn: int, flag: Page) -> bool:
        return bool((await self.ask(self.memmap, memmap.ReadFlags(pfn, flag))).flags)
