"""Many threads do random things to two files; whatever the interleaving, certain sums must come out."""

from __future__ import annotations

from random import Random

import pytest

from gupsim.actors.rules.files import OdirectCall, WritebackPinned
from gupsim.protocol import fs, memmap
from gupsim.protocol.engine import ContextLost
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import Page, PageBadCount
from tests.actors.fs_world import CHUNK, FS, MEMMAP, PAGE_SIZE, F, Foll, G, Script, run

PAGES = {F: 4, G: 2}


async def worker(script: Script, seed: int, maps: dict[int, int], buffer: int, ended: list[int]) -> None:
    """One thread: a driver that plays by the rules, a writer, a syncer, memory pressure, in random order."""
    dice = Random(seed)
    for _ in range(10):
        ino = dice.choice((F, G))
        index = dice.randrange(PAGES[ino])
        address = maps[ino] + index * PAGE_SIZE
        value = dice.randrange(256)
        match dice.randrange(9):
            case 0:
                await script.store(address, value)
            case 1:
                await script.write(ino, dice.randrange(PAGES[ino] * PAGE_SIZE - 100), value, length=100)
            case 2:
                await script.fsync(ino)
            case 3:
                await script.writeback()
            case 4:
                await script.shrink(4)
            case 5:
                await device(script, address, value)
            case 6:
                await script.direct(ino, buffer, from_disk=dice.random() < 0.5, index=index)
            case 7:
                await script.drop_cache(ino)
            case _:
                await script.read(ino, index * PAGE_SIZE, CHUNK)
    ended.append(seed)


async def device(script: Script, address: int, value: int) -> None:
    """Pin, DMA, unpin_user_pages_dirty_lock()."""
    for pfn in await script.gup(address, flags=Foll.WRITE | Foll.PIN):
        await script.dma(pfn, value)
        if not await script.flags(pfn) & Page.DIRTY:
            await script.set_page_dirty_lock(pfn)
        await script.unpin(pfn)


@pytest.mark.parametrize("policy", [WritebackPinned.LIVE, WritebackPinned.SKIP, WritebackPinned.BOUNCE])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_hangs_and_every_sum_comes_out(policy: WritebackPinned, seed: int) -> None:
    dice = Random(seed)

    async def body(script: Script) -> object:
        maps = {ino: await script.map_file(ino, pages) for ino, pages in PAGES.items()}
        ended: list[int] = []
        for number in range(4):
            buffer = await script.map_anon()
            script.thread(worker(script, 100 * seed + number, maps, buffer, ended), f"thread {number}")
        while len(ended) < 4:
            await script.sleep(10_000)
        await script.sleep(1_000_000)
        for _ in range(2):
            assert (await script.ask(FS, fs.Sync())).error == 0
        return [await check_file(script, ino) for ino in PAGES]

    outcome = run(
        body,
        frames=40,
        seed=seed,
        shuffle=dice.random() < 0.7,
        chunk_time=dice.choice((0, 500, 5_000)),
        stable_writes=dice.random() < 0.5,
        writeback_pinned=policy,
        odirect_call=dice.choice(list(OdirectCall)),
    )
    assert outcome.result == [[], []]
    assert not outcome.of(PageBadCount)
    assert not outcome.of(KernelBug)
    assert not outcome.of(ContextLost)


async def check_file(script: Script, ino: int) -> list[str]:
    """What is wrong with the cached pages of a file, now that nobody does anything any more."""
    wrong = []
    state = await script.ask(FS, fs.StatFile(ino))
    blocks = dict(state.blocks)
    for index, pfn, has_buffers, tagged in state.cached:
        flags = await script.flags(pfn)
        counts = await script.ask(MEMMAP, memmap.ReadCounts(pfn))
        if counts.refs != 1 + counts.maps + has_buffers:
            wrong.append(f"page {pfn}: {counts}, buffers {has_buffers}")
        if bool(flags & Page.PRIVATE) != has_buffers:
            wrong.append(f"page {pfn}: buffers {has_buffers}, {flags!r}")
        if flags & (Page.DIRTY | Page.WRITEBACK) or tagged:
            wrong.append(f"page {pfn} after sync: {flags!r}, tagged {tagged}")
        if not (await script.ask(MEMMAP, memmap.TryLockPage(pfn))).yes:
            wrong.append(f"page {pfn} is locked")
        data = (await script.read(ino, index * PAGE_SIZE)).data
        if data != (await script.on_disk(blocks[index])).data:
            wrong.append(f"page {index} of inode {ino} differs from the disk")
    return wrong
