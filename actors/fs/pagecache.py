"""Finding pages in the cache, reading them in, taking them out."""

from __future__ import annotations

import errno

from gupsim.actors.base import handles
from gupsim.actors.fs.core import Completion, FsCore
from gupsim.actors.fs.inodes import Inode
from gupsim.actors.fs.pagetree import Tag
from gupsim.protocol.fs import CacheDrop, DirtyPage, FileFault, FilemapFault, NextDirty, NextWriteback
from gupsim.protocol.memmap import AllocPages, GetRefs, Page, PutRefs, SetMapping
from gupsim.protocol.memory import ZeroFrame
from gupsim.protocol.reclaim import LruAdd

NO_PAGE = DirtyPage(-1)


class PageCache(FsCore):
    """A page is in the cache from `store` to `erase`; whoever looks it up gets a reference under the tree lock."""

    @handles(FilemapFault)
    async def filemap_fault(self, msg: FilemapFault) -> FileFault:
        """filemap_fault(): the page, up to date, locked and with a reference for the asker.

        The invalidate lock is held throughout as in ext4_filemap_fault() [S 4.20]; since 5.15 only to add a page."""
        inode = self.inode(msg.ino)
        if not inode.contains(msg.index):
            return FileFault(-errno.EFAULT)
        async with inode.invalidate_lock.shared():
            pfn = await self.grab_page(inode, msg.index)
            if pfn < 0:
                return FileFault(pfn)
            error = await self.make_uptodate(inode, msg.index, pfn)
            if not error and not inode.contains(msg.index):
                error = -errno.EFAULT
        if error:
            await self.unlock_and_put(pfn)
        return FileFault(error or pfn)

    @handles(NextDirty)
    async def next_dirty(self, msg: NextDirty) -> DirtyPage:
        """pagevec_lookup_tag() (B11, step 1)."""
        tag = Tag.TOWRITE if msg.towrite else Tag.DIRTY
        return await self.next_page(self.inode(msg.ino), msg.index, tag)

    @handles(NextWriteback)
    async def next_writeback(self, msg: NextWriteback) -> DirtyPage:
        """filemap_fdatawait_range() looks for pages under writeback."""
        return await self.next_page(self.inode(msg.ino), msg.index, Tag.WRITEBACK)

    async def next_page(self, inode: Inode, start: int, tag: Tag | None = None) -> DirtyPage:
        """The first page (that carries `tag`) from index `start` on, with a reference."""
        async with inode.xa.shared():
            index = inode.pages.first(start, tag)
            pfn = inode.pages.load(index) if index is not None else None
            if index is None or pfn is None:
                return NO_PAGE
            await self.get_page(pfn)
        return DirtyPage(pfn, index)

    async def find_page(self, inode: Inode, index: int) -> int | None:
        """find_get_page(): the page with a reference, or None."""
        async with inode.xa.shared():
            pfn = inode.pages.load(index)
            if pfn is not None:
                await self.get_page(pfn)
        return pfn

    async def grab_page(self, inode: Inode, index: int) -> int:
        """find_or_create_page(): locked and with a reference, not necessarily up to date; or -ENOMEM.

        It looks again only if another context took the page out or put one in meanwhile: it never spins."""
        while True:
            pfn = await self.find_page(inode, index)
            if pfn is None:
                pfn = await self._add_page(inode, index)
                if pfn is not None:
                    return pfn
                continue
            await self.lock_page(pfn)
            if inode.pages.load(index) == pfn:
                return pfn
            await self.unlock_and_put(pfn)

    async def make_uptodate(self, inode: Inode, index: int, pfn: int) -> int:
        """->readpage, page locked: from its block, zeroes for a hole. 0, or -EIO if the disk cannot read it."""
        if await self.page_flags(pfn, Page.UPTODATE):
            return 0
        block = inode.blocks.get(index)
        if block is None:
            await self.ask(self.memory, ZeroFrame(pfn))
        else:
            # The page stays locked until the read has ended; here the reader, not the interrupt, unlocks it.
            read = Completion(self, f"the read of page {pfn}")
            self.submit_bio(block, pfn, read.complete, write=False)
            if await read.wait():
                return -errno.EIO
        await self.set_uptodate(pfn)
        return 0

    async def delete_from_cache(self, inode: Inode, pfn: int, index: int, why: str, *, dirty: bool = False) -> None:
        """__delete_from_page_cache(): page locked and clean, tree lock held. dirty: it was so until now."""
        inode.pages.erase(index)
        self.trace(CacheDrop(pfn=pfn, fs=self.address, ino=inode.ino, index=index, dirty=dirty, why=why))
        await self.ask(self.memmap, SetMapping(pfn))

    async def fresh_page(self) -> int:
        """A page for the cache, or -ENOMEM."""
        return (await self.ask(self.memmap, AllocPages("cache"))).pfn

    async def lru_add(self, pfn: int) -> None:
        """folio_add_lru()."""
        await self.ask(self.at("reclaim"), LruAdd(pfn, anon=False))

    async def _add_page(self, inode: Inode, index: int) -> int | None:
        """add_to_page_cache_lru() of a new page: locked, the allocation's reference turned into a lookup's.

        -ENOMEM; or None (-EEXIST) if another context was faster."""
        pfn = await self.fresh_page()
        if pfn < 0:
            return pfn
        context = self.port.context
        await self.lock_page(pfn)
        await self.ask(self.memmap, GetRefs(pfn, 1, "cache"))
        await self.ask(self.memmap, SetMapping(pfn, self.address, inode.ino, index))
        if inode.pages.load(index) is not None:
            await self.ask(self.memmap, SetMapping(pfn))
            await self.ask(self.memmap, PutRefs(pfn, 1, "cache"))
            await self.unlock_page(pfn)
            await self.ask(self.memmap, PutRefs(pfn, 1, "alloc", context))
            return None
        inode.pages.store(index, pfn)
        await self.get_page(pfn)
        await self.ask(self.memmap, PutRefs(pfn, 1, "alloc", context))
        await self.lru_add(pfn)
        return pfn
