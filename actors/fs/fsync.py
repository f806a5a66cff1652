"""fsync(2) and sync(2)."""

from __future__ import annotations

import errno

from gupsim.actors.base import handles
from gupsim.actors.fs.inodes import Inode
from gupsim.actors.fs.pagecache import PageCache
from gupsim.actors.fs.pagetree import Tag
from gupsim.protocol.block import FlushDisk
from gupsim.protocol.flusher import Writeback
from gupsim.protocol.fs import Fsync, FsyncBegin, FsyncEnd, Sync, SyncFileRange
from gupsim.protocol.memmap import WaitWriteback
from gupsim.protocol.message import Status


class Syncing(PageCache):
    """What returns 0 here promises that everything stored before is on disk. There is no journal to commit yet."""

    @handles(Fsync)
    async def fsync(self, msg: Fsync) -> Status:
        """ext4_sync_file(). i_rwsem is not taken: writers may go on."""
        inode = self.inode(msg.ino)
        self.trace(FsyncBegin(fs=self.address, ino=msg.ino))
        error = await self.write_and_wait(inode)
        error = (await self.ask(self.block, FlushDisk())).error or error
        self.trace(FsyncEnd(fs=self.address, ino=msg.ino, error=error))
        return Status(error)

    @handles(SyncFileRange)
    async def sync_file_range(self, msg: SyncFileRange) -> Status:
        """ksys_sync_file_range(): the disk's cache is not flushed, and nothing is promised."""
        return Status(await self.write_and_wait(self.inode(msg.ino)))

    @handles(Sync)
    async def sync(self, msg: Sync) -> Status:
        """sync_inodes_sb(), wait_sb_inodes(): also waits for writeback that others have started."""
        self.trace(FsyncBegin(fs=self.address, ino=0))
        error = (await self.ask(self.flusher, Writeback(0, sync=True))).error
        for inode in self.inodes.values():
            await self._wait_for_writeback(inode)
        error = (await self.ask(self.block, FlushDisk())).error or error
        self.trace(FsyncEnd(fs=self.address, ino=0, error=error))
        return Status(error)

    async def write_and_wait(self, inode: Inode) -> int:
        """file_write_and_wait_range(), always for the whole file: 0 or a negative errno, which is told once."""
        error = (await self.ask(self.flusher, Writeback(inode.ino, sync=True))).error
        if inode.error:
            error = error or -errno.EIO
            inode.error = 0
        return error

    async def _wait_for_writeback(self, inode: Inode) -> None:
        """filemap_fdatawait_keep_errors()."""
        index = 0
        while inode.pages.first(index, Tag.WRITEBACK) is not None:
            page = await self.next_page(inode, index, Tag.WRITEBACK)
            if page.pfn < 0:
                return
            await self.ask(self.memmap, WaitWriteback(page.pfn))
            await self.put_page(page.pfn)
            index = page.index + 1
