"""ext4 truncates, punches and zeroes: pages, buffers, reservations and blocks go, pins do not matter (B12)."""

from __future__ import annotations

from random import Random

import pytest

from gupsim.actors.fs import Ext4
from gupsim.protocol import cpu, fs, mm
from gupsim.protocol.engine import ContextLost
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import Page, PageBadCount
from gupsim.protocol.mm import Prot
from tests.actors.fs_world import APP, BLOCKS, CPU0, F_FILL, FS, MM, PAGE_SIZE, F, G, Script, run
from tests.actors.test_fs_random import PAGES, worker


async def truncate(script: Script, pages: int, ino: int = F) -> int:
    return (await script.ask(FS, fs.Truncate(ino, pages))).error


async def fallocate(script: Script, mode: str, page: int, pages: int = 1, ino: int = F) -> int:
    return (await script.ask(FS, fs.Fallocate(ino, mode, page, pages))).error


async def signal(script: Script, address: int) -> str:
    return (await script.ask(CPU0, cpu.Load(APP, address, 1))).signal


async def blocks(script: Script, ino: int = F) -> list[int]:
    return [index for index, _ in (await script.ask(FS, fs.StatFile(ino))).blocks]


def test_what_was_cut_off_is_gone_and_reads_as_zero_when_the_file_grows_again() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file(F, 4)
        await script.store(address + PAGE_SIZE, 5)
        cut = await truncate(script, 1), await signal(script, address + PAGE_SIZE), await blocks(script)
        await truncate(script, 3)
        seen = await script.load(address), await script.load(address + PAGE_SIZE)
        return cut, seen, await signal(script, address + 3 * PAGE_SIZE), await script.fsync()

    assert run(body).result == ((0, "SIGBUS", [0]), (F_FILL, 0), "SIGBUS", 0)


def test_a_pinned_page_is_cut_off_like_any_other() -> None:
    async def body(script: Script) -> object:
        address = await script.map_file(F, 4)
        (pfn,) = await script.gup(address + PAGE_SIZE)
        await truncate(script, 1)
        await script.dma(pfn, 9)
        await script.set_page_dirty_lock(pfn)
        flags = await script.flags(pfn)
        await script.unpin(pfn)
        await truncate(script, 2)
        return flags & (Page.DIRTY | Page.PRIVATE), await script.load(address + PAGE_SIZE), await script.fsync()

    outcome = run(body)
    assert outcome.result == (Page.DIRTY, 0, 0)
    assert not outcome.of(KernelBug)


def test_truncation_takes_private_copies_and_a_hole_does_not() -> None:
    async def body(script: Script) -> object:
        address = (await script.ask(MM, mm.Mmap(APP, 4, Prot.READ | Prot.WRITE, False, "fs/ext4", F))).address
        await script.store(address, 1)
        await script.store(address + 3 * PAGE_SIZE, 1)
        await fallocate(script, "punch", 0)
        await truncate(script, 2)
        copy, hole = await script.load(address), (await script.read(F)).data[0]
        return copy, hole, await signal(script, address + 3 * PAGE_SIZE)

    assert run(body).result == (1, 0, "SIGBUS")


@pytest.mark.parametrize("mode", ["punch", "zero"])
def test_a_hole_reads_as_zero_and_is_filled_by_the_next_write(mode: str) -> None:
    async def body(script: Script) -> object:
        address = await script.map_file(F, 4)
        await script.load(address + PAGE_SIZE)
        done = await fallocate(script, mode, 1, 2), await blocks(script), await script.load(address + PAGE_SIZE)
        await script.write(F, 2 * PAGE_SIZE, 7)
        await script.fsync()
        return done, await blocks(script), (await script.read(F, 2 * PAGE_SIZE)).data[0]

    assert run(body).result == ((0, [0, 3], 0), [0, 2, 3], 7)


def test_blocks_and_reservations_come_back() -> None:
    async def body(script: Script) -> object:
        moved = []
        for _ in range(4):
            moved.append(await script.write(G, 0, 1, BLOCKS * PAGE_SIZE // 2))
            await script.fsync(G)
            await script.write(G, BLOCKS // 2 * PAGE_SIZE, 1)  # a reservation
            await truncate(script, 0, G)
        return moved

    assert run(body).result == [BLOCKS * PAGE_SIZE // 2] * 4


async def cutter(script: Script, seed: int, ended: list[int]) -> None:
    """A thread that makes files shorter and longer, and holes."""
    dice = Random(seed)
    for _ in range(8):
        ino = dice.choice((F, G))
        if dice.random() < 0.5:
            await truncate(script, dice.randrange(PAGES[ino] + 1), ino)
        else:
            await fallocate(script, dice.choice(("punch", "zero")), dice.randrange(PAGES[ino]), ino=ino)
    ended.append(seed)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_hangs_and_every_sum_comes_out(seed: int) -> None:
    found: list[Ext4] = []

    async def body(script: Script) -> object:
        maps = {ino: await script.map_file(ino, pages) for ino, pages in PAGES.items()}
        ended: list[int] = []
        for number in range(3):
            buffer = await script.map_anon()
            script.thread(worker(script, 100 * seed + number, maps, buffer, ended), f"thread {number}")
        script.thread(cutter(script, seed, ended), "cutter")
        while len(ended) < 4:
            await script.sleep(10_000)
        await script.sleep(1_000_000)
        for _ in range(2):
            assert (await script.ask(FS, fs.Sync())).error == 0
        wrong = []
        for ino in PAGES:
            state = await script.ask(FS, fs.StatFile(ino))
            for index, pfn, has_buffers, tagged in state.cached:
                maps_of = await script.refs(pfn) - 1 - has_buffers
                # A read that looked at the size before it was cut leaves a page behind the end, clean and unmapped.
                beyond = index * PAGE_SIZE >= state.size
                wrong += [index] if tagged or maps_of not in ((0,) if beyond else (0, 1)) else []
        for ino in PAGES:
            await truncate(script, 0, ino)
        return wrong

    outcome = run(body, frames=40, seed=seed, shuffle=True, chunk_time=500, prepare=lambda _, ext4: found.append(ext4))
    assert outcome.result == []
    assert not outcome.of(PageBadCount)
    assert not outcome.of(KernelBug)
    assert not outcome.of(ContextLost)
    assert (found[0].space.free, found[0].space.reserved) == (BLOCKS, 0)
