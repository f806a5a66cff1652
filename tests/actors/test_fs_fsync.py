"""fsync(2) and sync(2): what they wait for and what they promise."""

import errno

from gupsim.actors.fs import Ext4
from gupsim.engine.timed import TimedWorld
from gupsim.protocol import fs
from gupsim.protocol.block import BlockFlush
from gupsim.protocol.flusher import WritebackEnd
from gupsim.protocol.fs import FsyncBegin, FsyncEnd
from tests.actors.fs_world import F_FILL, FS, PAGE_SIZE, F, G, Script, run


def test_fsync_returns_when_the_data_is_durable() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33, length=2 * PAGE_SIZE)
        error = await script.fsync()
        return error, [(await script.on_disk(lba)).durable for lba in (4, 5)], await script.disk_bytes(5)

    outcome = run(body, chunk_time=10_000)
    assert outcome.result == (0, [True, True], (0x33, 0x33))
    order = [point for point in outcome.seen if isinstance(point, FsyncBegin | WritebackEnd | BlockFlush | FsyncEnd)]
    assert [type(point) for point in order] == [FsyncBegin, WritebackEnd, WritebackEnd, BlockFlush, FsyncEnd]
    assert order[0] == FsyncBegin(fs=FS, ino=F)
    assert order[-1] == FsyncEnd(fs=FS, ino=F, error=0)


def test_fsync_of_one_file_leaves_the_others_dirty() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.write(G, 0, 0x44)
        await script.fsync(G)
        return await script.disk_bytes(4), await script.disk_bytes(10)

    assert run(body).result == ((F_FILL, F_FILL), (0x44, 0x44))


def test_sync_writes_every_dirty_file() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.write(G, 0, 0x44)
        error = (await script.ask(FS, fs.Sync())).error
        return error, await script.disk_bytes(4), await script.disk_bytes(10)

    outcome = run(body)
    assert outcome.result == (0, (0x33, 0x33), (0x44, 0x44))
    assert outcome.of(FsyncBegin) == [FsyncBegin(fs=FS, ino=0)]


def test_sync_waits_for_writeback_that_another_pass_has_started() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.writeback()
        pending = script.seen.get("writeback:end", 0)
        await script.ask(FS, fs.Sync())
        return pending, script.seen.get("writeback:end", 0), (await script.on_disk(4)).durable

    assert run(body, chunk_time=50_000, watch=("writeback:end",)).result == (0, 1, True)


def test_fsync_finds_nothing_to_do_on_a_clean_file_but_flushes_the_disk() -> None:
    async def body(script: Script) -> object:
        await script.read(F)
        return await script.fsync()

    outcome = run(body)
    assert outcome.result == 0
    assert [point.blocks for point in outcome.of(BlockFlush)] == [0]


def test_a_failed_write_is_told_by_the_next_fsync_once() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        return [await script.fsync(), await script.fsync()]

    def beyond_the_disk(world: TimedWorld, ext4: Ext4) -> None:
        ext4.inodes[F].blocks[0] = 99

    outcome = run(body, prepare=beyond_the_disk)
    assert outcome.result == [-errno.EIO, 0]
    assert [point.error for point in outcome.of(WritebackEnd)] == [-errno.EIO]


def test_a_store_during_fsync_makes_the_page_dirty_again() -> None:
    async def storer(script: Script, address: int) -> None:
        await script.until("writeback:start")
        await script.store(address, 2)

    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.store(address, 1)
        script.thread(storer(script, address), "storer")
        error = await script.fsync()
        return error, await script.page()

    assert run(body, chunk_time=50_000, watch=("writeback:start",)).result == (0, (1, True, True))
