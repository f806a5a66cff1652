"""Mappings of tmpfs files: seals, and nameless files that end with their last mapping."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gupsim.actors.base import Map, Port, handles
from gupsim.actors.mm.core import MmCore
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Flag
from gupsim.protocol.mm import Prot
from gupsim.protocol.shmem import SHMEM, EvictShmem, MappedWritable, MmapShmem, ShmemZeroSetup, VmaLinked


def is_shmem(vma: Vma) -> bool:
    """vma_is_shmem(); MAP_SHARED|MAP_ANONYMOUS is to become one."""
    return vma.fs == SHMEM or (vma.shared and not vma.fs and not vma.hugetlb and not vma.device)


class ShmemMappings(MmCore):
    """mmap_lock held for writing."""

    def __init__(self, address: str, port: Port, **options: Any) -> None:
        super().__init__(address, port, **options)
        self.nameless: Map[int, bool] = Map(self, "nameless shmem files")
        """Inodes that their mappings alone keep alive."""

    async def map_shmem(self, space: AddressSpace, vma: Vma) -> int:
        """mmap_region() of such a mapping: 0 or -EPERM."""
        tmpfs = self.at(SHMEM)
        if not vma.fs:
            pages = (vma.end - vma.start) // PAGE_SIZE
            vma = replace(vma, fs=SHMEM, ino=(await self.ask(tmpfs, ShmemZeroSetup(pages))).ino)
            self.nameless[vma.ino] = True
        mapped = await self.ask(tmpfs, MmapShmem(vma.ino, vma.shared, bool(vma.prot & Prot.WRITE)))
        if mapped.error:
            return mapped.error
        space.set_vmas([*space.vmas, replace(vma, may_write=mapped.may_write)])
        if vma.shared and mapped.may_write:
            await self.ask(tmpfs, VmaLinked(vma.ino))
        return 0

    async def close_shmem(self, vma: Vma) -> None:
        """fput(): a mapping is gone with its entries. A nameless file goes with the last one; two may be the last."""
        if vma.ino in self.nameless and not self._mappings_of(vma.fs, vma.ino):
            self.nameless.pop(vma.ino)
            await self.ask(self.at(vma.fs), EvictShmem(vma.ino))

    @handles(MappedWritable)
    def mapped_writable(self, msg: MappedWritable) -> Flag:
        """The VMAs of i_mmap that count in i_mmap_writable."""
        return Flag(any(vma.shared and vma.may_write for vma in self._mappings_of(msg.fs, msg.ino)))

    def _mappings_of(self, fs: str, ino: int) -> list[Vma]:
        local = self.local(fs)
        everywhere = [vma for space in self.spaces.values() for vma in space.linked_vmas()]
        return [vma for vma in everywhere if vma.ino == ino and self.local(vma.fs) == local and not vma.hugetlb]
