"""read(2) and write(2) through the page cache."""

from __future__ import annotations

import errno

from gupsim.actors.base import chunks_of, handles
from gupsim.actors.fs.buffers import Buffers
from gupsim.actors.fs.inodes import Inode
from gupsim.actors.fs.pagecache import PageCache
from gupsim.protocol.flusher import Writeback
from gupsim.protocol.fs import BalanceDirtyPages, FileBytes, ReadFile, Transferred, WriteFile
from gupsim.protocol.memmap import DirtyPagesOver, Page
from gupsim.protocol.memory import PAGE_SIZE, ReadMemory, WriteMemory
from gupsim.protocol.message import DONE, Done

_MOST = 1 << 16
"""Bytes that one answer can hold: a longer read(2) is cut short."""


class BufferedIo(PageCache, Buffers):
    """The bytes of a write(2) come with the message: copying them from user memory cannot fault in here."""

    @handles(WriteFile)
    async def write_file(self, msg: WriteFile) -> Transferred:
        """ext4_buffered_write_iter(), generic_perform_write(): page by page, a short count if space runs out."""
        inode = self.inode(msg.ino)
        if msg.offset < 0:
            return Transferred(-errno.EINVAL)
        async with inode.i_rwsem:
            return Transferred(await self.perform_write(inode, msg.offset, msg.data))

    async def perform_write(self, inode: Inode, position: int, data: bytes) -> int:
        """i_rwsem held: bytes written, or a negative errno if none were."""
        written = 0
        while written < len(data):
            index, start = divmod(position + written, PAGE_SIZE)
            piece = data[written : written + PAGE_SIZE - start]
            error = await self._write_one_page(inode, index, start, piece)
            if error:
                return written or error
            written += len(piece)
            if self.dirty_limit:
                await self.balance_dirty_pages(BalanceDirtyPages())
        return written

    @handles(BalanceDirtyPages)
    async def balance_dirty_pages(self, msg: BalanceDirtyPages) -> Done:
        """Who dirties pages beyond the limit wakes the flusher and waits until enough were written."""
        if (await self.ask(self.memmap, DirtyPagesOver(self.dirty_limit))).yes:
            self.start(self._background(), context=f"kworker {self.name} wb_workfn")
            await self.ask(self.memmap, DirtyPagesOver(self.dirty_limit, wait=True))
        return DONE

    async def _background(self) -> None:
        """wb_start_background_writeback()."""
        await self.ask(self.flusher, Writeback())

    async def _write_one_page(self, inode: Inode, index: int, start: int, piece: bytes) -> int:
        """ext4_da_write_begin(), the copy, ext4_da_write_end()."""
        pfn = await self.grab_page(inode, index)
        if pfn < 0:
            return pfn
        await self.wait_for_stable_page(inode, pfn)
        error = await self.map_buffers(inode, pfn, index)
        if not error and len(piece) < PAGE_SIZE:
            error = await self.make_uptodate(inode, index, pfn)
        if not error:
            copied = 0
            for offset, length in chunks_of(start, len(piece), self.chunk):
                await self.ask(self.memory, WriteMemory(pfn, offset, piece[copied : copied + length], self.name))
                copied += length
            if len(piece) == PAGE_SIZE:
                await self.set_uptodate(pfn)
            await self.dirty_page(inode, pfn, index, "write")
            inode.size = max(inode.size, index * PAGE_SIZE + start + len(piece))
        await self.unlock_and_put(pfn)
        return error

    @handles(ReadFile)
    async def read_file(self, msg: ReadFile) -> FileBytes:
        """generic_file_buffered_read(): no lock of the inode, the page lock only to read a page in."""
        inode = self.inode(msg.ino)
        if msg.offset < 0:
            return FileBytes(error=-errno.EINVAL)
        end = min(msg.offset + min(msg.length, _MOST), inode.size)
        data = bytearray()
        while (position := msg.offset + len(data)) < end:
            index, start = divmod(position, PAGE_SIZE)
            pfn = await self._read_page(inode, index)
            if pfn < 0:
                return FileBytes(bytes(data), 0 if data else pfn)
            data += await self.copy_out(pfn, start, min(end - position, PAGE_SIZE - start))
            await self.put_page(pfn)
        return FileBytes(bytes(data))

    async def copy_out(self, pfn: int, start: int, length: int) -> bytes:
        """Read part of a frame, chunk by chunk: whoever writes meanwhile is seen in part."""
        data = b""
        for offset, size in chunks_of(start, length, self.chunk):
            data += (await self.ask(self.memory, ReadMemory(pfn, offset, size, self.name))).data
        return data

    async def _read_page(self, inode: Inode, index: int) -> int:
        """An up-to-date page with a reference, unlocked; or a negative errno."""
        pfn = await self.find_page(inode, index)
        if pfn is not None:
            if await self.page_flags(pfn, Page.UPTODATE):
                return pfn
            await self.put_page(pfn)
        pfn = await self.grab_page(inode, index)
        if pfn < 0:
            return pfn
        error = await self.make_uptodate(inode, index, pfn)
        await self.unlock_page(pfn)
        if error:
            await self.put_page(pfn)
        return error or pfn
