"""The file system actor, put together from its parts."""

from __future__ import annotations

from gupsim.actors.base import handles
from gupsim.actors.fs.dio import DirectIos
from gupsim.actors.fs.faults import Mkwrite
from gupsim.actors.fs.pagetree import Tag
from gupsim.actors.fs.truncate import Truncation
from gupsim.protocol.fs import FileBlock, FileState, StatFile
from gupsim.protocol.kernel import Boot


class Ext4(DirectIos, Mkwrite, Truncation):
    """An ext4 with delayed allocation and without a journal; the file system actor of kernels up to 6.12.

    block: local name of its device, "block/sda"; blocks: how many it has, each the size of a page. files: what is
    there at boot. chunk: bytes that a copy moves in one step. stable_writes: the device wants pages under writeback
    to stay as they are (who remembers that is rule stable_pages). Its flusher is flusher/NAME.
    """

    @handles(Boot)
    def boot(self, msg: Boot) -> None:
        """Say where the files are."""
        for inode in self.inodes.values():
            for index, block in inode.blocks.items():
                self.trace(FileBlock(fs=self.address, ino=inode.ino, index=index, block=self.block, lba=block))

    @handles(StatFile)
    def stat_file(self, msg: StatFile) -> FileState:
        """What is where, for the observer."""
        inode = self.inode(msg.ino)
        cached = tuple(
            (index, pfn, pfn in self.buffers, inode.pages.tagged(index, Tag.DIRTY))
            for index, pfn in inode.pages.items()
        )
        return FileState(size=inode.size, cached=cached, blocks=tuple(sorted(inode.blocks.items())))
