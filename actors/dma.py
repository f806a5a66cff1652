"""A DMA engine. It knows frames and bytes; page tables, flags and reference counts it never sees (B0)."""

from __future__ import annotations

from actors.base import Actor, Port, chunks_of, handles
from protocol.address import local_name
from protocol.director import DIRECTOR, WaitFor
from protocol.dma import DmaAccess, DmaDone, DmaEnd, DmaStart, Program
from protocol.memory import ReadMemory, WriteMemory


class Dma(Actor):
    """Works on any number of descriptors at a time, each in a queue of its own.

    chunk: bytes that move in one atomic step. chunk_time: nanoseconds that each takes.
    """

    def __init__(self, address: str, port: Port, *, chunk: int, chunk_time: int) -> None:
        super().__init__(address, port)
        self.chunk = chunk
        self.chunk_time = chunk_time
        self.name = local_name(address)
        self.memory = f"{self.host}/memory"

    @handles(Program)
    def program(self, msg: Program) -> None:
        """The doorbell: the driver does not wait here, the interrupt comes when it comes."""
        self.start(self._move(msg), f"{self.address}#{msg.operation}")

    async def _move(self, msg: Program) -> None:
        """A sequence of byte-range copies, between any two of which anybody may come."""
        self.trace(DmaStart(dma=self.name, operation=msg.operation, pfn=msg.pfn, to_memory=msg.to_memory))
        pieces = list(chunks_of(msg.offset, msg.length, self.chunk))
        first = msg.fill
        for number, (offset, length) in enumerate(pieces):
            await self.sleep(self.chunk_time)
            if msg.pause_for and number == len(pieces) - 1:
                await self.ask(DIRECTOR, WaitFor(msg.pause_for))
            if msg.to_memory:
                data = bytes([msg.fill]) * length
                await self.ask(self.memory, WriteMemory(msg.pfn, offset, data, self.name))
            else:
                read = await self.ask(self.memory, ReadMemory(msg.pfn, offset, length, self.name))
                first = read.data[0] if number == 0 else first
            self.trace(
                DmaAccess(
                    dma=self.name,
                    operation=msg.operation,
                    pfn=msg.pfn,
                    offset=offset,
                    length=length,
                    to_memory=msg.to_memory,
                )
            )
        self.trace(DmaEnd(dma=self.name, operation=msg.operation, pfn=msg.pfn, to_memory=msg.to_memory))
        self.send(msg.driver, DmaDone(msg.operation, first))
