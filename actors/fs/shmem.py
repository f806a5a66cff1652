"""tmpfs, which is the page cache alone (mm/shmem.c): nothing is written back and no page has buffers.

So there is no page_mkwrite (B10): a page is dirty when somebody says so, and stays dirty.
"""

from __future__ import annotations

import errno
from typing import Final

import msgspec

from gupsim.actors.base import Actor, Entity, Field, Map, Port, chunks_of, handles
from gupsim.actors.fs.collapse_file import FileCollapse
from gupsim.actors.fs.inodes import FileSpec, Inode
from gupsim.actors.fs.pagetree import PageTree
from gupsim.actors.rules import KernelRules
from gupsim.actors.rules.introduced import SealFutureWrite
from gupsim.protocol import fs, memmap
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE, ReadMemory, WriteMemory
from gupsim.protocol.message import DONE, NO, Done, Flag, Status
from gupsim.protocol.mm import UnmapRange
from gupsim.protocol.shmem import (
    NAMELESS,
    AddSeals,
    EvictShmem,
    MappedWritable,
    MmapShmem,
    Seal,
    ShmemFile,
    ShmemMapped,
    ShmemZeroSetup,
    VmaLinked,
)

_SCANS: Final = (0, 10_000_000, 20_000_000, 40_000_000, 80_000_000)
"""memfd_wait_for_pins(): it looks five times, after so many ns each."""

_MOST: Final = 1 << 16
"""Bytes that one answer can hold: a longer read(2) is cut short."""

_NO_WRITE: Final = int(Seal.WRITE | Seal.FUTURE_WRITE)


class ShmemSpec(msgspec.Struct, frozen=True):
    """A memfd that is there at boot: `pages` pages, all holes."""

    ino: int
    pages: int


class ShmemInode(Inode):
    """shmem_inode_info."""

    seals = Field(0)
    denied = Field(default=False)
    """i_mmap_writable < 0: nobody may map it shared so that it may be written."""
    mapping = Field(0)
    """Calls of mmap(2) between mapping_map_writable() and mapping_unmap_writable()."""

    def __init__(self, actor: Actor, ino: int, pages: int) -> None:
        super().__init__(actor, FileSpec(ino, "", 0, 0), stable=False)
        self.size = pages * PAGE_SIZE
        self.pages = PageTree(actor, f"i_pages {ino}", pages)


class _Nameless(Entity):
    """Number of the file of shared anonymous memory that was made last."""

    last = Field(NAMELESS - 1)


class Shmem(FileCollapse):
    """Pages are not on the LRU: reclaim would have to move them to swap (see limits.md).

    chunk: bytes that a copy moves in one step. files: those that have a name."""

    def __init__(
        self, address: str, port: Port, *, rules: KernelRules, chunk: int, files: tuple[ShmemSpec, ...] = ()
    ) -> None:
        super().__init__(
            address, port, rules=rules, block="block/none", chunk=chunk, files=(), blocks=0, stable_writes=False
        )
        self.files: Map[int, ShmemInode] = Map(self, "shmem inodes")
        self.nameless = _Nameless(self, "shmem nameless")
        for file in files:
            self._new_inode(file.ino, file.pages)

    def inode(self, ino: int) -> ShmemInode:
        """As for all file systems."""
        inode = self.files.get(ino)
        if inode is None:
            raise LookupError(f"{self.address} has no inode {ino}")
        return inode

    def _new_inode(self, ino: int, pages: int) -> None:
        self.files[ino] = ShmemInode(self, ino, pages)

    # Nameless files

    @handles(ShmemZeroSetup)
    def zero_setup(self, msg: ShmemZeroSetup) -> ShmemFile:
        self.nameless.last += 1
        self._new_inode(self.nameless.last, msg.pages)
        return ShmemFile(self.nameless.last)

    @handles(EvictShmem)
    async def evict(self, msg: EvictShmem) -> Done:
        """Who still has a reference to a page keeps an orphan."""
        inode = self.inode(msg.ino)
        await self._undo_range(inode, 0, inode.size // PAGE_SIZE)
        self.files.pop(msg.ino)
        return DONE

    # Faults and mappings

    async def fresh_page(self) -> int:
        pfn = (await self.ask(self.memmap, memmap.AllocPages("shmem"))).pfn
        if pfn >= 0:
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.SWAPBACKED))
        return pfn

    async def lru_add(self, pfn: int) -> None:
        """Not on a list."""

    @handles(fs.FilemapFault)
    async def filemap_fault(self, msg: fs.FilemapFault) -> fs.FileFault:
        """shmem_fault(). Left out: faults that wait while a hole is punched where they are, which only lets the
        punching come to an end."""
        inode = self.inode(msg.ino)
        if not inode.contains(msg.index):
            return fs.FileFault(-errno.EFAULT)
        pfn = await self.grab_page(inode, msg.index)
        if pfn < 0 or await self.page_flags(pfn, Page.UPTODATE):
            return fs.FileFault(pfn)
        await self.make_uptodate(inode, msg.index, pfn)
        if inode.contains(msg.index):
            return fs.FileFault(pfn)
        # Truncated since we looked: truncate may have passed here before the page was there.
        await self._remove_page(inode, pfn, msg.index)
        await self.unlock_and_put(pfn)
        return fs.FileFault(-errno.EFAULT)

    @handles(fs.NeedsDirtyTracking)
    def needs_dirty_tracking(self, msg: fs.NeedsDirtyTracking) -> Flag:
        """vma_needs_dirty_tracking(): no page_mkwrite, and a mapping that cannot be written back."""
        return NO

    @handles(fs.SetPageDirty)
    async def set_page_dirty(self, msg: fs.SetPageDirty) -> Done:
        """noop_dirty_folio(): the flag, no tag, no list."""
        await self.ask(self.memmap, memmap.ChangeFlags(msg.pfn, set=Page.DIRTY))
        return DONE

    @handles(MmapShmem)
    def mmap(self, msg: MmapShmem) -> ShmemMapped:
        """seal_check_write(); a shared mapping of a sealed file that is not writable loses VM_MAYWRITE (Linux: 6.7, and
        its stable kernels; here in all eras)."""
        inode = self.inode(msg.ino)
        if not msg.shared:
            return ShmemMapped(0)
        if inode.seals & _NO_WRITE:
            return ShmemMapped(-errno.EPERM if msg.write else 0, may_write=False)
        if inode.denied:
            return ShmemMapped(-errno.EPERM)
        ShmemInode.mapping.add(inode, 1)
        return ShmemMapped(0)

    @handles(VmaLinked)
    def vma_linked(self, msg: VmaLinked) -> Done:
        ShmemInode.mapping.add(self.inode(msg.ino), -1)
        return DONE

    # Seals

    @handles(AddSeals)
    async def add_seals(self, msg: AddSeals) -> Status:
        """memfd_add_seals(). Any reference is taken for a pin."""
        if msg.seals & Seal.FUTURE_WRITE and self.rules.seal_future_write is SealFutureWrite.ABSENT:
            return Status(-errno.EINVAL)
        inode = self.inode(msg.ino)
        async with inode.i_rwsem:
            if inode.seals & Seal.SEAL:
                return Status(-errno.EPERM)
            if msg.seals & Seal.WRITE and not inode.seals & Seal.WRITE:
                error = await self._deny_writing(inode)
                if error:
                    return Status(error)
            inode.seals |= msg.seals
        return Status()

    async def _deny_writing(self, inode: ShmemInode) -> int:
        """mapping_deny_writable(), memfd_wait_for_pins()."""
        if inode.mapping:
            return -errno.EBUSY
        inode.denied = True
        if not (await self.ask(self.mm, MappedWritable(self.address, inode.ino))).yes:
            held = await self._held(inode, [page for page, _ in inode.pages.items()])
            for pause in _SCANS:
                if not held:
                    return 0
                if pause:
                    await self.sleep(pause)
                held = await self._held(inode, held)
            if not held:
                return 0
        inode.denied = False
        return -errno.EBUSY

    async def _held(self, inode: ShmemInode, indices: list[int]) -> list[int]:
        """Pages with more references than those of the cache and of mappings."""
        held = []
        for index in indices:
            async with inode.xa.shared():
                pfn = inode.pages.load(index)
                if pfn is not None:
                    counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
                    if counts.refs - counts.maps != await self.cached_of(inode, pfn):
                        held.append(index)
        return held

    # Size and holes

    @handles(fs.Truncate)
    async def truncate(self, msg: fs.Truncate) -> Status:
        """shmem_setattr(). The pages go whether somebody has pinned them or not."""
        inode = self.inode(msg.ino)
        size = msg.pages * PAGE_SIZE
        async with inode.i_rwsem:
            old = inode.size
            if inode.seals & (Seal.SHRINK if size < old else Seal.GROW if size > old else 0):
                return Status(-errno.EPERM)
            inode.size = size
            if size < old:
                cut = UnmapRange(self.address, inode.ino, msg.pages, -(-old // PAGE_SIZE) - msg.pages, even_cows=True)
                await self.ask(self.mm, cut)
                await self._undo_range(inode, cut.first, cut.pages)
                # Private copies that a fault made while the pages were still there.
                await self.ask(self.mm, cut)
        return Status()

    @handles(fs.Fallocate)
    async def fallocate(self, msg: fs.Fallocate) -> Status:
        """shmem_fallocate() knows holes and nothing else. Private copies stay."""
        if msg.mode != "punch":
            return Status(-errno.EOPNOTSUPP)
        inode = self.inode(msg.ino)
        async with inode.i_rwsem:
            if inode.seals & _NO_WRITE:
                return Status(-errno.EPERM)
            await self.ask(self.mm, UnmapRange(self.address, inode.ino, msg.first, msg.pages))
            await self._undo_range(inode, msg.first, msg.pages)
        return Status()

    async def _undo_range(self, inode: ShmemInode, first: int, pages: int) -> None:
        """shmem_undo_range(): it waits for the lock of a page, and for nothing else."""
        page = await self.next_page(inode, first)
        while page.pfn >= 0 and page.index < first + pages:
            await self.lock_page(page.pfn)
            found = inode.pages.load(page.index) == page.pfn
            if found:
                await self._remove_page(inode, page.pfn, page.index)
            await self.unlock_and_put(page.pfn)
            # Else it went, or it was replaced while we waited: then the other one must go.
            page = await self.next_page(inode, page.index + found)
        if page.pfn >= 0:
            await self.put_page(page.pfn)

    async def _remove_page(self, inode: ShmemInode, pfn: int, index: int) -> None:
        """truncate_inode_folio(), page locked. No reference is counted (B12)."""
        if (await self.ask(self.memmap, memmap.PageMapped(pfn))).yes:
            await self.ask(self.mm, UnmapRange(self.address, inode.ino, index, 1))
        last = await self.cached_of(inode, pfn) == 1
        if last:
            was = await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
        async with inode.xa:
            if last:
                await self.delete_from_cache(inode, pfn, index, "truncate", dirty=bool(was.flags))
            else:
                inode.pages.erase(index)  # the rest of a huge page stays, with all of its memory
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "cache"))

    # Bytes

    @handles(fs.WriteFile)
    async def write_file(self, msg: fs.WriteFile) -> fs.Transferred:
        """generic_perform_write(): page by page, a short count if something goes wrong after the first."""
        inode = self.inode(msg.ino)
        if msg.offset < 0:
            return fs.Transferred(-errno.EINVAL)
        written = error = 0
        async with inode.i_rwsem:
            while written < len(msg.data) and not error:
                index, start = divmod(msg.offset + written, PAGE_SIZE)
                piece = msg.data[written : written + PAGE_SIZE - start]
                error = await self._write_one_page(inode, index, start, piece)
                written += 0 if error else len(piece)
        return fs.Transferred(written or error)

    async def _write_one_page(self, inode: ShmemInode, index: int, start: int, piece: bytes) -> int:
        """shmem_write_begin(), the copy, shmem_write_end()."""
        end = index * PAGE_SIZE + start + len(piece)
        if inode.seals & _NO_WRITE or (inode.seals & Seal.GROW and end > inode.size):
            return -errno.EPERM
        pfn = await self.grab_page(inode, index)
        if pfn < 0:
            return pfn
        if len(piece) < PAGE_SIZE:
            await self.make_uptodate(inode, index, pfn)
        copied = 0
        for offset, length in chunks_of(start, len(piece), self.chunk):
            await self.ask(self.memory, WriteMemory(pfn, offset, piece[copied : copied + length], self.name))
            copied += length
        inode.size = max(inode.size, end)
        await self.set_uptodate(pfn)
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        await self.unlock_and_put(pfn)
        return 0

    @handles(fs.ReadFile)
    async def read_file(self, msg: fs.ReadFile) -> fs.FileBytes:
        """shmem_file_read_iter(): a hole reads as zeroes and stays a hole."""
        inode = self.inode(msg.ino)
        if msg.offset < 0:
            return fs.FileBytes(error=-errno.EINVAL)
        end = min(msg.offset + min(msg.length, _MOST), inode.size)
        data = bytearray()
        while (position := msg.offset + len(data)) < end:
            index, start = divmod(position, PAGE_SIZE)
            length = min(end - position, PAGE_SIZE - start)
            pfn = await self._find_uptodate(inode, index)
            if pfn is None:
                data += bytes(length)
                continue
            for offset, size in chunks_of(start, length, self.chunk):
                data += (await self.ask(self.memory, ReadMemory(pfn, offset, size, self.name))).data
            await self.put_page(pfn)
        return fs.FileBytes(bytes(data))

    async def _find_uptodate(self, inode: ShmemInode, index: int) -> int | None:
        """shmem_get_folio(SGP_READ): whoever makes the page holds its lock until it is up to date."""
        while (pfn := await self.find_page(inode, index)) is not None:
            await self.lock_page(pfn)
            current = inode.pages.load(index) == pfn
            await self.unlock_page(pfn)
            if current:
                return pfn
            await self.put_page(pfn)
        return None

    @handles(fs.DirectIo)
    def direct_io(self, msg: fs.DirectIo) -> fs.Transferred:
        """No ->direct_IO (Linux: since 6.6 O_DIRECT is taken, and means nothing)."""
        return fs.Transferred(-errno.EINVAL)

    # What is for disks

    @handles(fs.Fsync)
    def fsync(self, msg: fs.Fsync) -> Status:
        """noop_fsync()."""
        return Status()

    @handles(fs.SyncFileRange)
    def sync_file_range(self, msg: fs.SyncFileRange) -> Status:
        """mapping_can_writeback() says no."""
        return Status()

    @handles(fs.DropCache)
    def drop_cache(self, msg: fs.DropCache) -> fs.Transferred:
        """generic_fadvise() of noop_backing_dev_info: nothing at all."""
        return fs.Transferred(0)

    @handles(fs.StatFile)
    def stat_file(self, msg: fs.StatFile) -> fs.FileState:
        """What is where, for mincore(2)."""
        inode = self.inode(msg.ino)
        return fs.FileState(inode.size, tuple((index, pfn, False, False) for index, pfn in inode.pages.items()), ())
