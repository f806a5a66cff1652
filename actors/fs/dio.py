"""O_DIRECT: the disk and the user's own pages, past the page cache."""

from __future__ import annotations

import errno
from functools import partial

import msgspec

from gupsim.actors.base import chunks_of, handles
from gupsim.actors.fs.core import Completion
from gupsim.actors.fs.fsync import Syncing
from gupsim.actors.fs.inodes import Inode
from gupsim.actors.fs.invalidate import Invalidation
from gupsim.actors.fs.rw import BufferedIo
from gupsim.actors.fs.writepage import WritePages
from gupsim.actors.rules.files import OdirectCall, OdirectDirty
from gupsim.actors.rules.pins import PinnedOnLru
from gupsim.protocol.cpu import GetUserPagesFast
from gupsim.protocol.fs import DirectIo, DirectWritten, SetPageDirty, Transferred
from gupsim.protocol.memmap import ChangeFlags, Page, PutRefs, ReadMapping, UnpinRefs
from gupsim.protocol.memory import PAGE_SIZE, WriteMemory
from gupsim.protocol.mm import Foll, GetUserPages, UserPages
from gupsim.protocol.reclaim import LruRemovePinned, LruReturnUnpinned


class _Dio(msgspec.Struct, frozen=True):
    """One O_DIRECT call. pages: how many of it are inside the file; holder: under what name pages are held."""

    inode: Inode
    call: DirectIo
    pages: int
    holder: str


class DirectIos(BufferedIo, Invalidation, Syncing, WritePages):
    """One bio per page. User pages are held from the submission to the end of their bio, by rule odirect_call; who then
    dirties them, and whether the caller runs again before that, is rule odirect_dirty."""

    @handles(DirectIo)
    async def direct_io(self, msg: DirectIo) -> Transferred:
        """ext4_file_read_iter(), ext4_file_write_iter() with IOCB_DIRECT; bytes moved or a negative errno."""
        inode = self.inode(msg.ino)
        holder = f"{self.name} dio of {self.port.context}"
        if msg.from_disk:
            async with inode.i_rwsem.shared():
                inside = max(0, -(-inode.size // PAGE_SIZE) - msg.index)
                dio = _Dio(inode, msg, min(msg.pages, inside), holder)
                return Transferred(await self._direct_read(dio))
        async with inode.i_rwsem:
            return Transferred(await self._direct_write(_Dio(inode, msg, msg.pages, holder)))

    async def _direct_read(self, dio: _Dio) -> int:
        """Dirty pages of the cache go to disk first; clean ones may stay."""
        if not dio.pages:
            return 0
        error = await self.write_and_wait(dio.inode)
        if error:
            return error
        moved = await self._transfer(dio)
        return min(moved, dio.inode.size - dio.call.index * PAGE_SIZE)

    async def _direct_write(self, dio: _Dio) -> int:
        """The cached range is written back and thrown out before, and thrown out again after."""
        inode, first = dio.inode, dio.call.index
        last = first + dio.pages - 1
        error = await self.write_and_wait(inode)
        if error:
            return error
        if not await self.invalidate_range(inode, first, last):
            return await self._fall_back(dio)
        moved = await self._transfer(dio)
        if moved > 0:
            self.trace(DirectWritten(self.name, dio.call.ino, first, dio.pages))
        if not await self.invalidate_range(inode, first, last):
            # A fault by get_user_pages, or a reader, brought pages back, and now they are dirty.
            self.warn_once(
                "fs/iomap/direct-io.c, dio_warn_stale_pagecache()",
                "Page cache invalidation failure on direct I/O. Possible data corruption due to collision with"
                " buffered I/O!",
            )
        if moved > 0:
            inode.size = max(inode.size, first * PAGE_SIZE + moved)
        return moved

    async def _fall_back(self, dio: _Dio) -> int:
        """-ENOTBLK: a page of the range could not be thrown out, so the write goes through the cache after all.

        The kernel copies from the user's address; here the pages are held while they are copied."""
        written = error = 0
        while written < dio.pages * PAGE_SIZE and not error:
            got = await self._get_pages(dio, written // PAGE_SIZE, 1)
            if got.result <= 0:
                error = got.result or -errno.EFAULT
                break
            data = await self.copy_out(got.pfns[0], 0, PAGE_SIZE)
            await self._release(got.pfns[0], dio.holder)
            done = await self.perform_write(dio.inode, dio.call.index * PAGE_SIZE + written, data)
            error = min(done, 0)
            written += max(done, 0)
        first = dio.call.index
        error = await self.write_and_wait(dio.inode) or error
        await self.invalidate_range(dio.inode, first, first + dio.pages - 1)
        return written or error

    async def _transfer(self, dio: _Dio) -> int:
        """iomap_dio_rw(): pin, submit, go on with what could not be pinned at once, then wait for everything.

        The first error wins over the bytes that did move, as in the kernel (kernel-facts, perm-hole-odirect)."""
        under_way: list[tuple[int, Completion]] = []
        submitted = error = 0
        while submitted < dio.pages and not error:
            got = await self._get_pages(dio, submitted, dio.pages - submitted)
            if got.result <= 0:
                error = got.result or -errno.EFAULT
            for number, pfn in enumerate(got.pfns, submitted):
                done = Completion(self, f"direct I/O of page {pfn}")
                if not error:
                    error = await self._submit(dio, dio.call.index + number, pfn, done)
                    under_way.append((pfn, done))
                else:
                    await self._release(pfn, dio.holder)
            submitted += len(got.pfns)
        for pfn, done in under_way:
            failed = await done.wait()
            error = error or failed
            if self.rules.odirect_dirty is OdirectDirty.CALLER:
                await self._bio_complete(dio, pfn)
        return error or dio.pages * PAGE_SIZE

    async def _get_pages(self, dio: _Dio, number: int, pages: int) -> UserPages:
        """iov_iter_get_pages() (FOLL_GET) or iov_iter_extract_pages() (FOLL_PIN): a prefix of what was asked."""
        flags = Foll.PIN if self.rules.odirect_call is OdirectCall.PIN else Foll.GET
        if dio.call.from_disk:
            flags |= Foll.WRITE
        address = dio.call.address + number * PAGE_SIZE
        if dio.call.cpu:
            fast = GetUserPagesFast(dio.call.mm, address, pages, flags, dio.holder)
            got = await self.ask(dio.call.cpu, fast)
        else:
            got = await self.ask(self.mm, GetUserPages(dio.call.mm, address, pages, flags, dio.holder))
        if self.rules.pinned_on_lru is PinnedOnLru.REMOVE:
            for pfn in got.pfns:
                await self.ask(self.at("reclaim"), LruRemovePinned(pfn))
        return got

    async def _submit(self, dio: _Dio, index: int, pfn: int, done: Completion) -> int:
        """One page: 0, or -ENOSPC. Its release is the business of the end of the I/O, also if there is none."""
        end = partial(self._end, dio, pfn, done)
        block = dio.inode.blocks.get(index)
        if dio.call.from_disk:
            if self.rules.odirect_dirty is not OdirectDirty.CALLER:
                await self._set_page_dirty_lock(pfn)
            if block is None:
                for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
                    await self.ask(self.memory, WriteMemory(pfn, offset, bytes(length), self.name))
        elif block is None:
            block = self.space.allocate(reserved=False)
            if block < 0:
                await end(-errno.ENOSPC)
                return -errno.ENOSPC
            self.map_block(dio.inode, index, block)
        if block is None:
            await end(0)
        else:
            self.submit_bio(block, pfn, end, write=not dio.call.from_disk)
        return 0

    async def _end(self, dio: _Dio, pfn: int, done: Completion, error: int) -> None:
        """iomap_dio_bio_end_io(), bio_check_pages_dirty(). Until 7.0 the caller is woken first: it may return to user
        space before the page is dirty again and released. Before iomap it did that work itself."""
        if self.rules.odirect_dirty is not OdirectDirty.RELEASED_FIRST:
            await done.complete(error)
        if self.rules.odirect_dirty is not OdirectDirty.CALLER:
            await self._check_pages_dirty(dio, pfn)
        if self.rules.odirect_dirty is OdirectDirty.RELEASED_FIRST:
            await done.complete(error)

    async def _bio_complete(self, dio: _Dio, pfn: int) -> None:
        """dio_bio_complete() of a call that is waited for: bio_release_pages(), in the caller's context."""
        if dio.call.from_disk:
            await self._set_page_dirty_lock(pfn)
        await self._release(pfn, dio.holder)

    async def _check_pages_dirty(self, dio: _Dio, pfn: int) -> None:
        """bio_check_pages_dirty(), bio_release_pages()."""
        if dio.call.from_disk and not await self.page_flags(pfn, Page.DIRTY):
            # Somebody cleaned it during the I/O (S46). An interrupt cannot take the page lock: a worker does.
            self.start(self._dirty_and_release(pfn, dio.holder), context=f"kworker {self.name} bio_dirty_fn {pfn}")
        else:
            await self._release(pfn, dio.holder)

    async def _dirty_and_release(self, pfn: int, holder: str) -> None:
        """bio_dirty_fn()."""
        await self._set_page_dirty_lock(pfn)
        await self._release(pfn, holder)

    async def _release(self, pfn: int, holder: str) -> None:
        """bio_release_page(): the partner of the call that acquired it."""
        if self.rules.pinned_on_lru is PinnedOnLru.REMOVE:
            await self.ask(self.at("reclaim"), LruReturnUnpinned(pfn))
        if self.rules.odirect_call is OdirectCall.PIN:
            await self.ask(self.memmap, UnpinRefs(pfn, 1, holder))
        else:
            await self.ask(self.memmap, PutRefs(pfn, 1, "gup", holder))

    async def _set_page_dirty_lock(self, pfn: int) -> None:
        """set_page_dirty_lock(): through the mapping that the page has, which may be another file system's."""
        await self.lock_page(pfn)
        mapping = await self.ask(self.memmap, ReadMapping(pfn))
        if mapping.ino and not mapping.anon:
            await self.ask(mapping.fs, SetPageDirty(pfn, mapping.ino, mapping.index, f"{self.name} dio"))
        else:
            await self.ask(self.memmap, ChangeFlags(pfn, set=Page.DIRTY))
        await self.unlock_page(pfn)
