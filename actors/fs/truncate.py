"""Files get shorter, and holes: pages leave the cache and blocks the file, whoever else has the pages (B12)."""

from __future__ import annotations

import errno

from gupsim.actors.base import handles
from gupsim.actors.fs.inodes import Inode
from gupsim.actors.fs.invalidate import Invalidation
from gupsim.protocol.fs import Fallocate, FileBlock, Truncate
from gupsim.protocol.memmap import ChangeFlags, Page, PageMapped, PutRefs, WaitWriteback
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Status
from gupsim.protocol.mm import UnmapRange


class Truncation(Invalidation):
    """The invalidate lock keeps faults out that would add pages; no reference is looked at."""

    @handles(Truncate)
    async def truncate(self, msg: Truncate) -> Status:
        """ext4_setattr(), ext4_truncate(). Pages of a private mapping beyond the new end go, too."""
        inode = self.inode(msg.ino)
        size = msg.pages * PAGE_SIZE
        async with inode.i_rwsem, inode.invalidate_lock:
            old, inode.size = inode.size, size
            if size < old:
                end = -(-old // PAGE_SIZE)
                cut = UnmapRange(self.address, inode.ino, msg.pages, end - msg.pages, even_cows=True)
                await self.ask(self.mm, cut)
                await self._truncate_pages(inode, msg.pages, end)
                await self.ask(self.mm, cut)
                self._free_blocks(inode, msg.pages, end)
        return Status()

    @handles(Fallocate)
    async def fallocate(self, msg: Fallocate) -> Status:
        """ext4_punch_hole(), ext4_zero_range(): private copies stay. Left out: the writeback of the range before; and a
        zeroed range keeps its blocks in Linux, as unwritten ones."""
        if msg.mode not in ("punch", "zero"):
            return Status(-errno.EOPNOTSUPP)
        inode = self.inode(msg.ino)
        async with inode.i_rwsem, inode.invalidate_lock:
            await self.ask(self.mm, UnmapRange(self.address, inode.ino, msg.first, msg.pages))
            await self._truncate_pages(inode, msg.first, msg.first + msg.pages)
            self._free_blocks(inode, msg.first, msg.first + msg.pages)
        return Status()

    async def _truncate_pages(self, inode: Inode, first: int, end: int) -> None:
        """truncate_inode_pages_range()."""
        page = await self.next_page(inode, first)
        while page.pfn >= 0 and page.index < end:
            await self.lock_page(page.pfn)
            await self.ask(self.memmap, WaitWriteback(page.pfn))
            if inode.pages.load(page.index) == page.pfn:
                await self._truncate_page(inode, page.pfn, page.index)
            await self.unlock_and_put(page.pfn)
            page = await self.next_page(inode, page.index + 1)
        if page.pfn >= 0:
            await self.put_page(page.pfn)

    async def _truncate_page(self, inode: Inode, pfn: int, index: int) -> None:
        """truncate_inode_page(), page locked: ->invalidatepage drops dirty buffers like clean ones."""
        if (await self.ask(self.memmap, PageMapped(pfn))).yes:
            await self.ask(self.mm, UnmapRange(self.address, inode.ino, index, 1))
        async with inode.private_lock:
            buffers = self.buffers.pop(pfn)
            for buffer in buffers or ():
                if buffer.delay:
                    self.space.reserved -= 1
                buffer.dirty = buffer.mapped = buffer.delay = False
            was = await self.ask(self.memmap, ChangeFlags(pfn, clear=Page.DIRTY | Page.PRIVATE))
        if buffers is not None:
            await self.ask(self.memmap, PutRefs(pfn, 1, "private"))
        async with inode.xa:
            await self.delete_from_cache(inode, pfn, index, "truncate", dirty=bool(was.flags & Page.DIRTY))
        await self.ask(self.memmap, PutRefs(pfn, 1, "cache"))

    def _free_blocks(self, inode: Inode, first: int, end: int) -> None:
        """ext4_ext_remove_space()."""
        for index in range(first, end):
            block = inode.blocks.pop(index)
            if block is not None:
                self.space.give_back(block)
                self.trace(FileBlock(fs=self.address, ino=inode.ino, index=index, block=self.block, lba=-1))
