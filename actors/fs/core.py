"""What all parts of the file system share: its state, and the page operations that they use most."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gupsim.actors.base import Fifo, KernelActor, Map, Port, handles
from gupsim.actors.base.port import wait
from gupsim.actors.fs.inodes import Buffer, FileSpec, Inode, Space
from gupsim.actors.rules import KernelRules
from gupsim.actors.rules.files import StablePages
from gupsim.protocol.address import local_name
from gupsim.protocol.block import BioEnd, SubmitBio
from gupsim.protocol.memmap import (
    ChangeFlags,
    GetRefs,
    LockPage,
    Page,
    PutRefs,
    ReadFlags,
    UnlockPage,
    WaitWriteback,
)

End = Callable[[int], Coroutine[Any, Any, None]]
"""What is to be done at the end of an I/O, in interrupt context; it gets 0 or a negative errno."""


class FsCore(KernelActor):
    """State of one file system. The meaning of the arguments is in `gupsim.actors.fs.ext4`."""

    def __init__(
        self,
        address: str,
        port: Port,
        *,
        rules: KernelRules,
        block: str,
        chunk: int,
        files: tuple[FileSpec, ...],
        blocks: int,
        stable_writes: bool,
        dirty_limit: int = 0,
    ) -> None:
        super().__init__(address, port, rules=rules)
        self.name = local_name(address)
        self.memmap = self.at("memmap")
        self.memory = self.at("memory")
        self.mm = self.at("mm")
        self.block = self.at(block)
        self.flusher = self.at(f"flusher/{self.name.partition('/')[2]}")
        self.chunk = chunk
        self.dirty_limit = dirty_limit
        self.stable_writes = stable_writes
        """What the device says now: a change of it is seen by rule stable_pages=bdi alone."""
        self._stable_at_mount = stable_writes
        used = [file.first_block + page for file in files for page in range(file.pages)]
        if len(set(used)) != len(used) or not all(0 <= block < blocks for block in used):
            raise ValueError(f"{address}: files overlap, or lie outside of the {blocks} blocks of {block}")
        self.inodes = {file.ino: Inode(self, file, stable=stable_writes) for file in files}
        self.space = Space(self, blocks, used)
        self.buffers: Map[int, tuple[Buffer, ...]] = Map(self, "buffers")
        """pfn -> page->private: its buffers, as many as blocks fit in a page (here one: a block is a page)."""
        self.dirty_inodes: Fifo[int, bool] = Fifo(self, "b_dirty")
        """Inodes with dirty pages, in the order in which they became dirty."""
        self._bios: dict[int, End] = {}

    def inode(self, ino: int) -> Inode:
        """The inode `ino`; asking for one that does not exist is a bug of the actor program."""
        inode = self.inodes.get(ino)
        if inode is None:
            raise LookupError(f"{self.address} has no inode {ino}")
        return inode

    def requires_stable_pages(self, inode: Inode) -> bool:
        """Must pages of this file not change under writeback? Who says so differs by era (rule stable_pages)."""
        match self.rules.stable_pages:
            case StablePages.BDI:
                return self.stable_writes
            case StablePages.SUPERBLOCK:
                return self._stable_at_mount
            case _:
                return inode.stable

    async def wait_for_stable_page(self, inode: Inode, pfn: int) -> None:
        """wait_for_stable_page(): page_mkwrite and write_begin are its only callers; devices do not ask."""
        if self.requires_stable_pages(inode):
            await self.ask(self.memmap, WaitWriteback(pfn))

    # Bios

    def submit_bio(self, lba: int, pfn: int, end: End, *, write: bool) -> None:
        """submit_bio(): one block, one frame; `end` runs in the interrupt that reports its end."""
        tag = self.port.reserve()
        self._bios[tag] = end
        self.send(self.block, SubmitBio(lba, pfn, write, tag, self.address))

    @handles(BioEnd)
    async def bio_end(self, msg: BioEnd) -> None:
        """bio_endio()."""
        await self._bios.pop(msg.tag)(msg.error)

    # One atomic operation on a struct page each

    async def get_page(self, pfn: int) -> None:
        """get_page() of a lookup, for the running context; the tree lock or another reference keeps the page alive."""
        await self.ask(self.memmap, GetRefs(pfn, 1, "lookup", self.port.context))

    async def put_page(self, pfn: int) -> None:
        """put_page() of a lookup of the running context."""
        await self.ask(self.memmap, PutRefs(pfn, 1, "lookup", self.port.context))

    async def lock_page(self, pfn: int) -> None:
        """lock_page()."""
        await self.ask(self.memmap, LockPage(pfn))

    async def unlock_page(self, pfn: int) -> None:
        """unlock_page()."""
        await self.ask(self.memmap, UnlockPage(pfn))

    async def unlock_and_put(self, pfn: int) -> None:
        """unlock_page(), put_page()."""
        await self.unlock_page(pfn)
        await self.put_page(pfn)

    async def page_flags(self, pfn: int, mask: int) -> int:
        """Those flags of `mask` that are set."""
        return (await self.ask(self.memmap, ReadFlags(pfn, mask))).flags

    async def set_uptodate(self, pfn: int) -> None:
        """SetPageUptodate()."""
        await self.ask(self.memmap, ChangeFlags(pfn, set=Page.UPTODATE))


class Completion:
    """struct completion: one context waits for the end of one I/O, which may come before it waits.

    reason: what is waited for, for reports.
    """

    __slots__ = ("_actor", "_token")

    def __init__(self, actor: KernelActor, reason: str) -> None:
        self._actor = actor
        self._token = actor.port.reserve()
        actor.port.waits(self._token, reason)

    async def complete(self, error: int) -> None:
        """complete(), with the result."""
        self._actor.port.wake(self._token, error)

    async def wait(self) -> int:
        """wait_for_completion(): 0 or a negative errno."""
        error: int = await wait(self._token)
        return error
