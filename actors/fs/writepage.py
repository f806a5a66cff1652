"""One page goes to disk: steps 5 to 8 of B11, and step 10 in the interrupt."""

from __future__ import annotations

from functools import partial

import msgspec

from gupsim.actors.base import handles
from gupsim.actors.fs.core import FsCore
from gupsim.actors.fs.inodes import Buffer, Inode
from gupsim.actors.fs.pagetree import Tag
from gupsim.actors.rules.files import DirtyWithoutBuffers
from gupsim.protocol.flusher import WritebackEnd, WritebackStart
from gupsim.protocol.fs import DiscardDirty, FileBlock, WritePage, Written
from gupsim.protocol.memmap import ChangeFlags, Page, PutRefs


class _UnderWriteback(msgspec.Struct, frozen=True):
    """A page between set_page_writeback() and end_page_writeback().

    submitter: context that allocated `source`, if that is a bounce page."""

    inode: Inode
    index: int
    pfn: int
    source: int
    submitter: str
    buffers: tuple[Buffer, ...]


class WritePages(FsCore):
    """Whether somebody still has the page pinned is asked nowhere in here, in no kernel (B11)."""

    @handles(WritePage)
    async def write_page(self, msg: WritePage) -> Written:
        """ext4_writepage(): the page is locked and its dirty bit was cleared (step 4)."""
        buffers = self.buffers.get(msg.pfn)
        if buffers is None:
            return await self._dirty_without_buffers(msg)
        inode = self.inode(msg.ino)
        for buffer in buffers:  # 5
            if buffer.delay:
                self._map_delayed(inode, msg.index, buffer)
        await self._start_writeback(inode, msg)  # 6
        page = _UnderWriteback(inode, msg.index, msg.pfn, msg.source, self.port.context, buffers)
        writing = [buffer for buffer in buffers if buffer.dirty and buffer.mapped]
        for buffer in writing:  # 7
            buffer.async_write = True
            # Clean from here on: who dirties the page during the I/O makes its buffers dirty again.
            buffer.dirty = msg.keep_dirty
        for buffer in writing:
            self.submit_bio(buffer.block, msg.source, partial(self._end_buffer_write, page, buffer), write=True)
        await self.unlock_page(msg.pfn)  # 8
        if not writing:
            # Dirty by its flag alone (S06): there is nothing that the file system would write.
            await self._end_writeback(page, 0)
        return Written("submitted")

    async def _dirty_without_buffers(self, msg: WritePage) -> Written:
        """Somebody dirtied a page whose buffers reclaim had dropped (S01, S02)."""
        if self.rules.dirty_without_buffers is DirtyWithoutBuffers.BUG:
            self.bug("fs/ext4/inode.c, ext4_writepage: page_buffers()", "BUG_ON(!PagePrivate(page))", msg.pfn)
        self.warn("fs/ext4/inode.c, mpage_prepare_extent_to_map()", f"page {msg.index} does not have buffers attached")
        # ClearPageDirty() leaves the tag: later passes find the page, and skip it as clean.
        await self.ask(self.memmap, ChangeFlags(msg.pfn, clear=Page.DIRTY))
        self.trace(DiscardDirty(pfn=msg.pfn, ino=msg.ino, index=msg.index))
        await self.unlock_page(msg.pfn)
        return Written("discarded")

    def _map_delayed(self, inode: Inode, index: int, buffer: Buffer) -> None:
        """ext4_map_blocks() redeems the reservation."""
        buffer.block = self.space.allocate(reserved=True)
        buffer.mapped = True
        buffer.delay = False
        self.map_block(inode, index, buffer.block)

    def map_block(self, inode: Inode, index: int, block: int) -> None:
        """The page of the file is that block from now on."""
        inode.blocks[index] = block
        self.trace(FileBlock(fs=self.address, ino=inode.ino, index=index, block=self.block, lba=block))

    async def _start_writeback(self, inode: Inode, msg: WritePage) -> None:
        """__test_set_page_writeback(): flag and tags together, under the tree lock."""
        async with inode.xa:
            await self.ask(self.memmap, ChangeFlags(msg.pfn, set=Page.WRITEBACK))
            redirtied = await self.page_flags(msg.pfn, Page.DIRTY)
            inode.pages.set_tag(msg.index, Tag.WRITEBACK)
            if not redirtied:
                inode.pages.clear_tag(msg.index, Tag.DIRTY)
            inode.pages.clear_tag(msg.index, Tag.TOWRITE)
        self.trace(WritebackStart(pfn=msg.pfn, fs=self.address, ino=inode.ino, index=msg.index, source=msg.source))

    async def _end_buffer_write(self, page: _UnderWriteback, buffer: Buffer, error: int) -> None:
        """ext4_finish_bio(): the last buffer of the page ends its writeback."""
        buffer.async_write = False
        if error:
            page.inode.error = error
        if not any(other.async_write for other in page.buffers):
            await self._end_writeback(page, error)

    async def _end_writeback(self, page: _UnderWriteback, error: int) -> None:
        """end_page_writeback() (step 10). Tag before flag: so the tree lock is not needed, and whoever sees neither
        finds the data on disk."""
        page.inode.pages.clear_tag(page.index, Tag.WRITEBACK)
        self.trace(WritebackEnd(pfn=page.pfn, fs=self.address, ino=page.inode.ino, index=page.index, error=error))
        await self.ask(self.memmap, ChangeFlags(page.pfn, clear=Page.WRITEBACK))
        if page.source != page.pfn:
            await self.ask(self.memmap, PutRefs(page.source, 1, "alloc", page.submitter))
