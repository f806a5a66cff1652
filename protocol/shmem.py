"""tmpfs: the files behind MAP_SHARED|MAP_ANONYMOUS and memfd_create(2) (mm/shmem.c, mm/memfd.c).

It answers the messages of `gupsim.protocol.fs`, too. `ino` is unique among the files of a host; those of memory that
processes share without a file are from `NAMELESS` on.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from gupsim.protocol.message import Done, Flag, Message, Request, Status

SHMEM: Final = "fs/tmpfs"
"""Local name of the actor. A mapping of it is one for vma_is_shmem()."""


NAMELESS: Final = 1 << 24
"""First inode number of files that nobody has open: more than a scenario can have files."""


class Seal(IntFlag):
    """F_SEAL_*."""

    SEAL = 1
    SHRINK = 2
    GROW = 4
    WRITE = 8
    FUTURE_WRITE = 16


class ShmemZeroSetup(Request["ShmemFile"], frozen=True):
    """shmem_zero_setup(): a file of `pages` pages for memory that is shared and has no name. From mm."""

    pages: int


class ShmemFile(Message, frozen=True):
    """Its inode. Answers ShmemZeroSetup."""

    ino: int


class EvictShmem(Request[Done], frozen=True):
    """shmem_evict_inode(): nobody maps the nameless file any more. From mm."""

    ino: int


class MmapShmem(Request["ShmemMapped"], frozen=True):
    """shmem_mmap(), mapping_map_writable() before the mapping is linked; write: it is to be writable now. From mm."""

    ino: int
    shared: bool
    write: bool


class ShmemMapped(Message, frozen=True):
    """error: 0 or -1 (-EPERM: sealed); may_write: VM_MAYWRITE. Answers MmapShmem. If 0 and shared and it may be
    written, the asker says VmaLinked when it is linked."""

    error: int
    may_write: bool = True


class VmaLinked(Request[Done], frozen=True):
    """mapping_unmap_writable(): the mapping is in i_mmap and counts by itself from now on. From mm."""

    ino: int


class MappedWritable(Request[Flag], frozen=True):
    """i_mmap_writable > 0: is the file mapped somewhere, shared, so that it may be written? From tmpfs, to mm."""

    fs: str
    ino: int


class AddSeals(Request[Status], frozen=True):
    """fcntl(F_ADD_SEALS). seals: bits of `Seal`. -16 (-EBUSY) for F_SEAL_WRITE if it is mapped for writing, or if
    somebody holds a reference to one of its pages. From process."""

    ino: int
    seals: int


class CollapseFile(Request["FileCollapsed"], frozen=True):
    """collapse_file(): a huge page of 2**order pages in the cache from `index` on. From mm (MADV_COLLAPSE)."""

    ino: int
    index: int
    order: int


class FileCollapsed(Message, frozen=True):
    """result: SCAN_* in lower case; pfn: of the huge page if it is "succeed", else -1. Answers CollapseFile."""

    result: str
    pfn: int = -1


class RetractTables(Request[Done], frozen=True):
    """retract_page_tables(): take out the last-level tables of all mappings of a huge range. From tmpfs, huge page
    locked, to mm."""

    fs: str
    ino: int
    index: int


MESSAGES: tuple[type[Message], ...] = (
    ShmemZeroSetup, ShmemFile, EvictShmem, MmapShmem, ShmemMapped, VmaLinked, MappedWritable, AddSeals,
    CollapseFile, FileCollapsed, RetractTables,
)  # fmt: skip
