"""Many threads do random things to a memfd; whatever the interleaving, certain sums must come out."""

from __future__ import annotations

from random import Random

import pytest

from gupsim.protocol import fs, memmap, mm
from gupsim.protocol.engine import ContextLost
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import Page, PageBadCount
from gupsim.protocol.mm import Foll, Prot
from gupsim.protocol.shmem import AddSeals, Seal
from tests.actors.fs_world import APP, MEMFD, MEMMAP, MM, PAGE_SIZE, TMPFS, Script, run
from tests.actors.fs_world import MEMFD_PAGES as PAGES

RW = Prot.READ | Prot.WRITE


async def worker(script: Script, seed: int, address: int, ended: list[int]) -> None:
    dice = Random(seed)
    for _ in range(12):
        index = dice.randrange(PAGES)
        value = dice.randrange(256)
        match dice.randrange(7):
            case 0:
                await script.store(address + index * PAGE_SIZE, value)
            case 1:
                data = bytes([value]) * dice.choice((100, PAGE_SIZE))
                await script.ask(TMPFS, fs.WriteFile(MEMFD, index * PAGE_SIZE, data))
            case 2:
                await script.ask(TMPFS, fs.ReadFile(MEMFD, 0, PAGES * PAGE_SIZE))
            case 3:
                for pfn in await script.gup(address + index * PAGE_SIZE, flags=Foll.WRITE | Foll.PIN | Foll.LONGTERM):
                    await script.dma(pfn, value)
                    await script.unpin(pfn)
            case 4:
                await script.ask(TMPFS, fs.Truncate(MEMFD, dice.randrange(PAGES + 1)))
            case 5:
                await script.ask(TMPFS, fs.Fallocate(MEMFD, "punch", index, 1))
            case _:
                shared = (await script.ask(MM, mm.Mmap(APP, 2, RW, True))).address
                await script.store(shared, value)
                await script.ask(MM, mm.Munmap(APP, shared, 2))
    ended.append(seed)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_hangs_and_every_sum_comes_out(seed: int) -> None:
    async def body(script: Script) -> object:
        before = dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)
        address = (await script.ask(MM, mm.Mmap(APP, PAGES, RW, True, "fs/tmpfs", MEMFD))).address
        ended: list[int] = []
        for number in range(4):
            script.thread(worker(script, 100 * seed + number, address, ended), f"thread {number}")
        while len(ended) < 4:
            await script.sleep(10_000)
        await script.sleep(1_000_000)
        wrong = []
        state = await script.ask(TMPFS, fs.StatFile(MEMFD))
        for index, pfn, _, _ in state.cached:
            counts = await script.ask(MEMMAP, memmap.ReadCounts(pfn))
            flags = await script.flags(pfn)
            if counts.refs != 1 + counts.maps or not flags & Page.UPTODATE or index * PAGE_SIZE >= state.size:
                wrong.append(f"page {index}: {counts}, {flags!r}")
        await script.ask(MM, mm.Munmap(APP, address, PAGES))
        sealed = (await script.ask(TMPFS, AddSeals(MEMFD, Seal.WRITE))).error
        await script.ask(TMPFS, fs.Truncate(MEMFD, 0))
        after = dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)
        names = ("nr_free_pages", "nr_file_pages", "nr_mapped")
        return wrong, sealed, [after[name] - before[name] for name in names]

    outcome = run(body, frames=40, seed=seed, shuffle=True)
    assert outcome.result == ([], 0, [0, 0, 0])
    assert not outcome.of(PageBadCount)
    assert not outcome.of(KernelBug)
    assert not outcome.of(ContextLost)
