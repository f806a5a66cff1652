"""What DRAM promises: sparse, zero at first, one chunk a step, and every change of content reported."""

from collections.abc import Callable, Coroutine
from typing import Any
from zlib import crc32

import pytest

from gupsim.actors.base import Actor, Port, Recorder, handles
from gupsim.actors.base.footprint import READ, WRITE
from gupsim.actors.memory import Memory, MemoryFault
from gupsim.engine.errors import ActorFailed
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.kernel import Boot
from gupsim.protocol.memory import MemoryRead, MemoryWrite, MemoryZero, ReadFrame, ReadMemory, WriteMemory, ZeroFrame
from gupsim.protocol.message import Tracepoint

CHUNK = 2048
MEMORY = "h0/memory"


class Script(Actor):
    """Runs a coroutine of the test as one kernel context."""

    def __init__(self, address: str, port: Port, body: Callable[[Actor], Coroutine[Any, Any, None]]) -> None:
        super().__init__(address, port)
        self.body = body

    @handles(Boot)
    async def boot(self, msg: Boot) -> None:
        await self.body(self)


def play(
    body: Callable[[Actor], Coroutine[Any, Any, None]], *, frames: int = 8, recorder: Recorder | None = None
) -> tuple[Memory, list[Tracepoint]]:
    world = TimedWorld(recorder=recorder)
    points: list[Tracepoint] = []
    world.on_tracepoint(lambda _, point: points.append(point))
    memory = world.add(MEMORY, Memory, frames=frames, chunk=CHUNK)
    world.add("h0/script", Script, body)
    world.post("h0/script", Boot())
    world.run_all(10_000)
    return memory, points


def test_a_frame_that_was_never_written_reads_as_zero_and_costs_nothing() -> None:
    async def body(script: Actor) -> None:
        answer = await script.ask(MEMORY, ReadMemory(5, 100, 8, "cpu/0"))
        assert answer.data == bytes(8)

    memory, points = play(body, frames=1 << 30)
    assert memory.written_frames == 0
    assert not any(isinstance(point, MemoryWrite) for point in points)


def test_a_write_is_traced_with_the_digest_of_the_whole_chunk_after_it() -> None:
    async def body(script: Actor) -> None:
        await script.ask(MEMORY, WriteMemory(3, CHUNK + 1, b"\x07\x07", "cpu/0"))
        answer = await script.ask(MEMORY, ReadMemory(3, CHUNK, 4, "cpu/0"))
        assert answer.data == b"\0\x07\x07\0"

    _, points = play(body)
    digest = crc32(b"\0\x07\x07" + bytes(CHUNK - 3))
    written = MemoryWrite(pfn=3, offset=CHUNK + 1, length=2, chunk=1, digest=digest, by="cpu/0")
    assert written in points
    assert len(points) == 2


def test_the_observer_sees_a_whole_frame_without_being_seen() -> None:
    async def body(script: Actor) -> None:
        await script.ask(MEMORY, WriteMemory(3, CHUNK, b"\x07", "cpu/0"))
        assert (await script.ask(MEMORY, ReadFrame(3))).data == bytes(CHUNK) + b"\x07" + bytes(CHUNK - 1)
        assert (await script.ask(MEMORY, ReadFrame(4))).data == bytes(4096)

    _, points = play(body)
    assert [type(point) for point in points] == [MemoryWrite]


@pytest.mark.parametrize("by", ["dma/nic", "block/sda", "cpu/0", "flusher/ext4"])
def test_every_read_is_traced(by: str) -> None:
    async def body(script: Actor) -> None:
        await script.ask(MEMORY, ReadMemory(3, 0, CHUNK, by))

    _, points = play(body)
    expected = MemoryRead(pfn=3, offset=0, length=CHUNK, chunk=0, digest=crc32(bytes(CHUNK)), by=by)
    assert points == [expected]


def test_a_cleared_frame_is_zero_again_and_gives_its_object_back() -> None:
    async def body(script: Actor) -> None:
        await script.ask(MEMORY, WriteMemory(3, 0, b"\x07", "cpu/0"))
        await script.ask(MEMORY, ZeroFrame(3))
        answer = await script.ask(MEMORY, ReadMemory(3, 0, 1, "cpu/0"))
        assert answer.data == b"\0"

    memory, points = play(body)
    assert memory.written_frames == 0
    assert points[-2] == MemoryZero(pfn=3, digests=(crc32(bytes(CHUNK)),) * 2)


@pytest.mark.parametrize(
    ("pfn", "offset", "length"), [(3, CHUNK - 1, 2), (3, 4096, 1), (8, 0, 1), (-1, 0, 1), (3, 0, 0), (3, -1, 1)]
)
def test_a_request_across_a_chunk_or_beyond_the_memory_is_a_programming_error(
    pfn: int, offset: int, length: int
) -> None:
    async def body(script: Actor) -> None:
        await script.ask(MEMORY, ReadMemory(pfn, offset, length, "dma/nic"))

    with pytest.raises((ActorFailed, MemoryFault), match=r"chunk|page"):
        play(body)


def test_a_chunk_divides_the_page() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        TimedWorld().add(MEMORY, Memory, frames=8, chunk=1000)


def test_different_chunks_of_a_frame_are_different_objects_for_the_search() -> None:
    recorder = Recorder(enabled=True)

    async def body(script: Actor) -> None:
        await script.ask(MEMORY, WriteMemory(3, 0, b"\x07", "cpu/0"))
        await script.ask(MEMORY, ReadMemory(3, CHUNK, 1, "cpu/0"))

    play(body, recorder=recorder)
    assert recorder.take() == {("frame", (3, 0)): WRITE, ("frame", (3, 1)): READ}
