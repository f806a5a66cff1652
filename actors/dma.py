"""A DMA engine. It knows frames and bytes; page tables, flags and reference counts it never sees (B0)."""

from __future__ import annotations

from errno import EAGAIN, EIO

from gupsim.actors.base import Actor, Map, Port, WaitQueue, chunks_of, handles
from gupsim.protocol.address import local_name
from gupsim.protocol.director import DIRECTOR, WaitFor
from gupsim.protocol.dma import DmaAccess, DmaDone, DmaEnd, DmaStart, IommuFault, Program
from gupsim.protocol.fabric import (
    FIRST_REMOTE_OPERATION,
    REMOTE_ACCESS_ERROR,
    AddRegion,
    FindRegion,
    Region,
    RegionAdded,
    RemoteRefused,
    RemoveRegion,
    WriteRemote,
)
from gupsim.protocol.memory import PAGE_SIZE, ReadMemory, WriteMemory
from gupsim.protocol.message import Status
from gupsim.protocol.pages import Pages


class Dma(Actor):
    """Works on any number of descriptors at a time, each in a queue of its own.

    chunk: bytes that move in one atomic step. chunk_time: nanoseconds that each takes. iommu: there is one between it
    and memory, which allows what the driver mapped and nothing else.
    """

    def __init__(self, address: str, port: Port, *, chunk: int, chunk_time: int, iommu: bool = False) -> None:
        super().__init__(address, port)
        self.iommu = iommu
        self.chunk = chunk
        self.chunk_time = chunk_time
        self.name = local_name(address)
        self.memory = f"{self.host}/memory"
        self.regions: Map[int, Pages] = Map(self, "region")
        self.landing: Map[int, int] = Map(self, "landing")
        """Writes of other hosts that are in flight, by region."""
        self.remote: Map[str, int] = Map(self, "remote")
        self._landed: dict[int, WaitQueue] = {}

    @handles(Program)
    def program(self, msg: Program) -> None:
        """The doorbell: the driver does not wait here, the interrupt comes when it comes."""
        self.start(self._move(msg), f"{self.address}#{msg.operation}")

    async def _move(self, msg: Program) -> None:
        """A sequence of byte-range copies, between any two of which anybody may come."""
        self.trace(DmaStart(dma=self.name, operation=msg.operation, pfn=msg.pfn, to_memory=msg.to_memory))
        pieces = list(chunks_of(msg.offset, msg.length, self.chunk))
        first, error = msg.fill, 0
        for number, (offset, length) in enumerate(pieces):
            await self.sleep(self.chunk_time)
            if self.iommu and msg.to_memory and not msg.writable:
                self.trace(IommuFault(dma=self.name, operation=msg.operation, pfn=msg.pfn))
                error = -EIO
                break
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
        self.send(msg.driver, DmaDone(msg.operation, first, error))

    @handles(AddRegion)
    def add_region(self, msg: AddRegion) -> Status:
        """From now on other hosts reach these frames, and nobody here is asked."""
        self.regions[msg.key] = msg.pfns
        self.trace(RegionAdded(dma=self.name, key=msg.key, pfns=msg.pfns))
        return Status()

    @handles(RemoveRegion)
    async def remove_region(self, msg: RemoveRegion) -> Status:
        """No new writes; answered when the last one in flight has landed."""
        self.regions.pop(msg.key)
        while self.landing.get(msg.key, 0):
            if msg.key not in self._landed:
                self._landed[msg.key] = WaitQueue(self, f"remote writes to region {msg.key} of {self.name}")
            await self._landed[msg.key].sleep()
        self.landing.pop(msg.key)
        return Status()

    @handles(FindRegion)
    def find_region(self, msg: FindRegion) -> Region:
        """One of the regions that are there now; it may be gone when the write comes."""
        keys = sorted(self.regions)
        if not keys:
            return Region(-EAGAIN)
        key = keys[msg.choice % len(keys)]
        return Region(0, key, len(self.regions[key]))

    @handles(WriteRemote)
    async def write_remote(self, msg: WriteRemote) -> Status:
        """Data of another host lands in our memory, chunk by chunk: no CPU, no page table, no page lock."""
        pfns = self.regions.get(msg.key)
        if pfns is None or msg.page >= len(pfns) or msg.offset + msg.length > PAGE_SIZE:
            self.trace(RemoteRefused(dma=self.name, key=msg.key, page=msg.page))
            return Status(REMOTE_ACCESS_ERROR)
        number = self.remote.get("operations", 0)
        self.remote["operations"] = number + 1
        operation, pfn = FIRST_REMOTE_OPERATION + number, pfns[msg.page]
        self.landing[msg.key] = self.landing.get(msg.key, 0) + 1
        self.trace(DmaStart(dma=self.name, operation=operation, pfn=pfn, to_memory=True))
        for offset, length in chunks_of(msg.offset, msg.length, self.chunk):
            await self.sleep(self.chunk_time)
            await self.ask(self.memory, WriteMemory(pfn, offset, bytes([msg.fill]) * length, self.name))
            self.trace(
                DmaAccess(dma=self.name, operation=operation, pfn=pfn, offset=offset, length=length, to_memory=True)
            )
        self.trace(DmaEnd(dma=self.name, operation=operation, pfn=pfn, to_memory=True))
        left = self.landing[msg.key] - 1
        self.landing[msg.key] = left
        sleepers = self._landed.pop(msg.key, None) if not left else None
        if sleepers is not None:
            sleepers.wake_all()
        return Status()
