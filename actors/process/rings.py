"""io_uring and pipes: user pages that are held by an open file, which a child shares."""

from __future__ import annotations

from gupsim.actors.process.tasks import TaskCalls
from gupsim.actors.process.wording import NO_SUCH_MAP, NO_SUCH_PIN, OK, outcome
from gupsim.protocol import driver, pipe, steps, uring
from gupsim.protocol.memory import PAGE_SIZE


class RingCalls(TaskCalls):
    """What a program calls a pin may be a registration of a device, a ring with a fixed buffer, or a pipe."""

    async def register_buffers(self, step: steps.RegisterBuffers, on: str) -> str:
        """io_uring_setup(2), io_uring_register(2). A ring that got no buffer is closed again."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        self._forget(step.name)
        port, task = self.at("io_uring"), self.credentials
        ring = (await self.ask(port, uring.SetupRing(task.uid, task.memlock))).ring
        if ring < 0:
            return outcome(ring)
        self.open_files["ring", ring] = True
        address = mapping.address + step.page * PAGE_SIZE
        buffer = uring.RegisterBuffers(ring, self.spec.name, address, step.pages, task.memlock, self.at(on))
        status = await self.ask(port, buffer)
        if status.error:
            await self._close(("ring", ring))
            return outcome(status.error)
        self.rings[step.name] = ring
        return OK

    async def vmsplice(self, step: steps.Vmsplice, on: str) -> str:
        """pipe(2), vmsplice(2): bytes that are in the pipe, or an errno."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        self._forget(step.name)
        port = self.at("pipe")
        number = (await self.ask(port, pipe.MakePipe())).pipe
        self.open_files["pipe", number] = True
        address = mapping.address + step.page * PAGE_SIZE
        spliced = await self.ask(port, pipe.Vmsplice(number, self.spec.name, address, step.pages, self.at(on)))
        if spliced.result < 0:
            await self._close(("pipe", number))
        else:
            self.pipes[step.name] = number
        return outcome(spliced.result, number=True)

    async def pipe_read(self, step: steps.PipeRead) -> str:
        """read(2): first byte of each page, "1 1 1"."""
        number = self.pipes.get(step.pin)
        if number is None:
            return NO_SUCH_PIN
        answer = await self.ask(self.at("pipe"), pipe.ReadPipe(number, step.pages))
        return " ".join(map(str, answer.first))

    async def dma_write(self, step: steps.DmaWrite, until: tuple[str, ...]) -> str:
        """The device, or the kernel by IORING_OP_READ_FIXED, writes."""
        ring = self._ring_of(step.pin)
        if ring is None:
            return await super().dma_write(step, until)
        copy = uring.ReadFixed(ring, step.page, step.offset, step.length, step.value)
        return outcome((await self.ask(self.at("io_uring"), copy)).error)

    async def dma_read(self, step: steps.DmaRead, until: tuple[str, ...]) -> str:
        """The device, or the kernel by IORING_OP_WRITE_FIXED, reads; the first byte."""
        ring = self._ring_of(step.pin)
        if ring is None:
            return await super().dma_read(step, until)
        copied = await self.ask(self.at("io_uring"), uring.WriteFixed(ring, step.page, step.offset, step.length))
        return outcome(copied.error or copied.first, number=True)

    async def unpin(self, step: steps.Unpin) -> str:
        """Unregister a fixed buffer, and the ring stays open; or close a pipe; or have a driver release its pages."""
        if step.pin in self.pins:
            return await super().unpin(step)
        ring = self._ring_of(step.pin)
        if ring is not None:
            return outcome((await self.ask(self.at("io_uring"), uring.UnregisterBuffers(ring))).error)
        number = self.pipes.pop(step.pin)
        if number is None:
            return NO_SUCH_PIN
        await self._close(("pipe", number))
        return OK

    async def exit_files(self) -> None:
        """Close what is open: the devices first, then rings and pipes."""
        for name in self.drivers:
            await self.ask(self.at(name), driver.CloseDevice(self.spec.name))
        for file in self.open_files:
            await self._close(file)

    async def _close(self, file: tuple[str, int]) -> None:
        kind, number = file
        if self.open_files.pop(file) is None:
            return
        if kind == "ring":
            await self.ask(self.at("io_uring"), uring.PutRing(number))
        else:
            await self.ask(self.at("pipe"), pipe.PutPipe(number))

    def _ring_of(self, name: str) -> int | None:
        """The ring of that name, if no device's registration has it."""
        return None if name in self.pins else self.rings.get(name)

    def _forget(self, name: str) -> None:
        """A name is about to stand for something new."""
        self.pins.pop(name)
        self.rings.pop(name)
        self.pipes.pop(name)
