"""The catalogued races of the file side, one history each (E: S01 to S06, S46, S48)."""

from typing import Any

import pytest

from gupsim.actors.rules.reclaim import ReclaimPinnedFile
from gupsim.protocol import memmap
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.fs import BuffersReleased, CacheDrop, DiscardDirty
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import Page, PageBadCount
from gupsim.protocol.mm import Foll
from tests.actors.fs_world import F_FILL, MEMMAP, F, Run, Script, run


def late_dirty(kernel: str, flags: int, *, stuck: int = 0, **rules: Any) -> Run:
    """S01: pin, writeback, reclaim, DMA, set_page_dirty_lock, release, writeback."""

    async def body(script: Script) -> object:
        address = await script.map_file()
        (pfn,) = await script.gup(address, flags=flags)
        await script.writeback()
        await script.ask(MEMMAP, memmap.WaitWriteback(pfn))
        await script.shrink()
        await script.dma(pfn, 0x77)
        await script.set_page_dirty_lock(pfn)
        await (script.unpin(pfn) if flags & Foll.PIN else script.put(pfn))
        script.thread(flush(script), "kworker")
        await script.sleep(50_000)
        return await script.disk_bytes(4)

    return run(body, kernel, stuck=stuck, **rules)


async def flush(script: Script) -> None:
    await script.writeback()


def test_s01_buffers_are_stripped_under_a_reference_and_the_flusher_dies() -> None:
    outcome = late_dirty("v4.20", Foll.WRITE | Foll.GET, stuck=1)
    assert outcome.result == (F_FILL, F_FILL)
    assert len(outcome.of(BuffersReleased)) == len(outcome.of(KernelBug)) == 1


@pytest.mark.parametrize(("kernel", "flags"), [("v5.19", Foll.PIN), ("v6.12", Foll.GET)])
def test_s02_or_the_data_of_the_device_is_silently_discarded(kernel: str, flags: int) -> None:
    outcome = late_dirty(kernel, Foll.WRITE | flags)
    assert outcome.result == (F_FILL, F_FILL)
    assert len(outcome.of(DiscardDirty)) == 1


@pytest.mark.parametrize("kernel", ["v6.12", "v5.12"])
def test_s01_does_not_happen_if_reclaim_keeps_the_buffers_of_a_pinned_page(kernel: str) -> None:
    outcome = late_dirty(kernel, Foll.WRITE | Foll.PIN, reclaim_pinned_file=ReclaimPinnedFile.KEEP_BUFFERS)
    assert outcome.result == (0x77, 0x77)
    assert not outcome.of(BuffersReleased)


def test_s03_a_device_that_writes_during_writeback_breaks_the_checksum() -> None:
    async def body(script: Script) -> object:
        (pfn,) = await script.gup(await script.map_file())
        script.thread(flush(script), "kworker")
        await script.until("block:checksum")
        await script.dma(pfn, 0x77)
        await script.ask(MEMMAP, memmap.WaitWriteback(pfn))
        await script.unpin(pfn)
        stored = await script.on_disk(4)
        await script.drop_cache()
        return stored.intact

    outcome = run(body, chunk_time=2_000, watch=("block:checksum",))
    assert outcome.result is False
    assert [point.intact for point in outcome.of(BlockWrite)] == [False]


def test_s04_what_nobody_dirties_again_is_lost_when_the_page_is_reclaimed() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        (pfn,) = await script.gup(address)
        await script.fsync()
        await script.dma(pfn, 0x77)
        await script.unpin(pfn)
        await script.shrink()
        return await script.load(address)

    outcome = run(body)
    assert outcome.result == F_FILL
    assert [point.why for point in outcome.of(CacheDrop)] == ["reclaim"]


def test_s05_dirtying_before_the_dma_is_done_loses_the_second_half() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        (pfn,) = await script.gup(address)
        await script.dma(pfn, 0x77, chunks=(0,))
        await script.set_page_dirty_lock(pfn)
        await script.fsync()
        await script.dma(pfn, 0x77, chunks=(1,))
        await script.unpin(pfn)
        await script.shrink()
        return await script.disk_bytes(4), (await script.page())[0]

    assert run(body).result == ((0x77, F_FILL), -1)


def test_s06_a_raw_dirty_flag_is_not_found_by_sync() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        (pfn,) = await script.gup(address)
        await script.fsync()
        await script.dma(pfn, 0x77)
        await script.ask(MEMMAP, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        await script.unpin(pfn)
        return await script.fsync(), await script.disk_bytes(4), bool(await script.flags(pfn) & Page.DIRTY)

    assert run(body).result == (0, (F_FILL, F_FILL), True)


def test_the_counts_of_all_pages_balance_after_everything() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file(F, 4)
        pfns = await script.gup(address, 4)
        buffer = await script.map_anon(2)
        await script.direct(F, buffer, from_disk=True, pages=2)
        await script.direct(2, buffer, from_disk=False, pages=2)
        for pfn in pfns:
            await script.dma(pfn, 0x77)
            await script.set_page_dirty_lock(pfn)
            await script.unpin(pfn)
        await script.fsync()
        await script.sleep(5_000)
        # cache, mapping, buffers
        return [await script.refs(pfn) for pfn in pfns], await script.disk_bytes(7)

    outcome = run(body)
    assert outcome.result == ([3, 3, 3, 3], (0x77, 0x77))
    assert not outcome.of(PageBadCount)
