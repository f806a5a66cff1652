"""The first write to a clean page of a shared mapping (B10)."""

from __future__ import annotations

import errno

from gupsim.actors.base import handles
from gupsim.actors.fs.buffers import Buffers
from gupsim.protocol.fs import NeedsDirtyTracking, PageMkwrite, PageMkwriteDone
from gupsim.protocol.message import YES, Flag, Status


class Mkwrite(Buffers):
    """F1 (B10): a page becomes dirty only after the file system was told. CPUs keep to it, devices cannot."""

    @handles(PageMkwrite)
    async def page_mkwrite(self, msg: PageMkwrite) -> Status:
        """ext4_page_mkwrite(), block_page_mkwrite(). Freeze protection is left out: nobody freezes a file system."""
        inode = self.inode(msg.ino)
        async with inode.invalidate_lock.shared():
            await self.lock_page(msg.pfn)
            if inode.pages.load(msg.index) != msg.pfn or not inode.contains(msg.index):
                error = -errno.EAGAIN
            else:
                error = await self.map_buffers(inode, msg.pfn, msg.index)
            if error:
                await self.unlock_page(msg.pfn)
            else:
                await self.dirty_page(inode, msg.pfn, msg.index, "page_mkwrite")
                await self.wait_for_stable_page(inode, msg.pfn)
        self.trace(PageMkwriteDone(pfn=msg.pfn, ino=msg.ino, index=msg.index, error=error))
        return Status(error)

    @handles(NeedsDirtyTracking)
    def needs_dirty_tracking(self, msg: NeedsDirtyTracking) -> Flag:
        """vma_needs_dirty_tracking(): yes, there is a ->page_mkwrite."""
        return YES
