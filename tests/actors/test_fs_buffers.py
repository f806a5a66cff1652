"""Buffers, set_page_dirty and what reclaim may strip (B10; B9, step 8)."""

from functools import partial

import pytest

from gupsim.actors.rules.files import DirtyWarning
from gupsim.protocol import fs, memmap
from gupsim.protocol.fs import BuffersReleased, SetPageDirtyDone
from gupsim.protocol.kernel import KernelWarning
from gupsim.protocol.memmap import Page
from tests.actors.fs_world import FS, MEMMAP, F, Script, run

RAW = Page.DIRTY | Page.PRIVATE


async def clean_page(script: Script) -> int:
    """A cached page with clean buffers."""
    await script.write(F, 0, 0x33)
    await script.fsync()
    pfn, has_buffers, tagged = await script.page()
    assert (has_buffers, tagged) == (True, False)
    return pfn


async def release_buffers(script: Script, pfn: int) -> bool:
    await script.ask(MEMMAP, memmap.LockPage(pfn))
    released = await script.ask(FS, fs.ReleaseBuffers(pfn, F, 0))
    await script.ask(MEMMAP, memmap.UnlockPage(pfn))
    return released.yes


def test_clean_buffers_are_dropped_whoever_holds_the_page() -> None:
    async def body(script: Script) -> object:
        pfn = await clean_page(script)
        address = await script.map_file()
        await script.load(address)
        (pinned,) = await script.gup(address)
        await script.fsync()
        refs = await script.refs(pfn)
        return pinned == pfn, await release_buffers(script, pfn), refs - await script.refs(pfn), await script.page()

    outcome = run(body)
    assert outcome.result[:3] == (True, True, 1)
    assert outcome.result[3] == (1, False, False)
    assert outcome.of(BuffersReleased) == [BuffersReleased(pfn=1, ino=F, index=0)]


def test_dirty_buffers_are_kept() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        pfn, _, _ = await script.page()
        return await release_buffers(script, pfn), await script.flags(pfn) & RAW

    assert run(body).result == (False, RAW)


def test_buffers_under_writeback_are_kept() -> None:
    async def body(script: Script) -> object:
        await script.write(F, 0, 0x33)
        pfn, _, _ = await script.page()
        await script.writeback()
        return await release_buffers(script, pfn)

    assert run(body, chunk_time=50_000).result is False


def test_a_dirty_flag_over_clean_buffers_is_cancelled_with_them() -> None:
    """The raw SetPageDirty() of old VFIO loses even its flag (S06)."""

    async def body(script: Script) -> object:
        pfn = await clean_page(script)
        await script.ask(MEMMAP, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        return await release_buffers(script, pfn), await script.flags(pfn) & RAW

    assert run(body).result == (True, 0)


def test_dirtying_and_releasing_at_once_never_loses_the_dirty_bit() -> None:
    async def dirty(script: Script, pfn: int, delay: int) -> None:
        await script.sleep(delay)
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))

    async def body(script: Script, delay: int) -> object:
        pfn = await clean_page(script)
        script.thread(dirty(script, pfn, delay), "driver")
        released = await release_buffers(script, pfn)
        await script.sleep(1_000_000)
        _, has_buffers, tagged = await script.page()
        return released, has_buffers, tagged, bool(await script.flags(pfn) & Page.DIRTY)

    outcomes = {run(partial(body, delay=20 * seed), seed=seed, shuffle=True).result for seed in range(60)}
    # Dirty first: the buffers stay. Released first: dirty without buffers, which is where S01 starts.
    assert outcomes == {(False, True, True, True), (True, False, True, True)}


def test_set_page_dirty_of_a_page_without_buffers_tags_it_all_the_same() -> None:
    async def body(script: Script) -> object:
        pfn = await clean_page(script)
        await release_buffers(script, pfn)
        await script.set_page_dirty_lock(pfn)
        return await script.page()

    outcome = run(body)
    assert outcome.result == (1, False, True)
    assert (
        SetPageDirtyDone(pfn=1, ino=F, index=0, buffers=False, newly=True, by="driver/nic")
        == outcome.of(SetPageDirtyDone)[-1]
    )


@pytest.mark.parametrize(("rule", "warnings"), [(DirtyWarning.WARN_ONCE, 1), (DirtyWarning.NONE, 0)])
def test_ext4_warns_once_when_a_page_without_buffers_becomes_dirty(rule: DirtyWarning, warnings: int) -> None:
    async def body(script: Script) -> object:
        for _ in range(2):
            pfn = await clean_page(script)
            await release_buffers(script, pfn)
            await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))
        return None

    assert len(run(body, dirty_warning=rule).of(KernelWarning)) == warnings


def test_set_page_dirty_of_a_page_that_left_the_cache_sets_the_flag_and_no_tag() -> None:
    async def body(script: Script) -> object:
        pfn = await clean_page(script)
        await script.ask(MEMMAP, memmap.GetRefs(pfn, 1, "lookup", script.port.context))
        await script.direct(F, await script.map_anon(), from_disk=False)  # throws the page out
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))
        return await script.page(), await script.flags(pfn) & Page.DIRTY

    assert run(body).result == ((-1, False, False), Page.DIRTY)


def test_a_dirty_page_that_had_lost_its_buffers_gets_dirty_ones_at_the_next_write() -> None:
    async def body(script: Script) -> object:
        pfn = await clean_page(script)
        await release_buffers(script, pfn)
        await script.set_page_dirty_lock(pfn)
        await script.store(await script.map_file(), 0x44)
        await script.fsync()
        return await script.disk_bytes(4)

    assert run(body).result == (0x44, 0x33)


def test_an_inode_stays_on_the_dirty_list_as_long_as_a_page_of_it_is_tagged() -> None:
    async def dirty_inodes(script: Script) -> tuple[int, ...]:
        return (await script.ask(FS, fs.DirtyInodes())).inos

    async def body(script: Script) -> object:
        seen = [await dirty_inodes(script)]
        await script.write(2, 0, 1)
        await script.write(1, 0, 1)
        seen.append(await dirty_inodes(script))
        await script.fsync(2)
        seen.append(await dirty_inodes(script))
        return seen

    assert run(body).result == [(), (2, 1), (1,)]
