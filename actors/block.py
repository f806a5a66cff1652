"""A disk with a write cache and, if it has them, guard tags. It reads and writes memory by itself."""

from __future__ import annotations

import errno
from typing import NamedTuple
from zlib import crc32

from gupsim.actors.base import Actor, Fifo, Map, Port, TicketLock, chunks_of, handles
from gupsim.protocol.address import local_name
from gupsim.protocol.block import (
    BioEnd,
    BlockChecksum,
    BlockContent,
    BlockFlush,
    BlockInit,
    BlockRead,
    BlockWrite,
    FlushDisk,
    ReadBlock,
    Served,
    ServeNext,
    SubmitBio,
)
from gupsim.protocol.kernel import Boot
from gupsim.protocol.memory import PAGE_SIZE, ReadMemory, WriteMemory
from gupsim.protocol.message import Status


class Sector(NamedTuple):
    """Content of one block and its guard tag (CRC-32)."""

    data: bytes
    guard: int

    @property
    def intact(self) -> bool:
        """The guard tag belongs to the data."""
        return crc32(self.data) == self.guard


class Block(Actor):
    """One block is one page. Requests are served one after the other, in the order in which they arrive.

    blocks: size. chunk: bytes that move in one step, each of which takes `chunk_time` ns. checksums: a guard tag is
    kept for every block, computed from memory before the transfer and verified by reads (T10 DIF, B11 step 7).
    content: (first block, count, byte) for what is on it at boot; the rest is zero. served: a program stands behind it,
    and a request stays in flight until that answers it.
    """

    def __init__(
        self,
        address: str,
        port: Port,
        *,
        blocks: int,
        chunk: int,
        checksums: bool,
        chunk_time: int,
        content: tuple[tuple[int, int, int], ...] = (),
        served: bool = False,
    ) -> None:
        super().__init__(address, port)
        self.name = local_name(address)
        self.memory = f"{self.host}/memory"
        self.blocks = blocks
        self.chunk = chunk
        self.checksums = checksums
        self.chunk_time = chunk_time
        self._at_boot = tuple(sorted(piece for piece in content if piece[1]))
        _check_content(address, blocks, self._at_boot)
        self._queue = TicketLock(self, f"request queue of {self.name}")
        self._media: Map[int, Sector] = Map(self, "media")
        """What was written since boot."""
        self._cache: Map[int, Sector] = Map(self, "write cache")
        """Written, but lost if the power fails now."""
        self.served = served
        self._in_flight: Fifo[tuple[str, int], SubmitBio] = Fifo(self, "request in flight")
        """Of a served disk, by sender and tag."""

    @handles(Boot)
    def boot(self, msg: Boot) -> None:
        """Say what is on the disk, gaps included."""
        block = 0
        for first, count, fill in self._at_boot:
            self._tell_content(block, first - block, 0)
            self._tell_content(first, count, fill)
            block = first + count
        self._tell_content(block, self.blocks - block, 0)

    @handles(SubmitBio)
    async def serve(self, msg: SubmitBio) -> None:
        """B11, steps 7 and 9: the memory is read twice, and nothing keeps it from changing in between."""
        if self.served:
            self._in_flight[msg.sender, msg.tag] = msg
        else:
            await self._carry_out(msg)

    @handles(ServeNext)
    async def serve_next(self, msg: ServeNext) -> Served:
        """The data move now, and not when the request was made."""
        for at, bio in self._in_flight.items():
            self._in_flight.pop(at)
            if not bio.write:
                data = bytes((msg.fill,)) * PAGE_SIZE
                self._cache[bio.lba] = Sector(data, crc32(data))
            await self._carry_out(bio)
            return Served(0, self._content(bio.lba).data[0])
        return Served(-errno.EAGAIN)

    async def _carry_out(self, msg: SubmitBio) -> None:
        async with self._queue:
            if not 0 <= msg.lba < self.blocks:
                error = -errno.EIO
            else:
                error = await (self._write(msg) if msg.write else self._read(msg))
            self.send(msg.sender, BioEnd(msg.tag, error))

    async def _write(self, msg: SubmitBio) -> int:
        guard = 0
        if self.checksums:
            for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
                guard = crc32(await self._fetch(msg.pfn, offset, length), guard)
            self.trace(BlockChecksum(block=self.address, lba=msg.lba, pfn=msg.pfn, guard=guard))
        data = b""
        for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
            data += await self._fetch(msg.pfn, offset, length)
            await self._transfer_time()
        sector = Sector(data, guard if self.checksums else crc32(data))
        self._cache[msg.lba] = sector
        self.trace(
            BlockWrite(
                block=self.address,
                lba=msg.lba,
                pfn=msg.pfn,
                digests=self._digests(data),
                checked=self.checksums,
                intact=sector.intact,
            )
        )
        return 0

    async def _read(self, msg: SubmitBio) -> int:
        sector = self._content(msg.lba)
        for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
            await self._transfer_time()
            piece = sector.data[offset : offset + length]
            await self.ask(self.memory, WriteMemory(msg.pfn, offset, piece, self.name))
        error = 0 if sector.intact else -errno.EILSEQ
        self.trace(
            BlockRead(block=self.address, lba=msg.lba, pfn=msg.pfn, digests=self._digests(sector.data), error=error)
        )
        return error

    @handles(FlushDisk)
    async def flush(self, msg: FlushDisk) -> Status:
        """REQ_OP_FLUSH."""
        async with self._queue:
            cached = self._cache.items()
            for lba, sector in cached:
                self._media[lba] = sector
                self._cache.pop(lba)
            self.trace(BlockFlush(block=self.address, blocks=len(cached)))
        return Status()

    @handles(ReadBlock)
    def read_block(self, msg: ReadBlock) -> BlockContent:
        """As the observer sees it: no I/O, no time."""
        sector = self._content(msg.lba)
        return BlockContent(data=sector.data, intact=sector.intact, durable=msg.lba not in self._cache)

    async def _fetch(self, pfn: int, offset: int, length: int) -> bytes:
        return (await self.ask(self.memory, ReadMemory(pfn, offset, length, self.name))).data

    async def _transfer_time(self) -> None:
        if self.chunk_time:
            await self.sleep(self.chunk_time)

    def _content(self, lba: int) -> Sector:
        return self._cache.get(lba) or self._media.get(lba) or self._boot_content(lba)

    def _boot_content(self, lba: int) -> Sector:
        fill = next((fill for first, count, fill in self._at_boot if first <= lba < first + count), 0)
        data = bytes((fill,)) * PAGE_SIZE
        return Sector(data, crc32(data))

    def _digests(self, data: bytes) -> tuple[int, ...]:
        return tuple(crc32(data[offset : offset + self.chunk]) for offset in range(0, PAGE_SIZE, self.chunk))

    def _tell_content(self, first: int, count: int, fill: int) -> None:
        if count:
            digests = self._digests(bytes((fill,)) * PAGE_SIZE)
            self.trace(BlockInit(block=self.address, first=first, count=count, digests=digests))


def _check_content(address: str, blocks: int, content: tuple[tuple[int, int, int], ...]) -> None:
    end = 0
    for first, count, _ in content:
        if first < end or count < 0 or first + count > blocks:
            raise ValueError(f"{address}: content of blocks {first}..{first + count - 1} overlaps, or is not on it")
        end = first + count
