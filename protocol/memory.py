"""DRAM: the bytes of every frame. CPUs, devices and disks all read and write here.

One request touches one chunk of one frame; a longer copy is several requests, and between two of them
anybody else may come (B0: "a DMA op is a sequence of byte-range copies, each an independent step").
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from gupsim.protocol.message import Done, Message, Request, Tracepoint

PAGE_SIZE = 4096

Data = Annotated[bytes, msgspec.Meta(max_length=PAGE_SIZE)]


class ReadMemory(Request["MemoryData"], frozen=True):
    """Read `length` bytes at `offset` of frame `pfn`, within one chunk. From a cpu, dma engine, block device or
    a kernel copy loop. `by` says who reads, for the tracepoint: "cpu/0", "dma/nic", "block/sda"."""

    pfn: int
    offset: int
    length: int
    by: str


class MemoryData(Message, frozen=True):
    """Bytes read. Answers ReadMemory and ReadFrame."""

    data: Data


class ReadFrame(Request["MemoryData"], frozen=True):
    """All bytes of frame `pfn` at once, which no part of the machine can do. From the observer, when nothing happens
    any more."""

    pfn: int


class WriteMemory(Request[Done], frozen=True):
    """Write `data` at `offset` of frame `pfn`, within one chunk. `by` as in ReadMemory."""

    pfn: int
    offset: int
    data: Data
    by: str


class ZeroFrame(Request[Done], frozen=True):
    """clear_page(): fill a frame, or `pages` of them, with zeroes before anybody else can see it. From memmap, mm."""

    pfn: int
    pages: int = 1


class MemoryWrite(Tracepoint, frozen=True, tag="memory:write"):
    """Bytes of a frame changed.

    chunk: index of the chunk in the frame; digest: CRC-32 of the chunk's bytes after the write.
    """

    pfn: int
    offset: int
    length: int
    chunk: int
    digest: int
    by: str

    def say(self) -> str:
        return f"{self.by} wrote bytes {self.offset}..{self.offset + self.length - 1} of page {self.pfn}"


class MemoryRead(Tracepoint, frozen=True, tag="memory:read"):
    """A device, disk or CPU read bytes of a frame. Fields as in memory:write; digest is of the chunk read."""

    pfn: int
    offset: int
    length: int
    chunk: int
    digest: int
    by: str

    def say(self) -> str:
        return f"{self.by} read bytes {self.offset}..{self.offset + self.length - 1} of page {self.pfn}"


class MemoryZero(Tracepoint, frozen=True, tag="memory:zero"):
    """A frame was cleared for a new owner. digests: CRC-32 of each of its chunks, now zero."""

    pfn: int
    digests: tuple[int, ...]

    def say(self) -> str:
        return f"page {self.pfn} cleared"


MESSAGES: tuple[type[Message], ...] = (ReadMemory, ReadFrame, MemoryData, WriteMemory, ZeroFrame)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (MemoryWrite, MemoryRead, MemoryZero)
