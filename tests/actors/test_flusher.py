"""Writeback passes (B11), and the proposals for pinned pages (C: P4, P5, P6)."""

import errno
from functools import partial

import pytest

from gupsim.actors.rules.files import WritebackPinned
from gupsim.protocol import flusher, fs, memmap
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.flusher import (
    WritebackBounce,
    WritebackDone,
    WritebackEnd,
    WritebackPass,
    WritebackSkip,
    WritebackStart,
)
from gupsim.protocol.fs import SetPageDirtyDone
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import MaybePinnedAsked, Page, PageFree
from gupsim.protocol.mm import Foll, Mkclean
from tests.actors.fs_world import F_FILL, FLUSHER, FS, MEMMAP, PAGE_SIZE, F, G, Script, run


def test_a_pass_writes_every_dirty_page_once_in_order_of_index() -> None:
    async def body(script: Script) -> object:
        for index in (2, 0, 3):
            await script.write(F, index * PAGE_SIZE, 0x33)
        await script.write(G, 0, 0x44)
        return await script.writeback(), await script.writeback()

    outcome = run(body, chunk_time=50_000)
    assert outcome.result == (WritebackDone(4), WritebackDone(0))
    assert [(point.ino, point.index) for point in outcome.of(WritebackStart)] == [(F, 0), (F, 2), (F, 3), (G, 0)]


def test_a_pass_of_one_file_leaves_the_others_alone() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.write(G, 0, 0x44)
        return await script.writeback(G)

    outcome = run(body)
    assert outcome.result == WritebackDone(1)
    assert [point.ino for point in outcome.of(WritebackStart)] == [G]
    assert [point.ino for point in outcome.of(WritebackPass)] == [G]


def test_a_written_page_is_write_protected_so_that_the_next_store_is_noticed() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.store(address, 1)
        await script.fsync()
        await script.store(address, 2)
        await script.fsync()
        return await script.disk_bytes(4)

    outcome = run(body)
    assert outcome.result == (2, F_FILL)
    assert [(point.mappings, point.dirty) for point in outcome.of(Mkclean)] == [(1, True), (1, True)]
    # A dirty entry is a dirty page: the buffers hear of it once more.
    assert [point.by for point in outcome.of(SetPageDirtyDone)] == ["page_mkwrite", "fault", "page_mkclean"] * 2


def test_a_store_between_the_tag_and_the_pass_is_in_what_is_written() -> None:
    """S34's sound half: the dirty bit of the entry is found by page_mkclean, and kept as dirty buffers."""

    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.store(address, 1)
        await script.store(address, 2)  # the entry is writable: nobody hears of it
        await script.writeback()
        await script.sleep(5_000)
        return await script.disk_bytes(4)

    assert run(body).result == (2, F_FILL)


def test_a_background_pass_skips_a_page_under_writeback_and_a_sync_waits_for_it() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.store(address, 1)
        await script.writeback()
        await script.store(address, 2)
        skipped = await script.writeback()
        written = await script.writeback(F, sync=True)
        return skipped.pages, written.pages, await script.disk_bytes(4)

    outcome = run(body, chunk_time=20_000)
    assert outcome.result == (0, 1, (2, F_FILL))
    assert WritebackSkip(pfn=1, why="under_writeback") in outcome.of(WritebackSkip)


def test_a_sync_pass_ends_although_others_go_on_dirtying() -> None:
    async def writer(script: Script) -> None:
        for value in range(40):
            await script.write(F, (value % 4) * PAGE_SIZE, value + 1)

    async def body(script: Script) -> object:
        await script.write(F, 0, 1)
        script.thread(writer(script), "writer")
        done = await script.writeback(F, sync=True)
        return done.pages, (await script.disk_bytes(4))[0]

    pages, stored = run(body, chunk_time=2_000).result
    assert 1 <= pages <= 4
    assert stored >= 1


def test_a_page_that_was_thrown_out_meanwhile_is_skipped_as_moved() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 1)
        pfn, _, _ = await script.page()
        await script.ask(MEMMAP, memmap.LockPage(pfn))
        script.thread(flush(script), "kworker")
        await script.sleep(5_000)
        await script.ask(MEMMAP, memmap.SetMapping(pfn))  # as truncation does under the page lock
        await script.ask(MEMMAP, memmap.UnlockPage(pfn))
        await script.sleep(5_000)
        return None

    outcome = run(body)
    assert outcome.of(WritebackSkip) == [WritebackSkip(pfn=1, why="moved")]


async def flush(script: Script) -> None:
    await script.writeback()


def test_mainline_never_asks_whether_a_page_is_pinned() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.gup(address)
        return (await script.writeback()).pages

    outcome = run(body)
    assert outcome.result == 1
    assert not outcome.of(MaybePinnedAsked)


async def pinned_page(script: Script) -> int:
    """A pinned, dirty page of F; the device has written its first half."""
    address = await script.map_file()
    (pfn,) = await script.gup(address)
    await script.dma(pfn, 0x77, chunks=(0,))
    return pfn


def test_skip_leaves_a_pinned_page_dirty_and_lets_fsync_return_without_it() -> None:
    async def body(script: Script) -> object:
        pfn = await pinned_page(script)
        before = await script.fsync(), await script.disk_bytes(4), await script.page()
        await script.unpin(pfn)
        return before, await script.fsync(), await script.disk_bytes(4)

    outcome = run(body, writeback_pinned=WritebackPinned.SKIP)
    assert outcome.result == ((0, (F_FILL, F_FILL), (1, True, True)), 0, (0x77, F_FILL))
    assert outcome.of(WritebackSkip) == [WritebackSkip(pfn=1, why="pinned")]


def test_wait_holds_up_writeback_until_the_unpin() -> None:
    async def device(script: Script, pfn: int) -> None:
        await script.sleep(20_000)
        await script.dma(pfn, 0x77, chunks=(1,))
        await script.unpin(pfn)

    async def body(script: Script) -> object:
        pfn = await pinned_page(script)
        script.thread(device(script, pfn), "device")
        return await script.fsync(), await script.disk_bytes(4)

    outcome = run(body, writeback_pinned=WritebackPinned.WAIT)
    assert outcome.result == (0, (0x77, 0x77))
    assert all(point.intact for point in outcome.of(BlockWrite))


def test_wait_hangs_for_ever_behind_a_pin_that_stays() -> None:
    async def body(script: Script) -> object:
        await pinned_page(script)
        return await script.fsync()

    assert run(body, writeback_pinned=WritebackPinned.WAIT, stuck=1).result is None


def test_wait_can_deadlock_with_direct_io_into_the_same_page() -> None:
    """bio_set_pages_dirty() wants the lock of a page that it has pinned, from the flusher that waits for the unpin."""

    async def flusher_thread(script: Script) -> None:
        await script.until("mm:pin")
        await script.writeback()

    async def body(script: Script) -> object:
        buffer = await script.map_file(G)
        await script.store(buffer, 1)
        script.thread(flusher_thread(script), "kworker")
        return await script.direct(F, buffer, from_disk=True)

    def hung(seed: int, policy: WritebackPinned) -> int:
        return run(body, seed=seed, shuffle=True, stuck=None, watch=("mm:pin",), writeback_pinned=policy).stuck

    assert {hung(seed, WritebackPinned.WAIT) for seed in range(60, 120)} == {0, 2}
    assert {hung(seed, WritebackPinned.LIVE) for seed in range(60, 120)} == {0}


def test_a_plain_reference_is_not_recognised_by_any_proposal() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.gup(address, flags=Foll.WRITE | Foll.GET)
        return (await script.writeback()).pages

    rules = (WritebackPinned.SKIP, WritebackPinned.WAIT, WritebackPinned.BOUNCE)
    assert [run(body, writeback_pinned=rule).result for rule in rules] == [1, 1, 1]


def test_bounce_writes_a_snapshot_and_keeps_the_page_dirty_with_its_buffers() -> None:
    async def body(script: Script) -> object:
        pfn = await pinned_page(script)
        script.thread(disturb(script, pfn), "device")
        error = await script.fsync()
        state = await script.page(), bool(await script.flags(pfn) & Page.DIRTY)
        stored = await script.disk_bytes(4)
        shrunk = await script.shrink()
        await script.unpin(pfn)
        again = await script.fsync(), await script.disk_bytes(4), await script.page()
        return error, state, stored, shrunk.freed, again

    outcome = run(body, writeback_pinned=WritebackPinned.BOUNCE, chunk_time=5_000, watch=("block:checksum",))
    error, state, stored, freed, again = outcome.result
    assert error == 0
    assert state == ((1, True, True), True)
    assert stored == (0x77, F_FILL)  # the snapshot
    assert freed == 0
    assert again == (0, (0x77, 0x99), (1, True, False))
    assert all(point.intact for point in outcome.of(BlockWrite))
    (bounce,) = outcome.of(WritebackBounce)
    assert [point.source for point in outcome.of(WritebackStart)] == [bounce.bounce, 1]
    assert bounce.bounce in [point.pfn for point in outcome.of(PageFree)]


async def disturb(script: Script, pfn: int) -> None:
    """The device goes on while the page is written."""
    await script.until("block:checksum")
    await script.dma(pfn, 0x99, chunks=(1,))


def test_without_the_bounce_the_same_device_tears_the_block() -> None:
    """S03."""

    async def body(script: Script) -> object:
        pfn = await pinned_page(script)
        script.thread(disturb(script, pfn), "device")
        return await script.fsync(), await script.disk_bytes(4)

    outcome = run(body, chunk_time=5_000, watch=("block:checksum",))
    assert outcome.result == (0, (0x77, 0x99))
    assert [point.intact for point in outcome.of(BlockWrite)] == [False]


def test_a_snapshot_is_no_instant_either() -> None:
    """S39: the device writes both halves between the copy of the first and the copy of the second."""

    async def device(script: Script, pfn: int, delay: int) -> None:
        await script.until("mm:mkclean")
        await script.sleep(delay)
        await script.dma(pfn, 0x99)

    async def body(script: Script, delay: int) -> object:
        address = await script.map_file()
        (pfn,) = await script.gup(address)
        await script.dma(pfn, 0x77)
        script.thread(device(script, pfn, delay), "device")
        await script.fsync()
        return await script.disk_bytes(4)

    found = set()
    for delay in range(0, 1_000, 50):
        outcome = run(partial(body, delay=delay), writeback_pinned=WritebackPinned.BOUNCE, watch=("mm:mkclean",))
        assert all(point.intact for point in outcome.of(BlockWrite))
        found.add(outcome.result)
    assert found == {(0x77, 0x77), (0x77, 0x99), (0x99, 0x99)}


def test_no_memory_for_the_snapshot_leaves_the_page_dirty_and_fails_the_sync() -> None:
    async def body(script: Script) -> object:
        await pinned_page(script)
        while (await script.ask(MEMMAP, memmap.AllocPages("hog"))).pfn >= 0:
            pass
        return await script.fsync(), await script.page()

    assert run(body, writeback_pinned=WritebackPinned.BOUNCE).result == (-errno.ENOMEM, (1, True, True))


def test_the_periodic_flusher_writes_now_and_then_and_ends() -> None:
    async def body(script: Script) -> object:
        script.send(FLUSHER, flusher.StartPeriodic(interval=100_000, until=350_000))
        await script.write(F, 0, 0x33)
        await script.sleep(150_000)
        first = await script.disk_bytes(4)
        await script.write(F, 0, 0x44)
        await script.sleep(100_000)
        return first, await script.disk_bytes(4)

    outcome = run(body)
    assert outcome.result == ((0x33, 0x33), (0x44, 0x44))
    assert len(outcome.of(WritebackPass)) == 3
    assert outcome.world.now < 400_000


def test_a_flusher_thread_that_ran_into_a_bug_stays_dead() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.fsync()
        pfn, _, _ = await script.page()
        await script.ask(MEMMAP, memmap.LockPage(pfn))
        await script.ask(FS, fs.ReleaseBuffers(pfn, F, 0))
        await script.ask(MEMMAP, memmap.UnlockPage(pfn))
        await script.set_page_dirty_lock(pfn)
        script.send(FLUSHER, flusher.StartPeriodic(interval=10_000, until=1_000_000))
        await script.sleep(50_000)
        await script.write(G, 0, 0x44)
        await script.sleep(200_000)
        return await script.disk_bytes(10)

    outcome = run(body, "v4.20", stuck=1)
    assert outcome.result == (0x22, 0x22)
    assert len(outcome.of(KernelBug)) == 1


@pytest.mark.parametrize("sync", [False, True])
def test_a_sync_pass_alone_waits_for_the_end_of_the_io(*, sync: bool) -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.writeback(F, sync=sync)
        return script.seen.get("writeback:end", 0)

    outcome = run(body, chunk_time=50_000, watch=("writeback:end",))
    assert outcome.result == int(sync)
    assert len(outcome.of(WritebackEnd)) == 1
