"""A machine without disks, with a memfd (inode 7, four pages), and a script that plays the process: for tests of mm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from gupsim.actors.base import Actor, Port, handles
from gupsim.actors.cpu import Cpu
from gupsim.actors.fs import Shmem, ShmemSpec
from gupsim.actors.khugepaged import Khugepaged
from gupsim.actors.memmap import Memmap
from gupsim.actors.memory import Memory
from gupsim.actors.mm import Mm
from gupsim.actors.reclaim import Reclaim
from gupsim.actors.rules import ERAS, KernelRules
from gupsim.engine.timed import TimedWorld
from gupsim.protocol import cpu, mm
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import Codec
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Message, Tracepoint
from gupsim.protocol.mm import Foll, Prot

APP = "app"
CPU0 = "h0/cpu/0"
MM = "h0/mm"
MEMMAP = "h0/memmap"
TMPFS = "h0/fs/tmpfs"
MEMFD = 7


class Go(Message, frozen=True):
    """Start the script."""


class Script(Actor):
    """Runs one coroutine function as a process would."""

    def __init__(self, address: str, port: Port, body: Callable[[Script], Awaitable[Any]]) -> None:
        super().__init__(address, port)
        self.body = body
        self.result: Any = None

    @handles(Go)
    async def go(self, msg: Go) -> None:
        await self.ask(MM, mm.ActivateMm(APP, CPU0))
        self.result = await self.body(self)

    async def anon(self, pages: int = 1, prot: int = Prot.READ | Prot.WRITE, align: int = 0) -> int:
        """mmap anonymous memory; its address."""
        return (await self.ask(MM, mm.Mmap(APP, pages, prot, False, align=align))).address

    async def advise(self, address: int, pages: int, advice: str) -> int:
        """madvise: 0 or a negative errno."""
        return (await self.ask(MM, mm.Madvise(APP, address, pages, advice))).error

    async def store(self, address: int, value: int, length: int = 8) -> str:
        return (await self.ask(CPU0, cpu.Store(APP, address, bytes([value]) * length))).signal

    async def load(self, address: int) -> tuple[int, str]:
        loaded = await self.ask(CPU0, cpu.Load(APP, address, 1))
        return (loaded.data[0] if loaded.data else -1), loaded.signal

    async def gup(self, address: int, nr: int = 1, flags: int = Foll.WRITE, *, fast: bool = False) -> mm.UserPages:
        """get_user_pages or pin_user_pages on behalf of a driver."""
        if not flags & (Foll.GET | Foll.PIN):
            flags |= Foll.PIN
        if fast:
            return await self.ask(CPU0, cpu.GetUserPagesFast(APP, address, nr, flags, "driver/t#1"))
        return await self.ask(MM, mm.GetUserPages(APP, address, nr, flags, "driver/t#1"))


def run(
    body: Callable[[Script], Awaitable[Any]],
    kernel: str = "v6.12",
    frames: int = 64,
    levels: int = 4,
    *,
    bits: int = 9,
    events: int = 100_000,
    hugepages: tuple[tuple[int, int], ...] = (),
    **rules: Any,
) -> tuple[Any, list[Tracepoint]]:
    """Run a script on a small machine: what it returned, and all tracepoints."""
    chosen: KernelRules = replace(ERAS[kernel][0], **rules)
    world = TimedWorld(codec=Codec((*ALL_MESSAGES, Go)))
    world.add("h0/memory", Memory, frames=frames, chunk=2048)
    world.add(MEMMAP, Memmap, rules=chosen, frames=frames, hugepages=hugepages)
    world.add(MM, Mm, rules=chosen, cpus=("cpu/0", "cpu/1"), chunk=2048, levels=levels, bits=bits)
    world.add("h0/reclaim", Reclaim, rules=chosen)
    world.add("h0/khugepaged", Khugepaged, rules=chosen)
    world.add(TMPFS, Shmem, rules=chosen, chunk=2048, files=(ShmemSpec(MEMFD, 4),))
    for number in range(2):
        world.add(f"h0/cpu/{number}", Cpu, rules=chosen, chunk=2048, levels=levels, bits=bits)
    script = world.add("h0/process/app", Script, body)
    seen: list[Tracepoint] = []
    world.on_tracepoint(lambda _, tracepoint: seen.append(tracepoint))
    world.post("h0/process/app", Go())
    world.run_all(events)
    assert world.report_stuck() == 0, [t.say() for t in seen[-3:]]
    return script.result, seen


__all__ = ["APP", "CPU0", "MEMFD", "MEMMAP", "MM", "PAGE_SIZE", "TMPFS", "Foll", "Prot", "Script", "run"]
