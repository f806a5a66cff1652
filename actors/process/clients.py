"""Seeded clients: the loops of a workload. Every choice comes from the process's own stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

import msgspec

from gupsim.actors.process.devices import Pinned
from gupsim.actors.process.rings import RingCalls
from gupsim.actors.process.wording import FATAL, OK, outcome, pages
from gupsim.protocol import driver, fabric, fs, reclaim, workload
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Prot
from gupsim.protocol.process import StepBegin, StepBound, StepEnd, ThreadEnd
from gupsim.protocol.workload import AnyGenerator, Generator, bounds_pages, draw_ns, draw_pages

_READ_WRITE: Final = int(Prot.READ | Prot.WRITE)
_LARGEST_TRANSFER: Final = 256
"""Pages of one direct I/O, as for the step of that name."""

Round: TypeAlias = tuple[str, Callable[[], Awaitable[str]]]
"""What a round does, in words, and how to run it; its result is as of a step."""


class _Buffer(msgspec.Struct, frozen=True):
    """Mapped memory of a generator. address in bytes; pages: of one client; stride: pages from one client's part to
    the next one's, 0 if they share."""

    address: int
    pages: int
    stride: int = 0

    def at(self, client: int, page: int) -> int:
        return self.address + (client * self.stride + page) * PAGE_SIZE


class Clients(RingCalls):
    """Rounds of one kind of work until a given virtual time; what a round has begun it ends."""

    def begin_step(self, thread: str, number: int, text: str, within: int) -> None:
        """Report it. within: its bound in ns, 0 for none."""
        self.trace(StepBegin(thread, number, text))
        if within:
            self.trace(StepBound(thread, number, within))

    async def run_clients(self, name: str, until: int) -> None:
        """Set up what the clients of a generator share, then start them."""
        work = self.spec.generators[name]
        on = f"cpu/{work.cpu}"
        rounds = await self._prepare(work, on)
        for client in range(work.clients):
            thread = f"{name}#{client + 1}" if work.clients > 1 else name
            self.start(self._client(thread, work, until, partial(rounds, client)), f"{self.host}/{thread}")

    async def _client(self, thread: str, work: Generator, until: int, draw: Callable[[], Round]) -> None:
        await self.sleep(draw_ns(work.start, self.random))
        number = 0
        while self.now < until:
            text, play = draw()
            self.begin_step(thread, number, text, self.spec.within)
            result = await play()
            self.trace(StepEnd(thread, number, text, result))
            if result in FATAL:
                break
            number += 1
            await self.sleep(draw_ns(work.every, self.random))
        self.trace(ThreadEnd(thread))

    async def _prepare(self, work: AnyGenerator, on: str) -> Callable[[int], Round]:
        """Map the buffers; returns what draws a round of client number n."""
        if isinstance(work, workload.MemoryPressure):
            return partial(self._pressure, work)
        if isinstance(work, workload.FsyncCycle):
            return partial(self._fsync_cycle, work)
        if isinstance(work, workload.RemoteWrite):
            return partial(self._remote_writes, work)
        await self.activate(on)
        if isinstance(work, workload.RdmaRegistration):
            size = self.spec.files[work.file][2] if work.file else work.buffer
            base = await self.map_pages(size, work.file, 0, _READ_WRITE, shared=bool(work.file))
            return partial(self._registration, work, on, _Buffer(base, size))
        if work.buffer:
            size = self.spec.files[work.buffer][2]
            base = await self.map_pages(size, work.buffer, 0, _READ_WRITE, shared=True)
            return partial(self._direct_io, work, on, _Buffer(base, size))
        # Anonymous buffers lie side by side, one for each client.
        size = min(bounds_pages(work.pages)[1], _LARGEST_TRANSFER, self.spec.files[work.file][2])
        base = await self.map_pages(size * work.clients, "", 0, _READ_WRITE, shared=False)
        return partial(self._direct_io, work, on, _Buffer(base, size, size))

    def _pressure(self, work: workload.MemoryPressure, client: int) -> Round:
        count = draw_pages(work.pages, self.random)

        async def play() -> str:
            nudge = reclaim.Shrink(count, kswapd=not work.direct, anon=work.anon)
            return str((await self.ask(self.at("reclaim"), nudge)).freed)

        return f"{'direct reclaim' if work.direct else 'kswapd'} scans {pages(count)}", play

    def _fsync_cycle(self, work: workload.FsyncCycle, client: int) -> Round:
        name, ino, size = self.spec.files[work.file]
        places = [self.random.randrange(size) for _ in range(draw_pages(work.writes, self.random))]
        value = self.random.randrange(256)

        async def play() -> str:
            for index in places:
                data = bytes([value]) * PAGE_SIZE
                moved = await self.ask(self.at(name), fs.WriteFile(ino, index * PAGE_SIZE, data))
                if moved.result < 0:
                    return outcome(moved.result)
            return outcome((await self.ask(self.at(name), fs.Fsync(ino))).error)

        return f"write {value:#04x} to {pages(len(places))} of {work.file}, fsync", play

    def _direct_io(self, work: workload.DirectIo, on: str, buffer: _Buffer, client: int) -> Round:
        file_pages = self.spec.files[work.file][2]
        count = min(draw_pages(work.pages, self.random), buffer.pages, file_pages, _LARGEST_TRANSFER)
        index = self.random.randrange(file_pages - count + 1)
        address = buffer.at(client, self.random.randrange(buffer.pages - count + 1))
        from_disk = self.random.randrange(100) < work.reads
        value = self.random.randrange(256)

        async def play() -> str:
            if not from_disk:
                result = await self.fill(address, count * PAGE_SIZE, value, on)
                if result != OK:
                    return result
            moved = await self.transfer(work.file, index, count, address, from_disk=from_disk)
            return outcome(moved, number=True)

        return f"O_DIRECT {'read' if from_disk else 'write'} of {pages(count)} of {work.file} page {index}", play

    def _registration(self, work: workload.RdmaRegistration, on: str, buffer: _Buffer, client: int) -> Round:
        count = min(draw_pages(work.pages, self.random), buffer.pages)
        page = self.random.randrange(buffer.pages - count + 1)
        hold = draw_ns(work.hold, self.random)
        writes = draw_pages(work.writes, self.random)

        async def play() -> str:
            pinned, result = await self.register(work.device, buffer.at(client, page), count, work.flags, on)
            if pinned is None:
                return outcome(result, number=True)
            if work.remote:
                await self.ask(self.at(pinned.driver), fabric.ExposeBuffer(pinned.handle))
            await self._device_writes(pinned, result, writes, hold)
            return outcome(await self.release(pinned, "match", dirty=work.dirty))

        return f"{work.device} holds {pages(count)} of {work.file or 'its buffer'} for {hold} ns", play

    def _remote_writes(self, work: workload.RemoteWrite, client: int) -> Round:
        others = [host for host in self.spec.hosts if host != self.host]
        to = self.random.choice(others)
        choice = self.random.randrange(1 << 16)
        writes = draw_pages(work.writes, self.random)
        value = self.random.randrange(256)
        port = self.at("fabric")

        async def play() -> str:
            region = await self.ask(port, fabric.FindRegion(to, work.device, choice))
            error = region.error
            for number in range(writes if not error else 0):
                page = self.random.randrange(region.pages)
                data = fabric.WriteRemote(to, work.device, region.key, page, 0, work.size, (value + number) % 256)
                error = (await self.ask(port, data)).error
                if error:
                    break
            return outcome(error)

        return f"RDMA write to {to}, {writes} times", play

    async def _device_writes(self, pinned: Pinned, count: int, writes: int, hold: int) -> None:
        """So many DMA writes, spread evenly over `hold` ns, the last one at its end."""
        began = self.now
        for number in range(1, writes + 1):
            await self._sleep_until(began + hold * number // writes)
            page, value = self.random.randrange(count), self.random.randrange(256)
            start = driver.StartDma(pinned.handle, page, 0, PAGE_SIZE, True, value)
            await self.ask(self.at(pinned.driver), start)
        await self._sleep_until(began + hold)

    async def _sleep_until(self, time: int) -> None:
        if time > self.now:
            await self.sleep(time - self.now)
