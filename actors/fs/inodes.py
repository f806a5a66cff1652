"""Inodes with their locks and blocks, buffers, and the free space of the file system."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gupsim.actors.base import Actor, Entity, Field, Map, TicketLock
from gupsim.actors.base.state import Owner
from gupsim.actors.fs.pagetree import PageTree
from gupsim.protocol.memory import PAGE_SIZE


class FileSpec(msgspec.Struct, frozen=True):
    """A file that is there at boot: `pages` pages on consecutive blocks from `first_block` on."""

    ino: int
    name: str
    pages: int
    first_block: int


class Inode(Entity):
    """A file in memory.

    stable: AS_STABLE_WRITES, decided when the inode was read in (rule stable_pages).
    """

    size = Field(0)
    """i_size in bytes."""
    error = Field(0)
    """AS_EIO: the errno of a failed write, until an fsync has told it."""

    def __init__(self, actor: Actor, spec: FileSpec, *, stable: bool) -> None:
        super().__init__(actor, f"inode {spec.ino}")
        self.ino = spec.ino
        self.stable = stable
        self.size = spec.pages * PAGE_SIZE
        self.pages = PageTree(actor, f"i_pages {spec.ino}", spec.pages)
        self.blocks: Map[int, int] = Map(actor, f"blocks of inode {spec.ino}")
        """index -> block: where the page is on disk; no entry is a hole."""
        for index in range(spec.pages):
            self.blocks[index] = spec.first_block + index
        self.i_rwsem = TicketLock(actor, f"i_rwsem of inode {spec.ino}")
        self.invalidate_lock = TicketLock(actor, f"invalidate_lock of inode {spec.ino}")
        self.private_lock = TicketLock(actor, f"private_lock of inode {spec.ino}")
        """Orders set_page_dirty() against the dropping of buffers."""
        self.xa = TicketLock(actor, f"i_pages lock of inode {spec.ino}")
        """Shared: a lookup with its reference. Exclusive: whatever changes page and tags in more than one step.
        A lookup that meets a frozen page waits here, where the kernel retries (granularity.md, 3a)."""

    def contains(self, index: int) -> bool:
        """True if the page is at least partly inside i_size."""
        return index * PAGE_SIZE < self.size


class Buffer(Entity):
    """One buffer_head: what the file system knows of one block of a cached page."""

    dirty = Field(default=False)
    mapped = Field(default=False)
    """`block` is where it is on disk."""
    delay = Field(default=False)
    """Space is reserved for it, no block is chosen yet (delayed allocation)."""
    async_write = Field(default=False)
    """Its I/O is under way."""
    block = Field(-1)

    def __init__(self, owner: Owner, pfn: int, number: int) -> None:
        super().__init__(owner, f"buffer {number} of page {pfn}")

    @property
    def busy(self) -> bool:
        """buffer_busy(): drop_buffers() must leave it alone."""
        return self.dirty or self.async_write


class Space(Entity):
    """Blocks that belong to no file. Some are promised to pages that have not been written yet.

    blocks: of the device. used: blocks of files at boot.
    """

    free = Field(0)
    reserved = Field(0)
    next = Field(0)
    """Where the search for a free block goes on if none was given back."""

    def __init__(self, owner: Owner, blocks: int, used: Iterable[int]) -> None:
        super().__init__(owner, "space")
        self._used = frozenset(used)
        self.given_back: Map[int, bool] = Map(owner, "freed blocks")
        self.free = blocks - len(self._used)

    def reserve(self) -> bool:
        """ext4_da_reserve_space(): promise one block; False is ENOSPC."""
        if self.free <= self.reserved:
            return False
        self.reserved += 1
        return True

    def allocate(self, *, reserved: bool) -> int:
        """ext4_map_blocks(): the lowest free block, or -1. reserved: redeem a promise, which cannot fail."""
        if not reserved and self.free <= self.reserved:
            return -1
        if reserved:
            self.reserved -= 1
        self.free -= 1
        for block in self.given_back:
            self.given_back.pop(block)
            return block
        block = self.next
        while block in self._used:
            block += 1
        self.next = block + 1
        return block

    def give_back(self, block: int) -> None:
        """ext4_free_blocks()."""
        self.given_back[block] = True
        self.free += 1
