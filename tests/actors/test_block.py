"""The disk: what it stores, in which order, and what it says about it."""

import errno
from zlib import crc32

import pytest

from gupsim.actors.base import Actor, Port, handles
from gupsim.actors.block import Block
from gupsim.actors.memory import Memory
from gupsim.engine.timed import TimedWorld
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
    SubmitBio,
)
from gupsim.protocol.kernel import Boot
from gupsim.protocol.memory import PAGE_SIZE, MemoryWrite, WriteMemory
from gupsim.protocol.message import Message, Tracepoint

HOST = "h0/fs/tester"
DISK = "h0/block/sda"
HALF = PAGE_SIZE // 2


class Submitter(Actor):
    """Submits bios and remembers how they ended."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.ended: list[tuple[int, int, int]] = []
        self.answers: list[Message] = []

    @handles(BioEnd)
    def bio_end(self, msg: BioEnd) -> None:
        self.ended.append((self.now, msg.tag, msg.error))

    @handles(FlushDisk)
    async def flush(self, msg: FlushDisk) -> Message:
        return await self.ask(DISK, msg)

    @handles(ReadBlock)
    async def read(self, msg: ReadBlock) -> Message:
        answer = await self.ask(DISK, msg)
        self.answers.append(answer)
        return answer


class Rig:
    """A memory, a disk and a tester."""

    def __init__(
        self,
        *,
        checksums: bool = True,
        chunk_time: int = 0,
        content: tuple[tuple[int, int, int], ...] = ((2, 3, 0x55),),
    ) -> None:
        self.world = TimedWorld()
        self.world.add("h0/memory", Memory, frames=8, chunk=HALF)
        self.disk = self.world.add(
            DISK, Block, blocks=10, chunk=HALF, checksums=checksums, chunk_time=chunk_time, content=content
        )
        self.submitter = self.world.add(HOST, Submitter)
        self.seen: list[Tracepoint] = []
        self.world.on_tracepoint(lambda _, point: self.seen.append(point))

    def fill(self, pfn: int, value: int, half: int = -1, at: int = 0) -> None:
        for part in (0, 1) if half < 0 else (half,):
            message = WriteMemory(pfn, part * HALF, bytes([value]) * HALF, "dma/nic")
            self.world.post("h0/memory", message, at)

    def submit(self, lba: int, pfn: int, tag: int = 1, *, write: bool = True, at: int = 10) -> None:
        self.world.post(DISK, SubmitBio(lba, pfn, write, tag, HOST), at)

    def flush(self, at: int = 0) -> None:
        self.world.post(HOST, FlushDisk(), at)

    def run(self) -> None:
        self.world.run_all(10_000)
        assert not self.world.report_stuck()

    def content(self, lba: int) -> BlockContent:
        self.world.post(HOST, ReadBlock(lba), self.world.now)
        self.run()
        answer = self.submitter.answers[-1]
        assert isinstance(answer, BlockContent)
        return answer


def test_at_boot_it_says_what_is_on_it_gaps_included() -> None:
    rig = Rig()
    rig.world.post(DISK, Boot())
    rig.run()
    full, empty = crc32(bytes([0x55]) * HALF), crc32(bytes(HALF))
    assert [(point.first, point.count, point.digests) for point in rig.seen if isinstance(point, BlockInit)] == [
        (0, 2, (empty, empty)),
        (2, 3, (full, full)),
        (5, 5, (empty, empty)),
    ]


def test_a_block_that_was_never_written_is_zero() -> None:
    rig = Rig()
    assert rig.content(9) == BlockContent(bytes(PAGE_SIZE), intact=True, durable=True)
    assert rig.content(4).data == bytes([0x55]) * PAGE_SIZE


def test_a_write_stores_what_the_memory_holds_and_tells_the_sender() -> None:
    rig = Rig()
    rig.fill(1, 7)
    rig.submit(3, 1, tag=9)
    rig.run()
    assert [(tag, error) for _, tag, error in rig.submitter.ended] == [(9, 0)]
    assert rig.content(3).data == bytes([7]) * PAGE_SIZE
    (stored,) = (point for point in rig.seen if isinstance(point, BlockWrite))
    assert stored == BlockWrite(DISK, 3, 1, (crc32(bytes([7]) * HALF),) * 2, checked=True, intact=True)


def test_the_checksum_is_computed_before_the_transfer_so_that_a_change_in_between_is_found() -> None:
    rig = Rig(chunk_time=1_000)
    rig.fill(1, 7)
    rig.submit(3, 1)
    rig.fill(1, 8, half=1, at=700)  # after the checksum, before the second chunk moves
    rig.run()
    kinds = [type(point) for point in rig.seen if isinstance(point, BlockChecksum | BlockWrite)]
    assert kinds == [BlockChecksum, BlockWrite]
    stored = rig.content(3)
    assert (stored.data[0], stored.data[HALF], stored.intact) == (7, 8, False)


def test_without_guard_tags_the_same_change_goes_unnoticed() -> None:
    rig = Rig(chunk_time=1_000, checksums=False)
    rig.fill(1, 7)
    rig.submit(3, 1)
    rig.fill(1, 8, half=1, at=700)
    rig.run()
    assert not [point for point in rig.seen if isinstance(point, BlockChecksum)]
    (stored,) = (point for point in rig.seen if isinstance(point, BlockWrite))
    assert (stored.checked, stored.intact) == (False, True)


def test_a_read_brings_the_block_into_memory() -> None:
    rig = Rig()
    rig.submit(2, 5, write=False)
    rig.run()
    arrived = [(point.pfn, point.digest, point.by) for point in rig.seen if isinstance(point, MemoryWrite)]
    assert arrived == [(5, crc32(bytes([0x55]) * HALF), "block/sda")] * 2
    assert [point.error for point in rig.seen if isinstance(point, BlockRead)] == [0]


def test_reading_a_block_with_a_wrong_guard_tag_is_an_error() -> None:
    rig = Rig(chunk_time=1_000)
    rig.fill(1, 7)
    rig.submit(3, 1, tag=1)
    rig.fill(1, 8, half=1, at=700)
    rig.submit(3, 2, tag=2, write=False, at=20_000)
    rig.run()
    assert [(tag, error) for _, tag, error in rig.submitter.ended] == [(1, 0), (2, -errno.EILSEQ)]


def test_each_chunk_takes_its_time() -> None:
    ended = []
    for chunk_time in (0, 1_000):
        rig = Rig(chunk_time=chunk_time)
        rig.submit(3, 1)
        rig.run()
        ended.append(rig.submitter.ended[0][0])
    assert ended[1] - ended[0] == 2_000


def test_bios_are_served_one_after_the_other_in_the_order_submitted() -> None:
    rig = Rig(chunk_time=500)
    for tag in (1, 2, 3):
        rig.submit(3, tag, tag=tag, at=10 * tag)
        rig.fill(tag, tag)
    rig.run()
    assert [tag for _, tag, _ in rig.submitter.ended] == [1, 2, 3]
    assert rig.content(3).data[0] == 3


def test_a_flush_makes_durable_what_was_written_before_it() -> None:
    rig = Rig()
    rig.fill(1, 7)
    rig.submit(3, 1)
    rig.run()
    assert rig.content(3).durable is False
    rig.flush(rig.world.now)
    rig.run()
    assert rig.content(3) == BlockContent(bytes([7]) * PAGE_SIZE, intact=True, durable=True)
    assert [point.blocks for point in rig.seen if isinstance(point, BlockFlush)] == [1]


def test_a_flush_waits_for_the_bios_before_it() -> None:
    rig = Rig(chunk_time=5_000)
    rig.fill(1, 7)
    rig.submit(3, 1, at=10)
    rig.flush(at=1_000)
    rig.run()
    assert rig.content(3).durable


@pytest.mark.parametrize("lba", [-1, 10])
def test_a_block_beyond_the_end_of_the_disk_is_an_io_error(lba: int) -> None:
    rig = Rig()
    rig.submit(lba, 1)
    rig.run()
    assert rig.submitter.ended[0][2] == -errno.EIO


@pytest.mark.parametrize("content", [((0, 11, 1),), ((0, 3, 1), (2, 2, 1))])
def test_content_that_does_not_fit_is_refused(content: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(ValueError, match="overlaps, or is not on it"):
        Rig(content=content)
