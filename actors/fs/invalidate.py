"""Pages leave the cache: for reclaim, for fadvise, and for direct writes."""

from __future__ import annotations

from gupsim.actors.base import handles
from gupsim.actors.fs.buffers import Buffers
from gupsim.actors.fs.inodes import Inode
from gupsim.actors.fs.pagecache import PageCache
from gupsim.actors.rules.files import DropUnused
from gupsim.protocol.flusher import Writeback
from gupsim.protocol.fs import DropCache, RemoveMapping, Transferred
from gupsim.protocol.memmap import (
    FreezeRefs,
    Page,
    PageMapped,
    PutRefs,
    ReadCounts,
    TryLockPage,
    UnfreezeRefs,
    WaitWriteback,
)
from gupsim.protocol.message import Flag
from gupsim.protocol.mm import UnmapRange

_CACHE_AND_LOOKUP = 2
"""References of a page that nobody uses but the cache and the context that looks at it."""


class Invalidation(PageCache, Buffers):
    """Two ways out: one that counts references first, and one that does not (B12)."""

    @handles(RemoveMapping)
    async def remove_mapping(self, msg: RemoveMapping) -> Flag:
        """__remove_mapping() (B9, step 9); the page stays frozen for reclaim to free."""
        inode = self.inode(msg.ino)
        return Flag(await self._remove_frozen(inode, msg.pfn, msg.index, msg.expected, "reclaim"))

    async def _remove_frozen(self, inode: Inode, pfn: int, index: int, expected: int, why: str) -> bool:
        """Count first, dirty second: a GUP user dirties the page and then drops it, and must not fall in between."""
        async with inode.xa:
            if inode.pages.load(index) != pfn:
                return False
            if not (await self.ask(self.memmap, FreezeRefs(pfn, expected))).yes:
                return False
            if await self.page_flags(pfn, Page.DIRTY):
                await self.ask(self.memmap, UnfreezeRefs(pfn, expected))
                return False
            await self.delete_from_cache(inode, pfn, index, why)
        return True

    @handles(DropCache)
    async def drop_cache(self, msg: DropCache) -> Transferred:
        """generic_fadvise(): starts writeback and does not wait. invalidate_mapping_pages(): how many pages went."""
        inode = self.inode(msg.ino)
        await self.ask(self.flusher, Writeback(msg.ino))
        dropped = 0
        page = await self.next_page(inode, 0)
        while page.pfn >= 0:
            if (await self.ask(self.memmap, TryLockPage(page.pfn))).yes:
                dropped += await self._invalidate_unused(inode, page.pfn, page.index)
                await self.unlock_page(page.pfn)
            await self.put_page(page.pfn)
            page = await self.next_page(inode, page.index + 1)
        return Transferred(dropped)

    async def _invalidate_unused(self, inode: Inode, pfn: int, index: int) -> bool:
        """invalidate_inode_page(), page locked: only a page that is clean, unmapped and unreferenced goes."""
        if inode.pages.load(index) != pfn or await self.page_flags(pfn, Page.DIRTY | Page.WRITEBACK):
            return False
        if await self._in_use(pfn):
            return False
        if not await self.free_buffers(inode, pfn, index):
            return False
        if not await self._remove_frozen(inode, pfn, index, _CACHE_AND_LOOKUP, "invalidate"):
            return False
        # Unfrozen with one reference less: that was the cache's.
        await self.ask(self.memmap, UnfreezeRefs(pfn, _CACHE_AND_LOOKUP - 1))
        return True

    async def _in_use(self, pfn: int) -> bool:
        """What a page is asked before its buffers go differs by era (rule drop_cache)."""
        if self.rules.drop_cache is DropUnused.MAPPED:
            return (await self.ask(self.memmap, PageMapped(pfn))).yes
        private = bool(await self.page_flags(pfn, Page.PRIVATE))
        return (await self.ask(self.memmap, ReadCounts(pfn))).refs > _CACHE_AND_LOOKUP + private

    async def invalidate_range(self, inode: Inode, first: int, last: int) -> bool:
        """invalidate_inode_pages2_range() (B12): False (-EBUSY) if a page was dirty or kept its buffers.

        No reference is counted: a pinned page is taken out of the cache like any other and its pinner keeps an
        orphan, while the mapping refaults another frame (S48)."""
        complete = True
        page = await self.next_page(inode, first)
        while page.pfn >= 0 and page.index <= last:
            await self.lock_page(page.pfn)
            if inode.pages.load(page.index) == page.pfn and not await self._invalidate(inode, page.pfn, page.index):
                complete = False
            await self.unlock_and_put(page.pfn)
            page = await self.next_page(inode, page.index + 1)
        if page.pfn >= 0:
            await self.put_page(page.pfn)
        return complete

    async def _invalidate(self, inode: Inode, pfn: int, index: int) -> bool:
        """invalidate_complete_page2(), page locked."""
        await self.ask(self.memmap, WaitWriteback(pfn))
        if (await self.ask(self.memmap, PageMapped(pfn))).yes:
            await self.ask(self.mm, UnmapRange(self.address, inode.ino, index, 1))
        if not await self.free_buffers(inode, pfn, index):
            return False
        async with inode.xa:
            if await self.page_flags(pfn, Page.DIRTY):
                return False
            await self.delete_from_cache(inode, pfn, index, "invalidate")
        await self.ask(self.memmap, PutRefs(pfn, 1, "cache"))
        return True
