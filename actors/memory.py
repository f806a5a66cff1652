"""DRAM: the bytes of every frame. Nobody in here knows what a page is used for."""

from __future__ import annotations

from zlib import crc32

from gupsim.actors.base import Actor, Port, handles
from gupsim.actors.base.footprint import READ, WRITE
from gupsim.protocol.memory import (
    PAGE_SIZE,
    MemoryData,
    MemoryRead,
    MemoryWrite,
    MemoryZero,
    ReadFrame,
    ReadMemory,
    WriteMemory,
    ZeroFrame,
)
from gupsim.protocol.message import DONE, Done


class MemoryFault(RuntimeError):
    """A request that no bus would carry: beyond the memory, or across a chunk: a bug of the actor program."""


class Memory(Actor):
    """The frames of one host, sparse: a frame that was never written is zero and has no object.

    frames: number of 4 KiB frames. chunk: bytes that move in one atomic step (B0); it divides the page size.
    """

    def __init__(self, address: str, port: Port, *, frames: int, chunk: int) -> None:
        super().__init__(address, port)
        if chunk < 1 or PAGE_SIZE % chunk:
            raise ValueError(f"a chunk of {chunk} bytes does not divide a page of {PAGE_SIZE} bytes")
        self.frames = frames
        self.chunk = chunk
        self._zeroes = bytes(chunk)
        self._zero_digests = (crc32(self._zeroes),) * (PAGE_SIZE // chunk)
        self._content: dict[int, bytearray] = {}

    @property
    def written_frames(self) -> int:
        """Frames that have an object: each costs a page of the simulator's own memory."""
        return len(self._content)

    @handles(ReadMemory)
    def read(self, msg: ReadMemory) -> MemoryData:
        """One load, bus read or disk read within one chunk."""
        index = self._locate(msg.pfn, msg.offset, msg.length)
        self.recorder.note("frame", (msg.pfn, index), READ)
        content = self._content.get(msg.pfn)
        data = bytes(msg.length) if content is None else bytes(content[msg.offset : msg.offset + msg.length])
        digest = self._digest(msg.pfn, index)
        self.trace(MemoryRead(msg.pfn, msg.offset, msg.length, index, digest, msg.by))
        return MemoryData(data)

    @handles(ReadFrame)
    def read_frame(self, msg: ReadFrame) -> MemoryData:
        """The observer's look; it is no access of the machine and is not traced."""
        self._locate(msg.pfn, 0, 1)
        for index in range(len(self._zero_digests)):
            self.recorder.note("frame", (msg.pfn, index), READ)
        return MemoryData(bytes(self._content.get(msg.pfn) or PAGE_SIZE))

    @handles(WriteMemory)
    def write(self, msg: WriteMemory) -> Done:
        """One store, bus write or disk write within one chunk."""
        length = len(msg.data)
        index = self._locate(msg.pfn, msg.offset, length)
        self.recorder.note("frame", (msg.pfn, index), WRITE)
        content = self._content.get(msg.pfn)
        if content is None:
            content = self._content[msg.pfn] = bytearray(PAGE_SIZE)
        content[msg.offset : msg.offset + length] = msg.data
        self.trace(
            MemoryWrite(
                pfn=msg.pfn,
                offset=msg.offset,
                length=length,
                chunk=index,
                digest=self._digest(msg.pfn, index),
                by=msg.by,
            )
        )
        return DONE

    @handles(ZeroFrame)
    def zero(self, msg: ZeroFrame) -> Done:
        """clear_page(): no other context can see the frame yet, so it is one step."""
        self._locate(msg.pfn + msg.pages - 1, 0, 1)
        for pfn in range(msg.pfn, msg.pfn + msg.pages):
            for index in range(len(self._zero_digests)):
                self.recorder.note("frame", (pfn, index), WRITE)
            # Of a huge page only what changes: a quarter of a million tracepoints would say nothing.
            if self._content.pop(pfn, None) is not None or msg.pages == 1:
                self.trace(MemoryZero(pfn=pfn, digests=self._zero_digests))
        return DONE

    def _locate(self, pfn: int, offset: int, length: int) -> int:
        """Index of the chunk that holds the whole range."""
        if not 0 <= pfn < self.frames:
            raise MemoryFault(f"{self.address}: page {pfn} of {self.frames}")
        index = offset // self.chunk
        end = offset + length
        if not 0 <= offset < end <= PAGE_SIZE or (end - 1) // self.chunk != index:
            raise MemoryFault(
                f"{self.address}: bytes {offset}..{end - 1} of page {pfn} are not within one chunk of {self.chunk}"
            )
        return index

    def _digest(self, pfn: int, index: int) -> int:
        content = self._content.get(pfn)
        if content is None:
            return self._zero_digests[index]
        start = index * self.chunk
        return crc32(memoryview(content)[start : start + self.chunk])
