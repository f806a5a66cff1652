"""One page under writeback: tags, flags, buffers, and pages that lost their buffers."""

import pytest

from gupsim.actors.rules.files import DirtyWithoutBuffers
from gupsim.protocol import fs, memmap
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.flusher import WritebackEnd, WritebackStart
from gupsim.protocol.fs import DiscardDirty
from gupsim.protocol.kernel import KernelBug, KernelWarning
from gupsim.protocol.memmap import Page
from tests.actors.fs_world import FS, MEMMAP, F, Script, run

RUNNING = Page.DIRTY | Page.WRITEBACK


async def dirty_page(script: Script) -> int:
    await script.write(F, 0, 0x33)
    return (await script.page())[0]


async def write_page(script: Script, pfn: int) -> str:
    """As the flusher does, from step 4 on."""
    await script.ask(MEMMAP, memmap.LockPage(pfn))
    await script.ask(MEMMAP, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
    return (await script.ask(FS, fs.WritePage(pfn, F, 0, source=pfn))).outcome


async def under_writeback(script: Script) -> int:
    return (await script.ask(FS, fs.NextWriteback(F, 0))).pfn


def test_a_page_under_writeback_is_unlocked_tagged_and_clean() -> None:
    async def body(script: Script) -> object:
        pfn = await dirty_page(script)
        outcome = await write_page(script, pfn)
        unlocked = (await script.ask(MEMMAP, memmap.TryLockPage(pfn))).yes
        return outcome, unlocked, await script.flags(pfn) & RUNNING, await script.page(), await under_writeback(script)

    outcome = run(body, chunk_time=50_000)
    assert outcome.result == ("submitted", True, Page.WRITEBACK, (1, True, False), 1)


def test_the_end_of_the_io_ends_writeback_and_wakes_who_waits() -> None:
    async def body(script: Script) -> object:
        pfn = await dirty_page(script)
        await write_page(script, pfn)
        await script.ask(MEMMAP, memmap.WaitWriteback(pfn))
        return await script.flags(pfn) & RUNNING, await under_writeback(script), await script.disk_bytes(4)

    outcome = run(body, chunk_time=50_000)
    assert outcome.result == (0, -1, (0x33, 0x33))
    order = [type(point) for point in outcome.seen if isinstance(point, WritebackStart | BlockWrite | WritebackEnd)]
    assert order == [WritebackStart, BlockWrite, WritebackEnd]


def test_what_is_dirtied_during_the_io_is_written_the_next_time() -> None:
    async def body(script: Script) -> object:
        pfn = await dirty_page(script)
        await write_page(script, pfn)
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))
        await script.ask(MEMMAP, memmap.WaitWriteback(pfn))
        state = await script.page(), await script.flags(pfn) & RUNNING
        await script.dma(pfn, 0x77)
        await write_page(script, pfn)
        await script.ask(MEMMAP, memmap.WaitWriteback(pfn))
        return state, await script.disk_bytes(4)

    assert run(body, chunk_time=50_000).result == (((1, True, True), Page.DIRTY), (0x77, 0x77))


def test_a_page_dirtied_again_before_writeback_starts_keeps_its_tag() -> None:
    async def body(script: Script) -> object:
        pfn = await dirty_page(script)
        await script.ask(MEMMAP, memmap.LockPage(pfn))
        await script.ask(MEMMAP, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "get_user_pages"))  # without the page lock
        await script.ask(FS, fs.WritePage(pfn, F, 0, source=pfn))
        await script.ask(MEMMAP, memmap.WaitWriteback(pfn))
        return await script.page()

    assert run(body).result == (1, True, True)


def test_a_page_that_is_dirty_by_its_flag_alone_is_not_written() -> None:
    """S06: the file system writes dirty buffers, and a raw SetPageDirty() has made none."""

    async def body(script: Script) -> object:
        pfn = await dirty_page(script)
        await script.fsync()
        await script.dma(pfn, 0x77)
        await script.ask(MEMMAP, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        outcome = await write_page(script, pfn)
        return outcome, await script.flags(pfn) & RUNNING, await script.disk_bytes(4)

    outcome = run(body)
    assert outcome.result == ("submitted", 0, (0x33, 0x33))
    assert len(outcome.of(WritebackStart)) == len(outcome.of(WritebackEnd)) == 2


async def without_buffers(script: Script) -> int:
    """S01, steps 1 to 5: dirty, and no buffers."""
    pfn = await dirty_page(script)
    await script.fsync()
    await script.ask(MEMMAP, memmap.LockPage(pfn))
    await script.ask(FS, fs.ReleaseBuffers(pfn, F, 0))
    await script.ask(MEMMAP, memmap.UnlockPage(pfn))
    await script.dma(pfn, 0x77)
    await script.set_page_dirty_lock(pfn)
    return pfn


def test_a_dirty_page_without_buffers_kills_the_flusher_with_the_page_locked() -> None:
    async def flusher(script: Script, pfn: int) -> None:
        await write_page(script, pfn)

    async def body(script: Script) -> object:
        pfn = await without_buffers(script)
        script.thread(flusher(script, pfn), "kworker")
        await script.sleep(50_000)
        return (await script.ask(MEMMAP, memmap.TryLockPage(pfn))).yes

    outcome = run(body, dirty_without_buffers=DirtyWithoutBuffers.BUG, stuck=1)
    assert outcome.result is False
    assert outcome.of(KernelBug) == [
        KernelBug(where="fs/ext4/inode.c, ext4_writepage: page_buffers()", message="BUG_ON(!PagePrivate(page))", pfn=1)
    ]


def test_or_its_dirty_state_is_thrown_away_with_a_warning() -> None:
    async def body(script: Script) -> object:
        pfn = await without_buffers(script)
        outcome = await write_page(script, pfn)
        unlocked = (await script.ask(MEMMAP, memmap.TryLockPage(pfn))).yes
        return outcome, unlocked, await script.flags(pfn) & RUNNING, await script.disk_bytes(4)

    outcome = run(body, dirty_without_buffers=DirtyWithoutBuffers.DISCARD)
    assert outcome.result == ("discarded", True, 0, (0x33, 0x33))
    assert outcome.of(DiscardDirty) == [DiscardDirty(pfn=1, ino=F, index=0)]
    assert "page 0 does not have buffers attached" in [point.message for point in outcome.of(KernelWarning)]


@pytest.mark.parametrize("keep", [True, False])
def test_a_snapshot_is_written_instead_and_freed_at_the_end(*, keep: bool) -> None:
    async def body(script: Script) -> object:
        pfn = await dirty_page(script)
        bounce = (await script.ask(MEMMAP, memmap.AllocPages("bounce"))).pfn
        await script.dma(bounce, 0x99)
        await script.ask(MEMMAP, memmap.LockPage(pfn))
        if not keep:
            await script.ask(MEMMAP, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
        await script.ask(FS, fs.WritePage(pfn, F, 0, source=bounce, keep_dirty=keep))
        await script.ask(MEMMAP, memmap.WaitWriteback(pfn))
        await script.sleep(1_000)
        return await script.page(), await script.refs(bounce), await script.disk_bytes(4)

    outcome = run(body)
    assert outcome.result == ((1, True, keep), 0, (0x99, 0x99))
    assert [point.source for point in outcome.of(WritebackStart)] == [2]
