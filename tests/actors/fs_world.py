"""A machine with a file system on a disk, and a script that plays processes, driver and device.

File F is inode 1: four pages on blocks 4..7, full of the byte 0x11. File G is inode 2: two pages on blocks 10 and 11,
full of 0x22. There is a memfd of four pages, inode 9. Pages move in two chunks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace

from gupsim.actors.base import Actor, Port, Recorder, TaskHandle, WaitQueue, handles
from gupsim.actors.block import Block
from gupsim.actors.cpu import Cpu
from gupsim.actors.flusher import Flusher
from gupsim.actors.fs import Ext4, FileSpec, Shmem, ShmemSpec
from gupsim.actors.memmap import Memmap
from gupsim.actors.memory import Memory
from gupsim.actors.mm import Mm
from gupsim.actors.reclaim import Reclaim
from gupsim.actors.rules import ERAS, KernelRules
from gupsim.engine.core import Item
from gupsim.engine.timed import TimedWorld
from gupsim.protocol import block, cpu, flusher, fs, memmap, memory, mm, reclaim
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import Codec
from gupsim.protocol.director import Seen
from gupsim.protocol.kernel import Boot
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Message, Tracepoint
from gupsim.protocol.mm import Foll, Prot

APP = "app"
APP_ADDRESS = "h0/process/app"
CPU0 = "h0/cpu/0"
MM = "h0/mm"
MEMMAP = "h0/memmap"
MEMORY = "h0/memory"
FS = "h0/fs/ext4"
TMPFS = "h0/fs/tmpfs"
FLUSHER = "h0/flusher/ext4"
BLOCK = "h0/block/sda"
RECLAIM = "h0/reclaim"
F, G = 1, 2
MEMFD, MEMFD_PAGES = 9, 4
F_FILL, G_FILL = 0x11, 0x22
CHUNK = PAGE_SIZE // 2
BLOCKS = 16
FILES = (FileSpec(F, "F", 4, 4), FileSpec(G, "G", 2, 10))
CONTENT = ((4, 4, F_FILL), (10, 2, G_FILL))
T = TypeVar("T", bound=Tracepoint)


class Go(Message, frozen=True):
    """Start the script."""


class Script(Actor):
    """Runs one coroutine function as a process would; `start` makes a second thread."""

    def __init__(self, address: str, port: Port, body: Callable[[Script], Awaitable[Any]]) -> None:
        super().__init__(address, port)
        self.body = body
        self.result: Any = None
        self.seen: dict[str, int] = {}
        self._news = WaitQueue(self, "a tracepoint")

    @handles(Go)
    async def go(self, msg: Go) -> None:
        await self.ask(MM, mm.ActivateMm(APP, CPU0))
        self.result = await self.body(self)

    @handles(Seen)
    def note(self, msg: Seen) -> None:
        self.seen[msg.name] = self.seen.get(msg.name, 0) + 1
        self._news.wake_all()

    async def until(self, name: str, times: int = 1) -> None:
        """Wait until a watched tracepoint was seen so many times."""
        while self.seen.get(name, 0) < times:
            await self._news.sleep()

    def thread(self, coro: Coroutine[Any, Any, Any], context: str) -> TaskHandle:
        """A second thread."""
        return self.start(coro, context)

    # The process

    async def map_file(self, ino: int = F, pages: int = 1, pgoff: int = 0, prot: int = Prot.READ | Prot.WRITE) -> int:
        """mmap(MAP_SHARED); the address."""
        return (await self.ask(MM, mm.Mmap(APP, pages, prot, True, "fs/ext4", ino, pgoff))).address

    async def map_anon(self, pages: int = 1) -> int:
        return (await self.ask(MM, mm.Mmap(APP, pages, Prot.READ | Prot.WRITE, False))).address

    async def store(self, address: int, value: int, length: int = CHUNK) -> None:
        """Stores of at most one chunk each."""
        for offset in range(0, length, CHUNK):
            data = bytes([value]) * min(CHUNK, length - offset)
            await self.ask(CPU0, cpu.Store(APP, address + offset, data))

    async def load(self, address: int) -> int:
        data = (await self.ask(CPU0, cpu.Load(APP, address, 1))).data
        return data[0] if data else -1

    async def write(self, ino: int, offset: int, value: int, length: int = PAGE_SIZE) -> int:
        return (await self.ask(FS, fs.WriteFile(ino, offset, bytes([value]) * length))).result

    async def read(self, ino: int, offset: int = 0, length: int = PAGE_SIZE) -> fs.FileBytes:
        return await self.ask(FS, fs.ReadFile(ino, offset, length))

    async def direct(self, ino: int, address: int, *, from_disk: bool, index: int = 0, pages: int = 1) -> int:
        return (await self.ask(FS, fs.DirectIo(ino, index, pages, from_disk, APP, address))).result

    async def fsync(self, ino: int = F) -> int:
        return (await self.ask(FS, fs.Fsync(ino))).error

    async def drop_cache(self, ino: int = F) -> int:
        return (await self.ask(FS, fs.DropCache(ino))).result

    # The kernel's own threads

    async def writeback(self, ino: int = 0, *, sync: bool = False) -> flusher.WritebackDone:
        return await self.ask(FLUSHER, flusher.Writeback(ino, sync))

    async def shrink(self, pages: int = 8) -> reclaim.Reclaimed:
        return await self.ask(RECLAIM, reclaim.Shrink(pages, anon=False, force=True))

    # The driver and its device

    async def gup(self, address: int, nr: int = 1, flags: int = Foll.WRITE | Foll.PIN) -> tuple[int, ...]:
        return (await self.ask(MM, mm.GetUserPages(APP, address, nr, flags, "driver/nic#1"))).pfns

    async def unpin(self, pfn: int) -> None:
        await self.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/nic#1"))

    async def put(self, pfn: int) -> None:
        await self.ask(MEMMAP, memmap.PutRefs(pfn, 1, "gup", "driver/nic#1"))

    async def dma(self, pfn: int, value: int, chunks: tuple[int, ...] = (0, 1)) -> None:
        """The device writes."""
        for chunk in chunks:
            data = bytes([value]) * CHUNK
            await self.ask(MEMORY, memory.WriteMemory(pfn, chunk * CHUNK, data, "dma/nic"))

    async def set_page_dirty_lock(self, pfn: int) -> None:
        await self.ask(MEMMAP, memmap.LockPage(pfn))
        mapping = await self.ask(MEMMAP, memmap.ReadMapping(pfn))
        if mapping.ino:
            await self.ask(FS, fs.SetPageDirty(pfn, mapping.ino, mapping.index, "driver/nic"))
        else:
            await self.ask(MEMMAP, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        await self.ask(MEMMAP, memmap.UnlockPage(pfn))

    # What a tester looks at

    async def flags(self, pfn: int) -> Page:
        return Page((await self.ask(MEMMAP, memmap.ReadFlags(pfn, sum(Page)))).flags)

    async def refs(self, pfn: int) -> int:
        return (await self.ask(MEMMAP, memmap.ReadCounts(pfn))).refs

    async def page(self, ino: int = F, index: int = 0) -> tuple[int, bool, bool]:
        """(pfn, has buffers, tagged dirty) of a cached page; pfn -1 if there is none."""
        state = await self.ask(FS, fs.StatFile(ino))
        found = [entry[1:] for entry in state.cached if entry[0] == index]
        return found[0] if found else (-1, False, False)

    async def on_disk(self, lba: int) -> block.BlockContent:
        return await self.ask(BLOCK, block.ReadBlock(lba))

    async def disk_bytes(self, lba: int) -> tuple[int, int]:
        """The first byte of each chunk on disk."""
        data = (await self.on_disk(lba)).data
        return data[0], data[CHUNK]


class Run:
    """What a script returned, and what was traced meanwhile."""

    def __init__(self, script: Script, world: TimedWorld, seen: list[Tracepoint], stuck: int) -> None:
        self.result: Any = script.result
        self.script = script
        self.world = world
        self.seen = seen
        self.stuck = stuck

    def of(self, kind: type[T]) -> list[T]:
        """The tracepoints of one kind, in order."""
        return [point for point in self.seen if isinstance(point, kind)]


def run(
    body: Callable[[Script], Awaitable[Any]],
    kernel: str = "v6.12",
    *,
    frames: int = 64,
    blocks: int = BLOCKS,
    checksums: bool = True,
    stable_writes: bool = False,
    chunk_time: int = 0,
    watch: tuple[str, ...] = (),
    stuck: int | None = 0,
    seed: int = 0,
    shuffle: bool = False,
    prepare: Callable[[TimedWorld, Ext4], None] | None = None,
    **rules: Any,
) -> Run:
    """Run a script. watch: tracepoints that it waits for. stuck: how many contexts are expected to hang; None: any.
    shuffle: any message may be far later than any other, so that each seed is another interleaving of the threads."""
    chosen: KernelRules = replace(ERAS[kernel][0], **rules)
    # Recording costs little here, and shows that every step can be recorded.
    world = TimedWorld(seed=seed, codec=Codec((*ALL_MESSAGES, Go)), recorder=Recorder(enabled=True))
    if shuffle:
        _shuffle(world, Random(seed))
    world.add(MEMORY, Memory, frames=frames, chunk=CHUNK)
    world.add(MEMMAP, Memmap, rules=chosen, frames=frames)
    world.add(MM, Mm, rules=chosen, cpus=("cpu/0",), chunk=CHUNK)
    world.add(RECLAIM, Reclaim, rules=chosen)
    world.add(CPU0, Cpu, rules=chosen, chunk=CHUNK)
    ext4 = world.add(
        FS, Ext4, rules=chosen, block="block/sda", chunk=CHUNK, files=FILES, blocks=blocks, stable_writes=stable_writes
    )
    world.add(TMPFS, Shmem, rules=chosen, chunk=CHUNK, files=(ShmemSpec(MEMFD, MEMFD_PAGES),))
    world.add(FLUSHER, Flusher, rules=chosen, fs="fs/ext4", chunk=CHUNK)
    world.add(BLOCK, Block, blocks=blocks, chunk=CHUNK, checksums=checksums, chunk_time=chunk_time, content=CONTENT)
    script = world.add(APP_ADDRESS, Script, body)
    for name in watch:
        world.core.watch(name, APP_ADDRESS, Seen(name))
    seen: list[Tracepoint] = []
    world.on_tracepoint(lambda _, point: seen.append(point))
    world.post(FS, Boot())
    world.post(BLOCK, Boot())
    world.run_all(1_000)
    if prepare is not None:
        prepare(world, ext4)
    world.post(APP_ADDRESS, Go())
    world.run_all(200_000)
    hung = world.report_stuck()
    assert stuck in (None, hung), [point.say() for point in seen[-4:]]
    return Run(script, world, seen, hung)


def _shuffle(world: TimedWorld, dice: Random) -> None:
    """Messages between actors overtake each other at random; the timers of an actor keep their time."""
    push = world.core.push

    def late(item: Item) -> None:
        if item[1] != item[2] and item[2] >= 0:
            item = (world.now + dice.choice((1, 10, 100, 1_000, 10_000)), *item[1:])
        push(item)

    world.core.push = late


__all__ = [
    "APP",
    "APP_ADDRESS",
    "BLOCK",
    "CHUNK",
    "FLUSHER",
    "FS",
    "F_FILL",
    "G_FILL",
    "MEMFD",
    "MEMFD_PAGES",
    "MEMMAP",
    "MEMORY",
    "MM",
    "PAGE_SIZE",
    "TMPFS",
    "F",
    "Foll",
    "G",
    "Run",
    "Script",
    "run",
]
