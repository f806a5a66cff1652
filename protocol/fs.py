"""A file system with a page cache: ext4-like inodes, tags, buffers, block map.

`index` is a page number in a file, `ino` an inode number (unique in a host), offsets and lengths are bytes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from gupsim.protocol.message import Done, Flag, Message, Request, Status, Tracepoint

FileData = Annotated[bytes, msgspec.Meta(max_length=1 << 16)]


class FilemapFault(Request["FileFault"], frozen=True):
    """filemap_fault(): find the page in the cache or read it from disk. From mm, in a fault.

    Answered with the page locked and a reference held for the caller."""

    ino: int
    index: int


class FileFault(Message, frozen=True):
    """pfn, or a negative errno (-14: beyond the end of file, SIGBUS). Answers FilemapFault."""

    pfn: int


class BalanceDirtyPages(Request[Done], frozen=True):
    """balance_dirty_pages() after a fault dirtied a page of the file system. From mm (fault_dirty_shared_page)."""


class PageMkwrite(Request[Status], frozen=True):
    """->page_mkwrite() (B10): first write to a clean shared file page. From mm.

    0: blocks are reserved, buffers attached and dirty, page dirty and *locked*. -11 (-EAGAIN): truncated, retry.
    Other negative errno: SIGBUS."""

    ino: int
    index: int
    pfn: int


class NeedsDirtyTracking(Request[Flag], frozen=True):
    """vma_needs_dirty_tracking(): does a shared writable mapping of this file need page_mkwrite? From mm."""

    ino: int


class WriteFile(Request["Transferred"], frozen=True):
    """write(2) through the page cache. From process. append data at `offset`."""

    ino: int
    offset: int
    data: FileData


class ReadFile(Request["FileBytes"], frozen=True):
    """read(2) through the page cache. From process and observer."""

    ino: int
    offset: int
    length: int


class FileBytes(Message, frozen=True):
    """error: 0 or a negative errno. Answers ReadFile."""

    data: FileData = b""
    error: int = 0


class Transferred(Message, frozen=True):
    """Bytes moved, or a negative errno. Answers WriteFile and DirectIo."""

    result: int


class DirectIo(Request[Transferred], frozen=True):
    """O_DIRECT read (from_disk) or write of whole pages between the file and user memory. From process.

    cpu: address of the CPU on which get_user_pages_fast() walks first; "" for the slow walk alone."""

    ino: int
    index: int
    pages: int
    from_disk: bool
    mm: str
    address: int
    cpu: str = ""


class Fsync(Request[Status], frozen=True):
    """fsync(2): write all dirty pages of the file, wait, flush the disk's cache. From process."""

    ino: int


class Sync(Request[Status], frozen=True):
    """sync(2) for this file system: as fsync of every dirty inode. From process."""


class SyncFileRange(Request[Status], frozen=True):
    """sync_file_range(2) of the whole file with WAIT_BEFORE, WRITE and WAIT_AFTER. From process."""

    ino: int


class DropCache(Request["Transferred"], frozen=True):
    """posix_fadvise(POSIX_FADV_DONTNEED): drop clean, unmapped, unreferenced cache pages of the file. From process."""

    ino: int


class Truncate(Request[Status], frozen=True):
    """ftruncate(2) to whole pages. To any file system, from process."""

    ino: int
    pages: int


class Fallocate(Request[Status], frozen=True):
    """fallocate(2). mode: "punch" (FALLOC_FL_PUNCH_HOLE), "zero" (FALLOC_FL_ZERO_RANGE). first, pages: the range. From
    process."""

    ino: int
    mode: str
    first: int
    pages: int


class SetPageDirty(Request[Done], frozen=True):
    """set_page_dirty() -> ->set_page_dirty/dirty_folio (B10): mark all buffers (if any) and the page dirty, tag it,
    mark the inode dirty. From mm (zap, unmap), drivers, direct I/O."""

    pfn: int
    ino: int
    index: int
    by: str


class NextDirty(Request["DirtyPage"], frozen=True):
    """pagevec_lookup_tag(): the first page at or after `index` that carries the tag; a reference is taken.
    towrite: the TOWRITE tag instead of DIRTY. From the flusher."""

    ino: int
    index: int
    towrite: bool


class DirtyPage(Message, frozen=True):
    """pfn -1: no more. Answers NextDirty."""

    pfn: int
    index: int = 0


class TagForWriteback(Request[Done], frozen=True):
    """tag_pages_for_writeback(): DIRTY pages of the file get TOWRITE, so that a sync has an end. From the flusher."""

    ino: int


class WritePage(Request["Written"], frozen=True):
    """->writepage (B11, steps 5-8) for a locked page whose dirty bit was cleared: map blocks, set writeback, submit,
    unlock. From the flusher. The page must have buffers: what happens if not is rule `dirty_without_buffers`.

    source: the frame to write from: the page itself, or its bounce page. keep_dirty: leave it tagged dirty (P6)."""

    pfn: int
    ino: int
    index: int
    source: int
    keep_dirty: bool = False


class Written(Message, frozen=True):
    """What became of the page: "submitted" or "discarded". Answers WritePage."""

    outcome: str


class NextWriteback(Request["DirtyPage"], frozen=True):
    """The first page at or after `index` under writeback, with a reference (filemap_fdatawait). From the flusher."""

    ino: int
    index: int


class DirtyInodes(Request["Inodes"], frozen=True):
    """The inodes with dirty pages, in the order in which they became dirty. From the flusher."""


class Inodes(Message, frozen=True):
    """Inode numbers. Answers DirtyInodes."""

    inos: tuple[int, ...]


class ReleaseBuffers(Request[Flag], frozen=True):
    """try_to_release_page() (B9, step 8): drop the buffers if all are clean and unlocked. From reclaim, page locked.
    No reference count is looked at: that is where S01 starts."""

    pfn: int
    ino: int
    index: int


class RemoveMapping(Request[Flag], frozen=True):
    """__remove_mapping() (B9, step 9): under the tree lock freeze the refcount at `expected`, then test dirty, then
    remove from the cache. True: the page is out and frozen at 0. From reclaim, page locked."""

    pfn: int
    ino: int
    index: int
    expected: int


class StatFile(Request["FileState"], frozen=True):
    """What is where, for the observer: size, cached pages, blocks."""

    ino: int


class FileState(Message, frozen=True):
    """size in bytes; cached: (index, pfn, has_buffers, dirty tag); blocks: (index, block). Answers StatFile."""

    size: int
    cached: tuple[tuple[int, int, bool, bool], ...]
    blocks: tuple[tuple[int, int], ...]


class BuffersAttached(Tracepoint, frozen=True, tag="fs:buffers_attached"):
    """create_empty_buffers()."""

    pfn: int
    ino: int
    index: int

    def say(self) -> str:
        return f"buffers attached to page {self.pfn} (inode {self.ino}, index {self.index})"


class BuffersReleased(Tracepoint, frozen=True, tag="fs:buffers_released"):
    """try_to_free_buffers() succeeded: the page has no buffers any more."""

    pfn: int
    ino: int
    index: int

    def say(self) -> str:
        return f"clean buffers of page {self.pfn} dropped: it has none any more"


class PageMkwriteDone(Tracepoint, frozen=True, tag="fs:page_mkwrite"):
    """->page_mkwrite ended with `error` 0 or a negative errno."""

    pfn: int
    ino: int
    index: int
    error: int

    def say(self) -> str:
        return f"page_mkwrite of page {self.pfn}: " + (
            f"error {self.error}" if self.error else "block reserved, buffers dirty"
        )


class SetPageDirtyDone(Tracepoint, frozen=True, tag="fs:set_page_dirty"):
    """set_page_dirty. buffers: whether there were any to mark; newly: the page was clean before."""

    pfn: int
    ino: int
    index: int
    buffers: bool
    newly: bool
    by: str

    def say(self) -> str:
        without = "" if self.buffers else ", but it has NO BUFFERS to mark"
        return f"{self.by}: set_page_dirty(page {self.pfn}){without}"


class DiscardDirty(Tracepoint, frozen=True, tag="fs:discard_dirty"):
    """ext4 since 5.18: a dirty page without buffers is made clean and not written (B10)."""

    pfn: int
    ino: int
    index: int

    def say(self) -> str:
        return f"page {self.pfn} does not have buffers attached: dirty state discarded, nothing written"


class FsyncBegin(Tracepoint, frozen=True, tag="fs:fsync_begin"):
    """fsync or sync (ino 0: all files) starts."""

    fs: str
    ino: int

    def say(self) -> str:
        return f"{'fsync of inode ' + str(self.ino) if self.ino else 'sync'} on {self.fs} begins"


class FsyncEnd(Tracepoint, frozen=True, tag="fs:fsync_end"):
    """fsync or sync returned `error`: 0 promises that everything stored before it began is on disk."""

    fs: str
    ino: int
    error: int

    def say(self) -> str:
        return f"{'fsync of inode ' + str(self.ino) if self.ino else 'sync'} on {self.fs} returned {self.error}"


class FileBlock(Tracepoint, frozen=True, tag="fs:map_block"):
    """A page of a file got a block on the device `block` (an address); lba -1: it is a hole from now on."""

    fs: str
    ino: int
    index: int
    block: str
    lba: int

    def say(self) -> str:
        if self.lba < 0:
            return f"inode {self.ino} index {self.index} is a hole"
        return f"inode {self.ino} index {self.index} is block {self.lba} of {self.block}"


class CacheDrop(Tracepoint, frozen=True, tag="fs:cache_drop"):
    """A page left the page cache. dirty: it was dirty then (truncate); why: "reclaim", "invalidate", "truncate"."""

    pfn: int
    fs: str
    ino: int
    index: int
    dirty: bool
    why: str

    def say(self) -> str:
        return f"page {self.pfn} (inode {self.ino}, index {self.index}) dropped from the page cache by {self.why}"


class DirectWritten(Tracepoint, frozen=True, tag="fs:direct_written"):
    """A direct write put the data of its pages on disk: `pages` of them, from index `first` on."""

    fs: str
    ino: int
    first: int
    pages: int

    def say(self) -> str:
        return f"direct write put {self.pages} pages of inode {self.ino} on disk, from index {self.first} on"


MESSAGES: tuple[type[Message], ...] = (
    FilemapFault,
    FileFault,
    PageMkwrite,
    BalanceDirtyPages,
    NeedsDirtyTracking,
    WriteFile,
    ReadFile,
    FileBytes,
    Transferred,
    DirectIo,
    Fsync,
    Sync,
    SyncFileRange,
    DropCache,
    Truncate,
    Fallocate,
    SetPageDirty,
    NextDirty,
    DirtyPage,
    TagForWriteback,
    WritePage,
    Written,
    NextWriteback,
    DirtyInodes,
    Inodes,
    ReleaseBuffers,
    RemoveMapping,
    StatFile,
    FileState,
)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (
    BuffersAttached,
    BuffersReleased,
    PageMkwriteDone,
    SetPageDirtyDone,
    DiscardDirty,
    FsyncBegin,
    FsyncEnd,
    FileBlock,
    CacheDrop,
    DirectWritten,
)
