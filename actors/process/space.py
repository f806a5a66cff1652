"""System calls on the address space, and what the CPU does with it."""

from __future__ import annotations

import errno
from typing import Final

import msgspec

from gupsim.actors.base import KernelActor, Map, Port
from gupsim.actors.process.spec import ProcessSpec
from gupsim.actors.process.wording import NO_HYPERVISOR, NO_SUCH_MAP, OK, outcome
from gupsim.actors.rules.introduced import MfdHugetlb
from gupsim.actors.rules.rules import KernelRules
from gupsim.protocol import cpu, gup, mm, proc, steps, thp
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Request, Status
from gupsim.protocol.mm import Prot

PROTS: Final = {"none": Prot(0), "r": Prot.READ, "rw": Prot.READ | Prot.WRITE, "w": Prot.WRITE}


class Mapping(msgspec.Struct, frozen=True):
    """A range of the address space with a name. address in bytes."""

    address: int
    pages: int

    def part(self, page: int, count: int) -> tuple[int, int]:
        """Address and pages from `page` on; count 0: the rest."""
        return self.address + page * PAGE_SIZE, count or max(self.pages - page, 0)


class SpaceCalls(KernelActor):
    """A task's own memory. Pages are touched by its CPU, a chunk at a time; the rest is asked of the MM core."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules, spec: ProcessSpec, chunk: int) -> None:
        super().__init__(address, port, rules=rules)
        self.spec = spec
        self.chunk = chunk
        self.mm = self.at("mm")
        self.maps: Map[str, Mapping] = Map(self, "mapping")
        self.active: Map[str, bool] = Map(self, "active_mm")
        """CPUs on which this address space was switched to."""

    async def mmap(self, step: steps.Mmap) -> str:
        """mmap(2)."""
        shared = step.shared if step.shared is not None else bool(step.file)
        if step.memfd and self.rules.mfd_hugetlb is MfdHugetlb.ABSENT:
            address = -errno.EINVAL  # memfd_create()
        elif step.device:
            name = self.spec.devices[step.device]
            mapped = gup.MapDevice(
                self.spec.name, step.pages, name, step.backing == "registers", step.shared is not False
            )
            address = (await self.ask(self.mm, mapped)).address
        else:
            address = await self.map_pages(
                step.pages,
                step.file,
                step.offset,
                int(PROTS[step.prot]),
                shared=shared,
                align=step.align,
                hugetlb=step.hugetlb,
                memfd=step.memfd,
            )
        if address < 0:
            self.maps.pop(step.name)
        else:
            self.maps[step.name] = Mapping(address, step.pages)
        return outcome(address)

    async def munmap(self, step: steps.Munmap) -> str:
        """munmap(2). The name keeps its meaning: touching it afterwards is what a program may try."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        part = mapping.part(step.page, step.pages)
        status = await self.ask(self.mm, mm.Munmap(self.spec.name, *part, users=self.users()))
        return outcome(status.error)

    def users(self) -> int:
        """mm_users, as far as a rule makes the kernel look at it."""
        return 2

    async def mprotect(self, step: steps.Mprotect) -> str:
        """mprotect(2)."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        part = mapping.part(step.page, step.pages)
        status = await self.ask(self.mm, mm.Mprotect(self.spec.name, *part, int(PROTS[step.prot])))
        return outcome(status.error)

    async def madvise(self, step: steps.Madvise) -> str:
        """madvise(2)."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        part = mapping.part(step.page, step.pages)
        dontneed = step.advice == "dontneed"
        request: Request[Status] = (
            mm.MadviseDontneed(self.spec.name, *part) if dontneed else mm.Madvise(self.spec.name, *part, step.advice)
        )
        return outcome((await self.ask(self.mm, request)).error)

    async def mremap(self, step: steps.Mremap) -> str:
        """mremap(2). A name that does not move along keeps its meaning: the old address."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        address, pages = mapping.part(step.page, step.pages)
        moved = await self.ask(self.mm, mm.Mremap(self.spec.name, address, pages))
        if moved.address >= 0:
            self.maps[step.name or step.map] = Mapping(moved.address, pages)
        return outcome(moved.address)

    async def mincore(self, step: steps.Mincore) -> str:
        """mincore(2): "1 0 1"."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        seen = await self.ask(self.mm, proc.Mincore(self.spec.name, *mapping.part(step.page, step.pages)))
        return outcome(seen.error) if seen.error else " ".join(str(int(there)) for there in seen.resident)

    async def collapse(self, step: steps.Collapse) -> str:
        """khugepaged's work on a range, done here and now."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        nudge = thp.Collapse(self.spec.name, mapping.address + step.page * PAGE_SIZE)
        return outcome((await self.ask(self.at("khugepaged"), nudge)).error)

    async def migrate(self, step: steps.Migrate) -> str:
        """What kcompactd or NUMA balancing does to a page, done here and now."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        move = gup.MovePage(self.spec.name, mapping.address + step.page * PAGE_SIZE)
        return outcome((await self.ask(self.mm, move)).error)

    async def store(self, step: steps.Store, on: str) -> str:
        """The CPU stores; between two chunks anybody may come."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        start = mapping.address + step.page * PAGE_SIZE + step.offset
        return await self.fill(start, step.length, step.value, on)

    async def load(self, step: steps.Load, on: str) -> str:
        """The CPU loads; the result is the first byte."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        start = mapping.address + step.page * PAGE_SIZE + step.offset
        first = ""
        for address, length in self._pieces(start, step.length):
            loaded = await self.ask(self.at(on), cpu.Load(self.spec.name, address, length))
            if loaded.signal:
                return loaded.signal
            first = first or str(loaded.data[0])
        return first

    async def idle(self, step: steps.Idle, on: str) -> str:
        """schedule() to a kernel thread."""
        mapping = self.maps.get(step.map or "")
        address = mapping.address + step.page * PAGE_SIZE if mapping is not None else -1
        await self.ask(self.at(on), cpu.EnterLazy(self.spec.name, address))
        return OK

    async def preempt(self, step: steps.Preempt) -> str:
        """A VM exit. Nothing of the process's own."""
        done = await self.ask(self.at(f"cpu/{step.cpu}"), cpu.PreemptVcpu())
        return OK if done.yes else NO_HYPERVISOR

    async def resume(self, step: steps.Resume) -> str:
        """A VM entry."""
        done = await self.ask(self.at(f"cpu/{step.cpu}"), cpu.ResumeVcpu())
        return OK if done.yes else NO_HYPERVISOR

    async def map_pages(
        self,
        pages: int,
        file: str,
        offset: int,
        prot: int,
        *,
        shared: bool,
        align: int = 0,
        hugetlb: int = 0,
        memfd: int = 0,
    ) -> int:
        """Address of a new mapping, or a negative errno. file "": anonymous memory, or that of a memfd."""
        fs, ino, _ = self.spec.files[file] if file else ("", memfd, 0)
        request = mm.Mmap(self.spec.name, pages, prot, shared, fs, ino, offset, align, hugetlb)
        return (await self.ask(self.mm, request)).address

    async def fill(self, address: int, length: int, value: int, on: str) -> str:
        """Store one byte over a range; "ok", or the signal that ended it."""
        for at, size in self._pieces(address, length):
            stored = await self.ask(self.at(on), cpu.Store(self.spec.name, at, bytes([value]) * size))
            if stored.signal:
                return stored.signal
        return OK

    async def activate(self, on: str) -> None:
        """switch_mm(), the first time that a thread of this process needs its address space on this CPU."""
        if on not in self.active:
            await self.ask(self.mm, mm.ActivateMm(self.spec.name, self.at(on)))
            self.active[on] = True

    def _pieces(self, address: int, length: int) -> list[tuple[int, int]]:
        """Cut at multiples of a chunk, and so at pages: each piece is one access."""
        end = address + length
        pieces = []
        while address < end:
            upto = min((address // self.chunk + 1) * self.chunk, end)
            pieces.append((address, upto - address))
            address = upto
        return pieces
