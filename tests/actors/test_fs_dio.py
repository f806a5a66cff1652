"""O_DIRECT: what it moves, what it holds meanwhile, what it says when something fails."""

import errno

import pytest

from gupsim.actors.fs import Ext4
from gupsim.actors.rules.files import OdirectCall
from gupsim.actors.rules.pins import PinnedOnLru
from gupsim.engine.timed import TimedWorld
from gupsim.protocol import fs, memmap, mm
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.fs import SetPageDirtyDone
from gupsim.protocol.kernel import KernelWarning
from gupsim.protocol.memmap import Page, PageFlags, PageGet, PagePut
from tests.actors.fs_world import F_FILL, FS, MEMMAP, MM, PAGE_SIZE, F, G, Script, run


def test_a_direct_read_brings_the_disk_into_user_memory_past_the_cache() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon(2)
        moved = await script.direct(F, buffer, from_disk=True, pages=2)
        return moved, await script.load(buffer), await script.load(buffer + PAGE_SIZE), await script.page()

    assert run(body).result == (2 * PAGE_SIZE, F_FILL, F_FILL, (-1, False, False))


def test_a_direct_write_reaches_the_disk_at_once() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon()
        await script.store(buffer, 0x55, PAGE_SIZE)
        return await script.direct(F, buffer, from_disk=False, index=1), await script.disk_bytes(5)

    outcome = run(body)
    assert outcome.result == (PAGE_SIZE, (0x55, 0x55))
    assert len(outcome.of(BlockWrite)) == 1


def test_dirty_cached_data_is_seen_by_a_direct_read() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon()
        await script.write(F, 0, 0x33)
        await script.direct(F, buffer, from_disk=True)
        return await script.load(buffer)

    assert run(body).result == 0x33


@pytest.mark.parametrize(("rule", "kind"), [(OdirectCall.GET, "gup"), (OdirectCall.PIN, "pin")])
def test_user_pages_are_held_by_the_call_of_the_era_and_given_back_by_its_partner(rule: OdirectCall, kind: str) -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon(2)
        await script.direct(F, buffer, from_disk=True, pages=2)
        await script.direct(F, buffer, from_disk=False, pages=2)
        await script.sleep(1_000)
        return dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)

    outcome = run(body, odirect_call=rule)
    got = [point for point in outcome.of(PageGet) if "dio" in point.holder]
    gave = [point for point in outcome.of(PagePut) if "dio" in point.holder]
    assert {point.kind for point in got} == {point.kind for point in gave} == {kind}
    assert len(got) == len(gave) == 4
    pins = 4 if rule is OdirectCall.PIN else 0
    assert outcome.result["nr_foll_pin_acquired"] == outcome.result["nr_foll_pin_released"] == pins


def test_pages_of_direct_io_are_off_the_lru_while_they_are_held_under_that_proposal() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon()
        await script.store(buffer, 1)
        await script.direct(F, buffer, from_disk=True)
        await script.sleep(1_000)
        return bool(await script.flags(1) & Page.LRU)

    outcome = run(body, pinned_on_lru=PinnedOnLru.REMOVE)
    assert outcome.result is True
    changes = [point for point in outcome.of(PageFlags) if (point.set | point.cleared) & Page.LRU]
    assert [bool(point.set & Page.LRU) for point in changes] == [True, False, True]


def test_a_read_dirties_the_user_page_before_the_disk_writes_it() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_file(G)  # S46: the buffer is itself a mapping of a file
        await script.direct(F, buffer, from_disk=True)
        await script.fsync(G)
        return await script.disk_bytes(10)

    outcome = run(body)
    assert outcome.result == (F_FILL, F_FILL)
    assert "fs/ext4 dio" in [point.by for point in outcome.of(SetPageDirtyDone)]


def test_a_page_cleaned_during_the_read_is_dirtied_again_at_its_end() -> None:
    """S46: fsync does not wait for the pin; the completion makes up for it (kernel-facts, wb-transient-pin)."""

    async def reader(script: Script, buffer: int, moved: list[int]) -> None:
        moved.append(await script.direct(F, buffer, from_disk=True))

    async def body(script: Script) -> object:
        buffer = await script.map_file(G)
        moved: list[int] = []
        script.thread(reader(script, buffer, moved), "reader")
        await script.until("fs:set_page_dirty", 3)  # the fault, and the bio's own
        error = await script.fsync(G)
        during = moved[:]
        await script.sleep(200_000)
        pfn, has_buffers, tagged = await script.page(G)
        dirty = bool(await script.flags(pfn) & Page.DIRTY)
        await script.fsync(G)
        return error, during, has_buffers, tagged, dirty, await script.disk_bytes(10)

    # The bio of the read waits in the queue of a slow disk while the page is written.
    outcome = run(body, chunk_time=20_000, watch=("fs:set_page_dirty",))
    error, during, has_buffers, tagged, dirty, stored = outcome.result
    assert error == 0
    assert len(during) <= 1
    assert (has_buffers, tagged, dirty) == (True, True, True)
    assert stored == (F_FILL, F_FILL)


def test_a_buffer_that_is_not_mapped_is_efault_though_pages_before_it_moved() -> None:
    """kernel-facts, perm-hole-odirect."""

    async def body(script: Script) -> object:
        buffer = await script.map_anon(1)
        result = await script.direct(F, buffer, from_disk=True, pages=3)
        await script.sleep(1_000)
        return result, await script.load(buffer)

    assert run(body).result == (-errno.EFAULT, F_FILL)


def test_reading_into_a_read_only_buffer_is_efault_and_writing_from_it_is_not() -> None:
    async def body(script: Script) -> object:
        buffer = (await script.ask(MM, mm.Mmap("app", 1, mm.Prot.READ, False))).address
        return await script.direct(F, buffer, from_disk=True), await script.direct(F, buffer, from_disk=False)

    assert run(body).result == (-errno.EFAULT, PAGE_SIZE)


def test_a_read_stops_at_the_end_of_the_file() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon(4)
        await script.write(G, 2 * PAGE_SIZE, 0x33, length=100)
        results = [await script.direct(G, buffer, from_disk=True, index=index, pages=4) for index in (0, 2, 3)]
        return results, await script.load(buffer + 2 * PAGE_SIZE)

    assert run(body).result == ([2 * PAGE_SIZE + 100, 100, 0], 0x33)


def test_a_hole_reads_as_zeroes() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon()
        await script.store(buffer, 0x55, PAGE_SIZE)
        await script.write(G, 4 * PAGE_SIZE, 1, length=1)
        moved = await script.direct(G, buffer, from_disk=True, index=3)
        return moved, await script.load(buffer)

    assert run(body).result == (PAGE_SIZE, 0)


def test_a_direct_write_beyond_the_end_allocates_blocks_and_makes_the_file_longer() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon()
        await script.store(buffer, 0x55, PAGE_SIZE)
        written = await script.direct(G, buffer, from_disk=False, index=3)
        state = await script.ask(FS, fs.StatFile(G))
        lba = dict(state.blocks)[3]
        return written, state.size, await script.disk_bytes(lba), (await script.read(G, 3 * PAGE_SIZE, 1)).data

    assert run(body).result == (PAGE_SIZE, 4 * PAGE_SIZE, (0x55, 0x55), b"\x55")


def test_a_direct_write_without_free_blocks_is_enospc_and_holds_nothing() -> None:
    async def body(script: Script) -> object:
        buffer = await script.map_anon(2)
        await script.store(buffer, 0x55, 2 * PAGE_SIZE)
        result = await script.direct(G, buffer, from_disk=False, index=2, pages=2)
        await script.sleep(1_000)
        return result

    def one_left(world: TimedWorld, ext4: Ext4) -> None:
        ext4.space.free = 1

    outcome = run(body, prepare=one_left)
    assert outcome.result == -errno.ENOSPC
    assert len([p for p in outcome.of(PageGet) if "dio" in p.holder]) == 2
    assert len([p for p in outcome.of(PagePut) if "dio" in p.holder]) == 2


def test_a_block_with_a_wrong_checksum_fails_the_read() -> None:
    async def spoil(script: Script, pfn: int) -> None:
        await script.until("block:checksum")
        await script.dma(pfn, 0x77, chunks=(1,))

    async def body(script: Script) -> object:
        buffer = await script.map_anon()
        await script.write(F, 0, 0x33)
        script.thread(spoil(script, (await script.page())[0]), "device")
        await script.fsync()
        return await script.direct(F, buffer, from_disk=True)

    assert run(body, chunk_time=5_000, watch=("block:checksum",)).result == -errno.EILSEQ


def test_a_page_that_get_user_pages_brought_back_is_thrown_out_again_afterwards() -> None:
    """Writing a file from a mapping of the same page (generic_file_direct_write)."""

    async def body(script: Script) -> object:
        buffer = await script.map_file(F)
        await script.store(buffer, 0x33)
        written = await script.direct(F, buffer, from_disk=False)
        return written, await script.disk_bytes(4), await script.page()

    outcome = run(body)
    assert outcome.result == (PAGE_SIZE, (0x33, F_FILL), (-1, False, False))
    assert not outcome.of(KernelWarning)


def test_a_page_that_was_dirtied_during_the_write_stays_in_the_cache_with_a_warning() -> None:
    async def reader(script: Script, address: int) -> None:
        await script.until("block:checksum")
        await script.load(address)

    async def dirty(script: Script) -> None:
        await script.until("block:checksum")
        await script.sleep(2_000)
        pfn, _, _ = await script.page()
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))

    async def body(script: Script) -> object:
        address = await script.map_file(F)
        buffer = await script.map_anon()
        await script.store(buffer, 0x55, PAGE_SIZE)
        script.thread(reader(script, address), "reader")
        script.thread(dirty(script), "device")
        return await script.direct(F, buffer, from_disk=False), await script.page(), await script.disk_bytes(4)

    outcome = run(body, chunk_time=5_000, watch=("block:checksum",))
    moved, (pfn, _, tagged), stored = outcome.result
    assert (moved, pfn >= 0, tagged, stored) == (PAGE_SIZE, True, True, (0x55, 0x55))
    assert "fs/iomap/direct-io.c, dio_warn_stale_pagecache()" in [point.where for point in outcome.of(KernelWarning)]


def test_a_page_that_was_dirtied_again_sends_the_write_through_the_cache() -> None:
    async def dirty_again(script: Script, pfn: int) -> None:
        await script.until("writeback:end")
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))

    async def body(script: Script) -> object:
        buffer = await script.map_anon()
        await script.store(buffer, 0x55, PAGE_SIZE)
        await script.write(F, 0, 0x33)
        script.thread(dirty_again(script, (await script.page())[0]), "device")
        moved = await script.direct(F, buffer, from_disk=False)
        return moved, await script.disk_bytes(4), await script.page()

    outcome = run(body, watch=("writeback:end",))
    assert outcome.result == (PAGE_SIZE, (0x55, 0x55), (-1, False, False))
    # Once for the old content, once for the new: both from the page of the cache.
    assert len({point.pfn for point in outcome.of(BlockWrite)}) == 1
    assert len(outcome.of(BlockWrite)) == 2


def test_a_raw_dirty_flag_hides_even_the_write_that_comes_after_it() -> None:
    """S06: the flag is set, so nobody sets the tag any more, and no sync finds the page."""

    async def body(script: Script) -> object:
        await script.read(F)
        pfn, _, _ = await script.page()
        await script.ask(MEMMAP, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        await script.write(F, 0, 0x33)
        return await script.fsync(), await script.disk_bytes(4), (await script.read(F)).data[0]

    assert run(body).result == (0, (F_FILL, F_FILL), 0x33)
