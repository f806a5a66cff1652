"""LRU lists: which pages reclaim meets, in which order."""

from __future__ import annotations

from gupsim.actors.base import Fifo, KernelActor, Map, Port, handles
from gupsim.actors.rules import KernelRules
from gupsim.protocol import memmap
from gupsim.protocol.memmap import Page
from gupsim.protocol.message import DONE, NO, YES, Done, Flag
from gupsim.protocol.reclaim import (
    IsolatePage,
    LruAdd,
    LruDel,
    LruIsolate,
    LruRemovePinned,
    LruReturnUnpinned,
    MarkLazyfree,
    PutbackPage,
)


class Lru(KernelActor):
    """Inactive and active lists of file and of anonymous pages, oldest first."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules) -> None:
        super().__init__(address, port, rules=rules)
        self.memmap = self.at("memmap")
        self.inactive: dict[bool, Fifo[int, bool]] = {
            False: Fifo(self, "inactive_file"),
            True: Fifo(self, "inactive_anon"),
        }
        self.active: dict[bool, Fifo[int, bool]] = {False: Fifo(self, "active_file"), True: Fifo(self, "active_anon")}
        self.lazyfree: Map[int, bool] = Map(self, "lazyfree")
        """Anonymous pages that need no place in swap (MADV_FREE)."""
        self.off_lru: Map[int, tuple[bool, int]] = Map(self, "off_lru")
        """Proposal P2: pinned pages, with whether they are anonymous and how often they were pinned."""

    @handles(MarkLazyfree)
    async def mark_lazyfree(self, msg: MarkLazyfree) -> Done:
        """lru_lazyfree(): to the end of the inactive list (of files, in the kernel), if it is on a list."""
        if self._forget(msg.pfn) is not None:
            self.inactive[True][msg.pfn] = True
            self.lazyfree[msg.pfn] = True
            await self.ask(self.memmap, memmap.ChangeFlags(msg.pfn, clear=Page.SWAPBACKED | Page.ACTIVE))
        return DONE

    @handles(LruAdd)
    async def lru_add(self, msg: LruAdd) -> Done:
        """folio_add_lru(), without the per-CPU batches in between."""
        self.inactive[msg.anon][msg.pfn] = True
        await self.ask(self.memmap, memmap.ChangeFlags(msg.pfn, set=Page.LRU))
        return DONE

    @handles(LruDel)
    def lru_del(self, msg: LruDel) -> None:
        self._forget(msg.pfn)
        self.off_lru.pop(msg.pfn)
        self.lazyfree.pop(msg.pfn)

    @handles(LruRemovePinned)
    async def lru_remove_pinned(self, msg: LruRemovePinned) -> Done:
        """Proposal P2: off the list while pinned. A page that reclaim holds isolated is missed, as in the RFC."""
        anon, pins = self.off_lru.get(msg.pfn, (False, 0))
        if not pins:
            found = self._forget(msg.pfn)
            if found is None:
                return DONE
            anon = found
            await self.ask(self.memmap, memmap.ChangeFlags(msg.pfn, clear=Page.LRU))
        self.off_lru[msg.pfn] = (anon, pins + 1)
        return DONE

    @handles(LruReturnUnpinned)
    async def lru_return_unpinned(self, msg: LruReturnUnpinned) -> Done:
        """Proposal P2: the last unpin puts it back."""
        anon, pins = self.off_lru.get(msg.pfn, (False, 0))
        if pins > 1:
            self.off_lru[msg.pfn] = (anon, pins - 1)
        elif pins:
            self.off_lru.pop(msg.pfn)
            await self.lru_add(LruAdd(msg.pfn, anon))
        return DONE

    async def refill(self, anon: bool, pages: int) -> None:
        """shrink_active_list(): the oldest active pages become inactive while the inactive list is the shorter one."""
        short = min(pages, len(self.active[anon]) - len(self.inactive[anon]))
        for pfn in list(self.active[anon])[: max(short, 0)]:
            if self.active[anon].pop(pfn) is not None:
                self.inactive[anon][pfn] = True
                await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.ACTIVE))

    async def isolate(self, pfn: int, anon: bool) -> bool:
        """isolate_lru_page(): off its list, with a reference, unless it is being freed."""
        if self.inactive[anon].pop(pfn) is None:
            return False
        got = await self.ask(self.memmap, memmap.TryGet(pfn, 1, self.port.context, "isolate"))
        if not got.yes:
            return False
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.LRU))
        self.trace(LruIsolate(pfn=pfn))
        return True

    async def put_back(self, pfn: int, anon: bool, *, activate: bool) -> None:
        """putback_lru_page(): on a list again, then the isolation reference goes; that may be the last one."""
        lists = self.active if activate else self.inactive
        lists[anon][pfn] = True
        flags = Page.LRU | Page.ACTIVE if activate else Page.LRU
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=flags))
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "isolate", self.port.context))

    @handles(IsolatePage)
    async def isolate_page(self, msg: IsolatePage) -> Flag:
        """folio_isolate_lru(), and as in isolate_lru_pages() not if it is being freed."""
        if self._forget(msg.pfn) is None:
            return NO
        if not (await self.ask(self.memmap, memmap.TryGet(msg.pfn, 1, self.port.context, "isolate"))).yes:
            return NO
        await self.ask(self.memmap, memmap.ChangeFlags(msg.pfn, clear=Page.LRU | Page.ACTIVE))
        self.trace(LruIsolate(pfn=msg.pfn))
        return YES

    @handles(PutbackPage)
    async def putback_page(self, msg: PutbackPage) -> Done:
        """folio_putback_lru()."""
        await self.put_back(msg.pfn, anon=True, activate=False)
        return DONE

    def _forget(self, pfn: int) -> bool | None:
        """Take a page off its list; whether that was an anonymous one, None if it was on none."""
        for lists in (self.inactive, self.active):
            for anon, pages in lists.items():
                if pages.pop(pfn) is not None:
                    return anon
        return None
