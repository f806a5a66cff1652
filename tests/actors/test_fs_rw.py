"""read(2) and write(2) through the page cache."""

import errno

import pytest

from gupsim.actors.fs import Ext4
from gupsim.engine.timed import TimedWorld
from gupsim.protocol import fs
from gupsim.protocol.fs import FileBytes
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import MemoryWrite
from tests.actors.fs_world import (
    CHUNK,
    F_FILL,
    FS,
    G_FILL,
    PAGE_SIZE,
    F,
    G,
    Script,
    run,
)


def test_what_was_written_is_read_back_and_reaches_the_disk_at_fsync() -> None:
    async def body(script: Script) -> object:
        written = await script.write(F, 0, 0x33)
        before = await script.disk_bytes(4)
        await script.fsync()
        return written, (await script.read(F)).data, before, await script.disk_bytes(4)

    assert run(body).result == (PAGE_SIZE, bytes([0x33]) * PAGE_SIZE, (F_FILL, F_FILL), (0x33, 0x33))


def test_a_partial_write_keeps_the_rest_of_the_page() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 100, 0x33, length=CHUNK)
        return (await script.read(F)).data

    assert run(body).result == bytes([F_FILL]) * 100 + bytes([0x33]) * CHUNK + bytes([F_FILL]) * (CHUNK - 100)


def test_a_write_over_a_page_boundary_changes_both_pages() -> None:
    async def body(script: Script) -> object:
        written = await script.write(F, PAGE_SIZE - 10, 0x33, length=20)
        return written, (await script.read(F, PAGE_SIZE - 11, 22)).data

    assert run(body).result == (20, bytes([F_FILL]) + bytes([0x33]) * 20 + bytes([F_FILL]))


def test_a_write_beyond_the_end_makes_the_file_longer_and_leaves_a_hole_of_zeroes() -> None:
    async def body(script: Script) -> object:
        await script.write(G, 3 * PAGE_SIZE, 0x33, length=10)
        return (await script.ask(FS, fs.StatFile(G))).size, (await script.read(G, PAGE_SIZE, 4 * PAGE_SIZE)).data

    size, data = run(body).result
    assert size == 3 * PAGE_SIZE + 10
    assert data == bytes([G_FILL]) * PAGE_SIZE + bytes(PAGE_SIZE) + bytes([0x33]) * 10


def test_a_read_ends_at_the_end_of_the_file() -> None:
    async def body(script: Script) -> object:
        return [len((await script.read(G, offset, 4 * PAGE_SIZE)).data) for offset in (0, PAGE_SIZE, 2 * PAGE_SIZE)]

    assert run(body).result == [2 * PAGE_SIZE, PAGE_SIZE, 0]


def test_a_negative_offset_is_invalid() -> None:
    async def body(script: Script) -> object:
        return await script.read(F, -1, 10), await script.write(F, -1, 1, length=1)

    assert run(body).result == (FileBytes(b"", -errno.EINVAL), -errno.EINVAL)


def test_a_write_that_runs_out_of_space_is_short() -> None:
    async def body(script: Script) -> object:
        return [await script.write(G, 2 * PAGE_SIZE, 1, length=3 * PAGE_SIZE), await script.write(G, 8 * PAGE_SIZE, 1)]

    def two_left(world: TimedWorld, ext4: Ext4) -> None:
        ext4.space.free = 2

    assert run(body, prepare=two_left).result == [2 * PAGE_SIZE, -errno.ENOSPC]


def test_a_block_that_cannot_be_read_is_an_io_error_and_can_be_tried_again() -> None:
    async def break_guard(script: Script) -> None:
        pfn, _, _ = await script.page()
        await script.until("block:checksum")
        await script.dma(pfn, 0x77, chunks=(1,))

    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        script.thread(break_guard(script), "device")
        await script.fsync()
        await script.drop_cache()
        result = await script.read(F)
        pfn, _, _ = await script.page()
        return result, bool(await script.flags(pfn) & Page.UPTODATE), await script.read(F, 0, 1)

    outcome = run(body, chunk_time=5_000, watch=("block:checksum",))
    failed = FileBytes(b"", -errno.EIO)
    assert outcome.result == (failed, False, failed)


def test_writers_of_one_file_take_turns() -> None:
    async def writer(script: Script, value: int) -> None:
        await script.write(F, 0, value, length=2 * PAGE_SIZE)

    async def body(script: Script) -> object:
        for value in (1, 2, 3):
            script.thread(writer(script, value), f"writer {value}")
        await script.sleep(200_000)
        return set((await script.read(F, 0, 2 * PAGE_SIZE)).data)

    assert run(body).result == {3}


def test_a_copy_moves_chunk_by_chunk_so_that_others_can_see_half_of_it() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 100, 0x33, length=CHUNK)
        return None

    written = [point for point in run(body).of(MemoryWrite) if point.by == "fs/ext4"]
    assert [(point.offset, point.length) for point in written] == [(100, CHUNK - 100), (CHUNK, 100)]


@pytest.mark.parametrize("stable", [True, False])
def test_a_write_waits_for_the_end_of_writeback_if_pages_must_be_stable(*, stable: bool) -> None:
    async def writeback(script: Script) -> None:
        await script.writeback()

    async def body(script: Script) -> object:
        await script.write(F, 0, 1)
        script.thread(writeback(script), "kworker")
        await script.until("writeback:start")
        await script.write(F, 0, 2)
        return script.seen.get("writeback:end", 0) == 1

    watch = ("writeback:start", "writeback:end")
    assert run(body, stable_writes=stable, chunk_time=10_000, watch=watch).result is stable
