"""Buffers of cached pages, and what it means to dirty a page (B10)."""

from __future__ import annotations

import errno

from gupsim.actors.base import handles
from gupsim.actors.fs.core import FsCore
from gupsim.actors.fs.inodes import Buffer, Inode
from gupsim.actors.fs.pagetree import Tag
from gupsim.actors.rules.files import DirtyWarning
from gupsim.protocol.fs import (
    BuffersAttached,
    BuffersReleased,
    DirtyInodes,
    Inodes,
    ReleaseBuffers,
    SetPageDirty,
    SetPageDirtyDone,
    TagForWriteback,
)
from gupsim.protocol.memmap import ChangeFlags, GetRefs, Page, PutRefs
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import DONE, Done, Flag

BLOCK_SIZE = PAGE_SIZE


class Buffers(FsCore):
    """F2 (B10): a dirty page has buffers, with blocks reserved. Whoever dirties behind our back breaks it."""

    @handles(SetPageDirty)
    async def set_page_dirty(self, msg: SetPageDirty) -> Done:
        """->set_page_dirty, with or without the page lock: what the caller knows of the mapping may be stale (S45)."""
        await self.dirty_page(self.inode(msg.ino), msg.pfn, msg.index, msg.by)
        return DONE

    async def dirty_page(self, inode: Inode, pfn: int, index: int, by: str) -> None:
        """__set_page_dirty_buffers() (B10): all buffers, the flag, the tag, the inode.

        ext4's other warning, about a page that is not locked, is left out: the lock is not ours to look at."""
        async with inode.private_lock:
            buffers = self.buffers.get(pfn)
            if buffers is None and self.rules.dirty_warning is DirtyWarning.WARN_ONCE:
                self.warn_once("fs/ext4/inode.c, ext4_set_page_dirty()", "WARN_ON_ONCE(!page_has_buffers(page))")
            for buffer in buffers or ():
                buffer.dirty = True
            was = await self.ask(self.memmap, ChangeFlags(pfn, set=Page.DIRTY))
        if not was.flags:
            # Under the tree lock: the flag may be found set or clear by WritePage, the tag must not get lost.
            async with inode.xa:
                if inode.pages.load(index) == pfn:
                    inode.pages.set_tag(index, Tag.DIRTY)
            if inode.ino not in self.dirty_inodes:
                self.dirty_inodes[inode.ino] = True
        self.trace(
            SetPageDirtyDone(
                pfn=pfn, ino=inode.ino, index=index, buffers=buffers is not None, newly=not was.flags, by=by
            )
        )

    async def map_buffers(self, inode: Inode, pfn: int, index: int) -> int:
        """__block_write_begin(): buffers attached, each with a block or (delalloc) a reservation; 0 or -ENOSPC.

        Page locked. ext4 tries again after a journal commit might have freed space; here nothing would."""
        buffers = self.buffers.get(pfn)
        if buffers is None:
            buffers = await self._create_empty_buffers(inode, pfn, index)
        for buffer in buffers:
            if buffer.mapped or buffer.delay:
                continue
            block = inode.blocks.get(index)
            if block is not None:
                buffer.block = block
                buffer.mapped = True
            elif self.space.reserve():
                buffer.delay = True
            else:
                return -errno.ENOSPC
        return 0

    async def _create_empty_buffers(self, inode: Inode, pfn: int, index: int) -> tuple[Buffer, ...]:
        """create_empty_buffers(): page locked, so that nobody else attaches; a dirty page gets dirty buffers."""
        buffers = tuple(Buffer(self, pfn, number) for number in range(PAGE_SIZE // BLOCK_SIZE))
        async with inode.private_lock:
            dirty = await self.page_flags(pfn, Page.DIRTY)
            for buffer in buffers:
                buffer.dirty = bool(dirty)
                buffer.mapped = buffer.delay = buffer.async_write = False
            await self.ask(self.memmap, GetRefs(pfn, 1, "private"))
            await self.ask(self.memmap, ChangeFlags(pfn, set=Page.PRIVATE))
            self.buffers[pfn] = buffers
        self.trace(BuffersAttached(pfn=pfn, ino=inode.ino, index=index))
        return buffers

    @handles(ReleaseBuffers)
    async def release_buffers(self, msg: ReleaseBuffers) -> Flag:
        """try_to_release_page() (B9, step 8)."""
        return Flag(await self.free_buffers(self.inode(msg.ino), msg.pfn, msg.index))

    async def free_buffers(self, inode: Inode, pfn: int, index: int) -> bool:
        """try_to_free_buffers(), page locked. Looks at the buffers and at nothing else: no reference, no pin."""
        async with inode.private_lock:
            buffers = self.buffers.get(pfn)
            if buffers is not None:
                if any(buffer.busy for buffer in buffers):
                    return False
                self.buffers.pop(pfn)
                self.trace(BuffersReleased(pfn=pfn, ino=inode.ino, index=index))
                # cancel_dirty_page(): a page whose buffers are all clean is clean. The private lock keeps a
                # concurrent set_page_dirty() out between the two.
                await self.ask(self.memmap, ChangeFlags(pfn, clear=Page.PRIVATE | Page.DIRTY))
        if buffers is not None:
            await self.ask(self.memmap, PutRefs(pfn, 1, "private"))
        return True

    @handles(TagForWriteback)
    def tag_for_writeback(self, msg: TagForWriteback) -> Done:
        """tag_pages_for_writeback()."""
        self.inode(msg.ino).pages.copy_tag(Tag.DIRTY, Tag.TOWRITE)
        return DONE

    @handles(DirtyInodes)
    def list_dirty_inodes(self, msg: DirtyInodes) -> Inodes:
        """The b_dirty list. An inode leaves it when no page of it is tagged any more."""
        for ino in self.dirty_inodes:
            if self.inode(ino).pages.first(0, Tag.DIRTY) is None:
                self.dirty_inodes.pop(ino)
        return Inodes(tuple(self.dirty_inodes))
