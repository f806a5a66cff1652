"""System calls that change an address space: mmap, munmap, madvise, exit (B4)."""

from __future__ import annotations

import errno
from functools import partial

from gupsim.actors.base import handles
from gupsim.actors.mm.change import Change
from gupsim.actors.mm.hugetlb import Hugetlb
from gupsim.actors.mm.shmem import ShmemMappings, is_shmem
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.rules.hugetlb import HugetlbDontneed
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import DONE, Done, Status
from gupsim.protocol.mm import (
    ActivateMm,
    ExitMm,
    KillPending,
    MadviseDontneed,
    Mapped,
    Mmap,
    MmLayout,
    Munmap,
    UnmapRange,
)

_FIRST_ADDRESS = 0x10000
"""mmap_min_addr; page tables with few bits have a smaller one (`first_address`)."""
_GUARD = PAGE_SIZE
"""Left free after each mapping, so that running past its end is a fault and not the next mapping."""


class Layout(Hugetlb, Change, ShmemMappings):
    """mmap_lock held for writing, except for madvise (a real difference: it can race with faults)."""

    @property
    def first_address(self) -> int:
        """Where mappings begin."""
        return min(_FIRST_ADDRESS, self.tables.task_size // 4)

    @handles(ActivateMm)
    def activate(self, msg: ActivateMm) -> Done:
        """switch_mm(): from now on this CPU may cache translations of the mm."""
        space = self.space(msg.mm)
        if msg.cpu not in space.cpus:
            space.cpus = (*space.cpus, msg.cpu)
        return DONE

    @handles(KillPending)
    def kill(self, msg: KillPending) -> Done:
        self.space(msg.mm).killed = True
        return DONE

    @handles(Mmap)
    async def mmap(self, msg: Mmap) -> Mapped:
        if not msg.pages:
            return Mapped(-errno.EINVAL)
        if msg.hugetlb:
            return await self.mmap_hugetlb(msg, self.first_address)
        space = self.space(msg.mm)
        async with space.mmap_lock:
            start = self.free_range(space, msg.pages, msg.align)
            if start < 0:
                return Mapped(start)
            end = start + msg.pages * PAGE_SIZE
            vma = Vma(start, end, msg.prot, msg.shared, msg.fs, msg.ino, msg.pgoff)
            if is_shmem(vma):
                error = await self.map_shmem(space, vma)
                if error:
                    return Mapped(error)
            else:
                space.set_vmas([*space.vmas, vma])
        self.trace(MmLayout(mm=msg.mm, what="mmap", address=start, pages=msg.pages))
        return Mapped(start)

    def free_range(self, space: AddressSpace, pages: int, align: int = 0) -> int:
        """get_unmapped_area(): where the next mapping goes, or -ENOMEM. mmap_lock is held for writing."""
        align = max(align, PAGE_SIZE)
        start = -(-(space.next_address or self.first_address) // align) * align
        end = start + pages * PAGE_SIZE
        if end > self.tables.task_size:
            return -errno.ENOMEM
        space.next_address = end + _GUARD
        return start

    @handles(Munmap)
    async def munmap(self, msg: Munmap) -> Status:
        space = self.space(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        async with space.mmap_lock:
            if not self.may_split(space, msg.address, end):
                return Status(-errno.EINVAL)
            await self.unmap(space, msg.address, end, "munmap", msg.users)
            self.trace(MmLayout(mm=msg.mm, what="munmap", address=msg.address, pages=msg.pages))
        return Status()

    async def unmap(self, space: AddressSpace, start: int, end: int, why: str, users: int = 2) -> None:
        """unmap_region(): the mappings, their entries, the tables that nobody needs any more; one flush for all. Walks
        of the reverse map come by until unlink_file_vma(): page_mkclean must wait here for the lock of the table."""
        gather = self.gather(space, users)
        gone = space.carve(start, end)
        space.leaving = (*space.leaving, *gone)
        for vma in gone:
            await self.zap_range(gather, vma, vma.start, vma.end, why)
        space.leaving = tuple(vma for vma in space.leaving if vma not in gone)
        await self.free_page_tables(gather, gone)
        await self.finish(gather)
        for vma in gone:
            if vma.hugetlb:
                await self.close_hugetlb(space, vma)
            elif is_shmem(vma):
                await self.close_shmem(vma)
            elif vma.device:
                await self.close_device(vma)

    async def close_device(self, vma: Vma) -> None:
        """vm_ops->close of a mapping that a driver made."""
        raise NotImplementedError

    @handles(MadviseDontneed)
    async def madvise_dontneed(self, msg: MadviseDontneed) -> Status:
        space = self.space(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        async with space.mmap_lock.shared():
            # madvise_walk_vmas(): what is mapped is zapped, a hole is an error only afterwards.
            error = 0 if space.covered(msg.address, end) else -errno.ENOMEM
            for vma in space.vmas:
                start, upto = max(vma.start, msg.address), min(vma.end, end)
                if start >= upto:
                    continue
                upto = self._dontneed_upto(vma, start, upto)
                if upto < 0:
                    error = -errno.EINVAL
                    break
                await self.zap(space, vma, start, upto, "madvise")
        self.trace(MmLayout(mm=msg.mm, what="dontneed", address=msg.address, pages=msg.pages))
        return Status(error)

    def _dontneed_upto(self, vma: Vma, start: int, end: int) -> int:
        """madvise_dontneed_free_valid_vma(): up to where the pages of a mapping go, a negative number for -EINVAL."""
        rule = self.rules.hugetlb_dontneed
        span = PAGE_SIZE << vma.hugetlb
        if vma.pfnmap or (vma.hugetlb and (rule is HugetlbDontneed.REFUSED or start % span)):
            return -1
        return -(-end // span) * span if rule is HugetlbDontneed.ROUND_UP else max(end & -span, start)

    @handles(ExitMm)
    async def exit(self, msg: ExitMm) -> Done:
        space = self.space(msg.mm)
        async with space.mmap_lock:
            await self.unmap(space, 0, self.tables.task_size, "exit", users=0)
        self.spaces.pop(msg.mm)
        self.free_table(space.root, "flush")  # pgd_free(): no CPU has the mm loaded any more
        self.trace(MmLayout(mm=msg.mm, what="exit", address=0, pages=0))
        return DONE

    @handles(UnmapRange)
    async def unmap_range(self, msg: UnmapRange) -> Done:
        """unmap_mapping_range(). Truncation alone wants private copies to go, too."""
        for index in range(msg.first, msg.first + msg.pages):
            for space, vma, address in self.in_turn(partial(self.file_mappings, msg.fs, msg.ino, index)):
                end = address + PAGE_SIZE
                await self.zap(space, vma, address, end, "unmap_mapping_range", files_only=not msg.even_cows)
        return DONE
