"""fork of huge leaves: shared as a whole, or split and copied page by page if one may be pinned (B8)."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gupsim.actors.rules import ERAS
from gupsim.protocol import memmap, mm
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.pagetable import EntryChanged
from tests.actors.anon_world import APP, MEMMAP, MM, Script, run
from tests.actors.test_fork import COPYING, KID, SHARING, fork, free_pages, kid_load, kid_store

BITS = 2
HUGE = 1 << BITS


def play(body: Callable[[Script], Awaitable[Any]], kernel: str = "v6.12", frames: int = 64) -> Any:
    return run(body, kernel, frames=frames, bits=BITS)[0]


async def thp(script: Script) -> int:
    """A huge page of which every page has its number in it."""
    address = await script.anon(HUGE, align=HUGE * PAGE_SIZE)
    await script.advise(address, HUGE, "hugepage")
    for number in range(HUGE):
        await script.store(address + number * PAGE_SIZE, number + 1)
    return address


async def place(script: Script, address: int, of: str = APP) -> tuple[int, int]:
    """Frame, and pages of the leaf that maps it."""
    seen = await script.ask(MM, mm.ReadPagemap(of, address))
    return seen.pfn, seen.huge


@pytest.mark.parametrize("kernel", list(ERAS))
def test_an_unpinned_huge_leaf_is_shared_as_a_whole(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await thp(script)
        before = await place(script, address)
        await fork(script)
        after = await place(script, address), await place(script, address, KID)
        counts = await script.ask(MEMMAP, memmap.ReadCounts(before[0]))
        return before[1], after == (before, before), (counts.refs, counts.maps)

    assert play(body, kernel) == (HUGE, True, (2, 2))


@pytest.mark.parametrize("kernel", list(ERAS))
def test_a_write_to_a_shared_huge_page_stays_with_the_writer(kernel: str) -> None:
    async def body(script: Script) -> object:
        before = await free_pages(script)
        address = await thp(script)
        await fork(script)
        await script.store(address + PAGE_SIZE, 7)
        await kid_store(script, address + 2 * PAGE_SIZE, 8)
        mine = [(await script.load(address + number * PAGE_SIZE))[0] for number in range(HUGE)]
        its = [(await kid_load(script, address + number * PAGE_SIZE))[0] for number in range(HUGE)]
        for name in (APP, KID):
            await script.ask(MM, mm.ExitMm(name))
        return mine, its, before - await free_pages(script)

    assert play(body, kernel) == ([1, 7, 3, 4], [1, 2, 8, 4], 0)


@pytest.mark.parametrize("kernel", COPYING)
def test_one_pinned_page_splits_the_leaf_and_every_page_is_copied(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await thp(script)
        pinned = (await script.gup(address + PAGE_SIZE)).pfns[0]
        await fork(script)
        frames = [await place(script, address + number * PAGE_SIZE) for number in range(HUGE)]
        child = [(await place(script, address + number * PAGE_SIZE, KID))[0] for number in range(HUGE)]
        await script.store(address + PAGE_SIZE, 9)
        kept = (await place(script, address + PAGE_SIZE))[0] == pinned
        loads = [(await kid_load(script, address + number * PAGE_SIZE))[0] for number in range(HUGE)]
        shared = {frame for frame, _ in frames} & set(child)
        return [huge for _, huge in frames], shared, kept, loads

    assert play(body, kernel) == ([1] * HUGE, set(), True, [1, 2, 3, 4])


@pytest.mark.parametrize("kernel", SHARING)
def test_before_5_9_a_pinned_huge_page_is_shared(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await thp(script)
        pinned = (await script.gup(address, flags=mm.Foll.GET | mm.Foll.WRITE)).pfns[0]
        await fork(script)
        return (await place(script, address, KID)) == (pinned, HUGE)

    assert play(body, kernel) is True


def test_a_fork_that_runs_out_of_memory_within_a_huge_page_leaves_nothing_behind() -> None:
    async def body(script: Script) -> object:
        address = await thp(script)
        await script.gup(address, 1)
        before = await free_pages(script)
        error = await fork(script)
        loads = [(await script.load(address + number * PAGE_SIZE))[0] for number in range(HUGE)]
        return error, before - await free_pages(script), loads

    assert play(body, frames=8) == (-errno.ENOMEM, 0, [1, 2, 3, 4])


def test_the_leaf_is_split_before_anything_is_copied() -> None:
    async def body(script: Script) -> object:
        address = await thp(script)
        await script.gup(address, 1)
        return await fork(script)

    seen = run(body, bits=BITS)[1]
    why = [point.why for point in seen if isinstance(point, EntryChanged)]
    assert why.index("split_huge_pmd") < why.index("fork")
