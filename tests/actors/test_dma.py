"""A DMA engine moves bytes, chunk by chunk, and nothing else."""

from gupsim.protocol.dma import DmaAccess, DmaEnd, DmaStart
from gupsim.protocol.memory import MemoryRead, MemoryWrite
from tests.actors.device_world import CHUNK, Machine, step

PINNED = (step("mmap", name="buf"), step("pin", name="mr", device="nic", map="buf"))


def test_a_write_moves_a_chunk_at_a_time_and_tells_of_each() -> None:
    machine = Machine(app=[*PINNED, step("dma_write", pin="mr", offset=100, length=CHUNK, value=7)]).run()
    assert [(point.offset, point.length) for point in machine.of(DmaAccess)] == [(100, CHUNK - 100), (CHUNK, 100)]
    written = [point for point in machine.of(MemoryWrite) if point.by == "dma/nic"]
    assert [(point.offset, point.length, point.chunk) for point in written] == [(100, CHUNK - 100, 0), (CHUNK, 100, 1)]
    assert [type(point) for point in machine.seen if isinstance(point, DmaStart | DmaAccess | DmaEnd)] == [
        DmaStart, DmaAccess, DmaAccess, DmaEnd,
    ]  # fmt: skip


def test_each_chunk_takes_its_time() -> None:
    machine = Machine(app=[*PINNED, step("dma_read", pin="mr")]).run()
    (start,), (end,) = machine.of(DmaStart), machine.of(DmaEnd)
    assert 2_000 <= machine.time_of(end) - machine.time_of(start) < 2_500


def test_a_read_gives_the_first_byte_that_it_saw() -> None:
    machine = Machine(
        app=[*PINNED, step("store", map="buf", value=7, offset=CHUNK), step("dma_read", pin="mr", offset=CHUNK - 1),
             step("dma_read", pin="mr", offset=CHUNK)]
    ).run()  # fmt: skip
    assert machine.results()[-2:] == ["0", "7"]
    assert len([point for point in machine.of(MemoryRead) if point.by == "dma/nic"]) == 3


def test_a_cpu_can_store_between_two_chunks_of_a_device() -> None:
    machine = Machine(
        app=[*PINNED, step("dma_write", pin="mr", value=7, until=("stored",)), step("load", map="buf")],
        other=[step("store", map="buf", value=9, after=("dma:access",), label="stored")],
        watch=("dma:access",),
    ).run()
    assert machine.results()[-1] == "9"
