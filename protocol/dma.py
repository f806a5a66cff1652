"""A DMA engine: it never looks at page tables, flags or reference counts (B0)."""

from __future__ import annotations

from gupsim.protocol.message import Message, Tracepoint


class Program(Message, frozen=True):
    """A descriptor in the device's queue: move `length` bytes at `offset` of frame `pfn`. From its driver, which gets
    DmaDone. to_memory: the device writes `fill` into memory; else it reads. pause_for: as in driver.StartDma. writable:
    the mapping that the driver made for the device (dma_map_page, iommu_map) allows writing; without an IOMMU nobody
    looks at that."""

    operation: int
    pfn: int
    offset: int
    length: int
    to_memory: bool
    fill: int
    driver: str
    pause_for: tuple[str, ...] = ()
    writable: bool = True


class DmaDone(Message, frozen=True):
    """Completion interrupt. first: the first byte that moved; error: -5 (EIO) if the device was stopped."""

    operation: int
    first: int
    error: int = 0


class DmaStart(Tracepoint, frozen=True, tag="dma:start"):
    """The device took a descriptor: the frame's address is in the hardware from now on."""

    dma: str
    operation: int
    pfn: int
    to_memory: bool

    def say(self) -> str:
        return f"{self.dma}: DMA {self.operation} {'into' if self.to_memory else 'from'} page {self.pfn} is in flight"


class DmaAccess(Tracepoint, frozen=True, tag="dma:access"):
    """The device moved one chunk."""

    dma: str
    operation: int
    pfn: int
    offset: int
    length: int
    to_memory: bool

    def say(self) -> str:
        verb = "wrote to" if self.to_memory else "read from"
        return f"{self.dma} {verb} page {self.pfn}, bytes {self.offset}..{self.offset + self.length - 1}"


class DmaEnd(Tracepoint, frozen=True, tag="dma:end"):
    """The descriptor is done."""

    dma: str
    operation: int
    pfn: int
    to_memory: bool

    def say(self) -> str:
        return f"{self.dma}: DMA {self.operation} {'into' if self.to_memory else 'from'} page {self.pfn} completed"


class IommuFault(Tracepoint, frozen=True, tag="iommu:fault"):
    """The IOMMU stopped an access that the mapping of the device does not allow (report_iommu_fault)."""

    dma: str
    operation: int
    pfn: int

    def say(self) -> str:
        return f"{self.dma}: IOMMU fault, DMA {self.operation} may not write to page {self.pfn}"


MESSAGES: tuple[type[Message], ...] = (Program, DmaDone)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (DmaStart, DmaAccess, DmaEnd, IommuFault)
