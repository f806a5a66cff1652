"""Pages leave the cache: for reclaim, for fadvise, for direct writes (B9, step 9; B12)."""

import pytest

from gupsim.protocol import fs, memmap
from gupsim.protocol.fs import CacheDrop
from gupsim.protocol.memmap import Page, PageFree
from gupsim.protocol.mm import UnmapRange
from tests.actors.fs_world import F_FILL, FS, MEMMAP, MM, PAGE_SIZE, F, Foll, Script, run


async def cached(script: Script) -> int:
    """A clean page without buffers; nobody uses it but the cache."""
    await script.read(F)
    return (await script.page())[0]


async def remove_mapping(script: Script, pfn: int, expected: int) -> bool:
    await script.ask(MEMMAP, memmap.LockPage(pfn))
    removed = (await script.ask(FS, fs.RemoveMapping(pfn, F, 0, expected))).yes
    if removed:
        await script.ask(MEMMAP, memmap.FreeFrozen(pfn))
    await script.ask(MEMMAP, memmap.UnlockPage(pfn))
    return removed


def test_a_page_that_only_the_cache_uses_is_removed_and_can_be_freed() -> None:
    async def body(script: Script) -> object:
        pfn = await cached(script)
        return await remove_mapping(script, pfn, 1), await script.page()

    outcome = run(body)
    assert outcome.result == (True, (-1, False, False))
    assert outcome.of(CacheDrop) == [CacheDrop(pfn=1, fs=FS, ino=F, index=0, dirty=False, why="reclaim")]
    assert [point.pfn for point in outcome.of(PageFree)] == [1]


def test_one_reference_too_many_keeps_the_page() -> None:
    async def body(script: Script) -> object:
        pfn = await cached(script)
        address = await script.map_file()
        await script.gup(address, flags=Foll.GET)
        return await remove_mapping(script, pfn, 1), (await script.page())[0] == pfn

    assert run(body).result == (False, True)


def test_the_count_is_looked_at_first_and_dirty_second() -> None:
    """S33: a page dirtied by the holder of the last extra reference, just before it let go."""

    async def body(script: Script) -> object:
        pfn = await cached(script)
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))
        return await remove_mapping(script, pfn, 1), await script.page(), await script.refs(pfn)

    assert run(body).result == (False, (1, False, True), 1)


def test_a_lookup_of_a_frozen_page_waits_and_does_not_spin() -> None:
    async def reader(script: Script, found: list[bytes]) -> None:
        found.append((await script.read(F, 0, 1)).data)

    async def remover(script: Script, pfn: int) -> None:
        await remove_mapping(script, pfn, 1)

    async def body(script: Script) -> object:
        pfn = await cached(script)
        found: list[bytes] = []
        script.thread(remover(script, pfn), "kswapd")
        for number in range(8):
            script.thread(reader(script, found), f"reader {number}")
            await script.sleep(60)
        await script.sleep(50_000)
        return found

    outcome = run(body)
    assert outcome.result == [bytes([F_FILL])] * 8
    assert outcome.world.events < 2_000


@pytest.mark.parametrize(("chunk_time", "result"), [(0, (2, [1, 2])), (1_000_000, (1, [0, 1, 2]))])
def test_fadvise_drops_what_is_clean_and_unused(chunk_time: int, result: object) -> None:
    """It starts the writeback of what is dirty, and drops that, too, if the disk is fast enough."""

    async def body(script: Script) -> object:
        await script.read(F, 0, 4 * PAGE_SIZE)
        await script.write(F, 0, 1)  # page 0: dirty
        mapped = await script.map_file(F, 1, 1)
        await script.load(mapped)  # page 1: mapped
        other = await script.map_file(F, 1, 2)
        await script.gup(other, flags=Foll.GET)
        await script.ask(MM, UnmapRange("fs/ext4", F, 2, 1))  # page 2: referenced
        dropped = await script.drop_cache()
        return dropped, [entry[0] for entry in (await script.ask(FS, fs.StatFile(F))).cached]

    assert run(body, chunk_time=chunk_time).result == result


def test_fadvise_drops_clean_buffers_first() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.fsync()
        return await script.drop_cache(), (await script.read(F, 0, 1)).data

    outcome = run(body)
    assert outcome.result == (1, b"\x33")
    assert [(point.pfn, point.maps) for point in outcome.of(PageFree)] == [(1, 0)]


@pytest.mark.parametrize(("kernel", "keeps_buffers"), [("v5.12", False), ("v5.19", True), ("v6.12", True)])
def test_fadvise_leaves_the_buffers_of_a_pinned_page_alone_since_it_counts_references(
    kernel: str, *, keeps_buffers: bool
) -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.store(address, 0x33)
        pfn = (await script.gup(address))[0]
        await script.ask(MM, UnmapRange("fs/ext4", F, 0, 1))
        await script.fsync()
        return await script.drop_cache(), await script.page() == (pfn, keeps_buffers, False)

    assert run(body, kernel).result == (0, True)


@pytest.mark.parametrize("pinned", [False, True])
def test_a_direct_write_throws_the_cached_page_out_without_counting_references(*, pinned: bool) -> None:
    """S48."""

    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.store(address, 0x33)
        await script.fsync()
        old = (await script.gup(address))[0] if pinned else (await script.page())[0]
        buffer = await script.map_anon()
        await script.store(buffer, 0x55, PAGE_SIZE)
        written = await script.direct(F, buffer, from_disk=False)
        if not pinned:
            return written, await script.load(address)
        # The pin is on an orphan: the mapping shows another frame from here on.
        await script.fsync()
        reads = await script.load(address)
        await script.dma(old, 0x77)
        await script.set_page_dirty_lock(old)
        orphan = await script.ask(MEMMAP, memmap.ReadMapping(old))
        new = (await script.page())[0]
        await script.unpin(old)
        await script.fsync()
        return written, reads, new != old, orphan.ino, await script.load(address), await script.disk_bytes(4)

    outcome = run(body)
    if pinned:
        assert outcome.result == (PAGE_SIZE, 0x55, True, 0, 0x55, (0x55, 0x55))
    else:
        assert outcome.result == (PAGE_SIZE, 0x55)
    assert [point.why for point in outcome.of(CacheDrop)] == ["invalidate"]


def test_the_flags_of_a_dropped_page_are_gone_with_it() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        await script.fsync()
        await script.drop_cache()
        return await script.flags(1)

    assert run(body).result == Page(0)
