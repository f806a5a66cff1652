"""Faults on file mappings: ->fault and ->page_mkwrite (B10)."""

import errno
from typing import Any

import pytest

from gupsim.actors.fs import Ext4
from gupsim.actors.rules.files import StablePages
from gupsim.engine.timed import TimedWorld
from gupsim.protocol import fs, memmap
from gupsim.protocol.fs import BuffersAttached, FileBlock, PageMkwriteDone, SetPageDirtyDone
from gupsim.protocol.memmap import Page, PageGet, PagePut
from tests.actors.fs_world import (
    APP,
    APP_ADDRESS,
    CHUNK,
    F_FILL,
    FS,
    MEMMAP,
    PAGE_SIZE,
    F,
    G,
    Script,
    run,
)


def test_a_fault_reads_the_page_and_answers_with_it_locked_and_referenced() -> None:
    async def body(script: Script) -> object:
        pfn = (await script.ask(FS, fs.FilemapFault(F, 2))).pfn
        locked = not (await script.ask(MEMMAP, memmap.TryLockPage(pfn))).yes
        mapping = await script.ask(MEMMAP, memmap.ReadMapping(pfn))
        return locked, await script.refs(pfn), await script.flags(pfn), mapping, script.port.context

    outcome = run(body)
    locked, refs, flags, mapping, context = outcome.result
    assert locked
    assert refs == 2  # the cache's and ours
    assert flags & Page.UPTODATE
    assert flags & Page.LRU
    assert mapping == memmap.Mapping(fs=FS, ino=F, index=2, anon=False)
    assert PageGet(pfn=1, amount=1, kind="lookup", holder=context, refs=3) in outcome.seen
    assert PagePut(pfn=1, amount=1, kind="alloc", holder=context, refs=2) in outcome.seen


def test_a_mapping_shows_what_is_on_disk() -> None:
    async def body(script: Script) -> object:
        return await script.load(await script.map_file())

    assert run(body).result == F_FILL


def test_two_faults_at_once_find_one_page() -> None:
    async def fault(script: Script, found: list[int]) -> None:
        pfn = (await script.ask(FS, fs.FilemapFault(F, 0))).pfn
        found.append(pfn)
        await script.ask(MEMMAP, memmap.UnlockPage(pfn))
        await script.ask(MEMMAP, memmap.PutRefs(pfn, 1, "lookup", script.port.context))

    async def body(script: Script) -> object:
        found: list[int] = []
        for number in range(3):
            script.thread(fault(script, found), f"thread {number}")
        await script.sleep(50_000)
        return found, await script.refs(found[0])

    found, refs = run(body).result
    assert len(set(found)) == 1
    assert len(found) == 3
    assert refs == 1


@pytest.mark.parametrize("index", [4, 1000])
def test_a_fault_beyond_the_end_of_the_file_is_refused(index: int) -> None:
    async def body(script: Script) -> object:
        return (await script.ask(FS, fs.FilemapFault(F, index))).pfn

    assert run(body).result == -errno.EFAULT


def test_a_fault_without_memory_is_refused() -> None:
    async def body(script: Script) -> object:
        return [(await script.ask(FS, fs.FilemapFault(F, index))).pfn for index in range(3)]

    assert run(body, frames=3).result == [1, 2, -errno.ENOMEM]


def test_the_first_write_attaches_dirty_buffers_and_tags_the_page() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.load(address)
        before = await script.page()
        await script.store(address, 0x33)
        return before, await script.page(), await script.flags(1), await script.refs(1)

    outcome = run(body)
    before, after, flags, refs = outcome.result
    assert before == (1, False, False)
    assert after == (1, True, True)
    assert flags & (Page.DIRTY | Page.PRIVATE) == Page.DIRTY | Page.PRIVATE
    assert refs == 3  # cache, mapping, buffers
    assert outcome.of(BuffersAttached) == [BuffersAttached(pfn=1, ino=F, index=0)]
    assert [point.error for point in outcome.of(PageMkwriteDone)] == [0]


def test_a_second_write_is_not_noticed_until_the_page_was_cleaned() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file()
        counts = []
        for value in (1, 2):
            await script.store(address, value)
        counts.append(len(script.seen))
        await script.fsync()
        await script.store(address, 3)
        return counts

    outcome = run(body)
    assert len(outcome.of(PageMkwriteDone)) == 2


def test_page_mkwrite_of_a_page_that_left_the_cache_says_try_again() -> None:
    async def body(script: Script) -> object:
        error = (await script.ask(FS, fs.PageMkwrite(F, 0, 7))).error
        return error, (await script.ask(MEMMAP, memmap.TryLockPage(7))).yes

    assert run(body).result == (-errno.EAGAIN, True)


def test_every_writable_shared_mapping_needs_dirty_tracking() -> None:
    async def body(script: Script) -> object:
        return (await script.ask(FS, fs.NeedsDirtyTracking(F))).yes

    assert run(body).result is True


def test_a_write_to_a_hole_reserves_space_and_gets_a_block_only_at_writeback() -> None:
    async def body(script: Script) -> object:
        # A sparse file: the last byte of page 8 exists, the pages before it are holes.
        await script.write(G, 9 * PAGE_SIZE - 1, 1, length=1)
        address = await script.map_file(G, 1, 5)
        hole = await script.load(address)
        await script.store(address, 0x44)
        await script.fsync(G)
        state = await script.ask(FS, fs.StatFile(G))
        lba = dict(state.blocks)[5]
        return hole, lba, await script.disk_bytes(lba), state.size

    outcome = run(body)
    hole, lba, stored, size = outcome.result
    assert hole == 0
    assert lba in (0, 1)
    assert stored == (0x44, 0)
    assert size == 9 * PAGE_SIZE
    assert FileBlock(fs=FS, ino=G, index=5, block="h0/block/sda", lba=lba) in outcome.seen


def test_without_free_blocks_the_first_write_to_a_hole_is_an_error() -> None:
    async def body(script: Script) -> object:
        await script.write(G, 9 * PAGE_SIZE - 1, 1, length=1)
        pfn = (await script.ask(FS, fs.FilemapFault(G, 5))).pfn
        await script.ask(MEMMAP, memmap.UnlockPage(pfn))
        return (await script.ask(FS, fs.PageMkwrite(G, 5, pfn))).error

    assert run(body, blocks=12, prepare=fill_up).result == -errno.ENOSPC


def fill_up(world: TimedWorld, ext4: Ext4) -> None:
    """One block is left free."""
    ext4.space.free = 1


def stable_story(kernel: str, *, device_says: bool, was: bool, **rules: Any) -> bool:
    """Does a store wait for the end of writeback? device_says: now; was: when the inode was read in."""

    async def body(script: Script) -> object:
        address = await script.map_file()
        await script.store(address, 1)
        script.thread(writeback(script), "kworker")
        await script.until("writeback:start")
        await script.store(address, 2)
        return script.seen.get("writeback:end", 0) == 1

    def toggle(world: TimedWorld, ext4: Ext4) -> None:
        ext4.stable_writes = device_says

    watch = ("writeback:start", "writeback:end")
    outcome = run(body, kernel, stable_writes=was, chunk_time=5_000, prepare=toggle, watch=watch, **rules)
    return bool(outcome.result)


async def writeback(script: Script) -> None:
    await script.writeback()


@pytest.mark.parametrize("rule", list(StablePages))
def test_a_store_waits_for_the_end_of_writeback_if_pages_must_be_stable(rule: StablePages) -> None:
    assert stable_story("v6.12", device_says=True, was=True, stable_pages=rule)
    assert not stable_story("v6.12", device_says=False, was=False, stable_pages=rule)


@pytest.mark.parametrize(
    ("kernel", "heeds_the_device"), [("v4.20", True), ("v5.6", True), ("v5.12", False), ("v6.12", False)]
)
def test_only_early_kernels_notice_that_a_device_begins_to_need_stable_pages(
    kernel: str, *, heeds_the_device: bool
) -> None:
    assert stable_story(kernel, device_says=True, was=False) is heeds_the_device


def test_dirty_by_says_who_dirtied_the_page() -> None:
    async def body(script: Script) -> object:
        await script.store(await script.map_file(), 1, length=CHUNK)
        return APP, APP_ADDRESS

    assert [point.by for point in run(body).of(SetPageDirtyDone)] == ["page_mkwrite", "fault"]
