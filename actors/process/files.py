"""System calls on files, and nudges to the daemons that work for them."""

from __future__ import annotations

from errno import ENOMEM
from typing import Final

from gupsim.actors.process.space import SpaceCalls
from gupsim.actors.process.wording import NO_SUCH_MAP, OK, outcome
from gupsim.protocol import block, flusher, fs, hugetlb, proc, reclaim, shmem, steps
from gupsim.protocol.memory import PAGE_SIZE

_LARGEST: Final = 1 << 16
"""Bytes of one WriteFile or ReadFile; a longer system call is several, as the kernel's own loop is."""


class FileCalls(SpaceCalls):
    """write(2) and its relatives, by the names that the scenario gave to files."""

    async def write(self, step: steps.Write) -> str:
        """write(2): the number of bytes written, or the errno if there are none."""
        name, ino, _ = self.spec.files[step.file]
        done = 0
        while done < step.length:
            size = min(_LARGEST, step.length - done)
            data = bytes([step.value]) * size
            moved = await self.ask(self.at(name), fs.WriteFile(ino, step.offset + done, data))
            if moved.result <= 0:
                return outcome(done or moved.result, number=True)
            done += moved.result
        return str(done)

    async def read(self, step: steps.Read) -> str:
        """read(2): the first byte, or "EOF"."""
        name, ino, _ = self.spec.files[step.file]
        answer = await self.ask(self.at(name), fs.ReadFile(ino, step.offset, step.length))
        if answer.error:
            return outcome(answer.error)
        return str(answer.data[0]) if answer.data else "EOF"

    async def direct_io(self, step: steps.DirectIo, on: str) -> str:
        """O_DIRECT read(2) or write(2): bytes moved, or an errno."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        address = mapping.address + step.page * PAGE_SIZE
        cpu = self.at(on) if step.fast else ""
        from_disk = step.dir == "read"
        moved = await self.transfer(step.file, step.file_page, step.pages, address, from_disk=from_disk, cpu=cpu)
        return outcome(moved, number=True)

    async def msync(self, step: steps.Msync) -> str:
        """msync(MS_SYNC): vfs_fsync_range() for each shared mapping of a file; ENOMEM if there is a hole."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        address, pages = mapping.part(step.page, step.pages)
        at, end = address, address + pages * PAGE_SIZE
        hole = 0
        for vma in (await self.ask(self.mm, proc.ReadVmas(self.spec.name, address, pages))).vmas:
            hole = hole or (-ENOMEM if vma.start > at else 0)
            at = vma.end
            if vma.fs and vma.shared:
                status = await self.ask(self.at(vma.fs), fs.Fsync(vma.ino))
                if status.error:
                    return outcome(status.error)
        return outcome(hole or (-ENOMEM if at < end else 0))

    async def truncate(self, step: steps.Truncate) -> str:
        """ftruncate(2)."""
        name, ino, _ = self.spec.files[step.file]
        return outcome((await self.ask(self.at(name), fs.Truncate(ino, step.pages))).error)

    async def fallocate(self, step: steps.Fallocate) -> str:
        """fallocate(2)."""
        name, ino, _ = self.spec.files[step.file]
        return outcome((await self.ask(self.at(name), fs.Fallocate(ino, step.mode, step.page, step.pages))).error)

    async def seal(self, step: steps.Seal) -> str:
        """fcntl(F_ADD_SEALS)."""
        name, ino, _ = self.spec.files[step.file]
        seals = sum(shmem.Seal[seal.upper()] for seal in set(step.seals))
        return outcome((await self.ask(self.at(name), shmem.AddSeals(ino, seals))).error)

    async def punch_hole(self, step: steps.PunchHole) -> str:
        """fallocate(FALLOC_FL_PUNCH_HOLE) of hugetlbfs."""
        await self.ask(self.mm, hugetlb.PunchHuge(step.memfd, step.page, step.pages))
        return OK

    async def fsync(self, step: steps.Fsync) -> str:
        """fsync(2)."""
        name, ino, _ = self.spec.files[step.file]
        status = await self.ask(self.at(name), fs.Fsync(ino))
        return outcome(status.error)

    async def sync_file_range(self, step: steps.SyncFileRange) -> str:
        """sync_file_range(2)."""
        name, ino, _ = self.spec.files[step.file]
        status = await self.ask(self.at(name), fs.SyncFileRange(ino))
        return outcome(status.error)

    async def sync(self, step: steps.Sync) -> str:
        """sync(2), or syncfs(2) if one file system is named."""
        names = (f"fs/{step.fs}",) if step.fs else self.spec.filesystems
        error = 0
        for name in names:
            status = await self.ask(self.at(name), fs.Sync())
            error = error or status.error
        return outcome(error)

    async def fadvise(self, step: steps.Fadvise) -> str:
        """posix_fadvise(POSIX_FADV_DONTNEED): how much of the page cache went."""
        name, ino, _ = self.spec.files[step.file]
        dropped = await self.ask(self.at(name), fs.DropCache(ino))
        return outcome(dropped.result, number=True)

    async def writeback(self, step: steps.Writeback) -> str:
        """The flusher thread's work, done here and now: the number of pages submitted."""
        name = step.fs or self.spec.filesystems[0].removeprefix("fs/")
        done = await self.ask(self.at(f"flusher/{name}"), flusher.Writeback())
        return outcome(done.error or done.pages, number=True)

    async def serve(self, step: steps.Serve) -> str:
        """A user-space disk server reads its queue: the byte moved, or "EAGAIN"."""
        served = await self.ask(self.at(f"block/{step.disk}"), block.ServeNext(step.value))
        return outcome(served.error or served.first, number=True)

    async def shrink(self, step: steps.Shrink) -> str:
        """kswapd's or direct reclaim's work, done here and now: the number of pages freed."""
        nudge = reclaim.Shrink(step.pages, kswapd=not step.direct, anon=step.anon, force=step.force)
        done = await self.ask(self.at("reclaim"), nudge)
        return str(done.freed)

    async def transfer(self, file: str, index: int, pages: int, address: int, *, from_disk: bool, cpu: str = "") -> int:
        """Direct I/O between whole pages of a file and user memory: bytes, or a negative errno."""
        name, ino, _ = self.spec.files[file]
        request = fs.DirectIo(ino, index, pages, from_disk, self.spec.name, address, cpu)
        moved = await self.ask(self.at(name), request)
        return moved.result
