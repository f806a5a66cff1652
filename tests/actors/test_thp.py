"""Transparent huge pages through messages: faults, zap, split of the leaf, collapse."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from gupsim.actors.rules.introduced import MadvCollapse
from gupsim.protocol import memmap, mm
from gupsim.protocol.thp import Collapsed
from tests.actors.anon_world import APP, MEMMAP, MM, PAGE_SIZE, Foll, Prot, Script, run

PAGES = 4
"""A huge page of these tests, with two address bits a level."""
SMALL: dict[str, Any] = {"bits": 2, "levels": 4}


async def huge(script: Script, pages: int = PAGES, value: int = 7) -> int:
    """Address of a mapping that a huge page maps."""
    address = await script.anon(pages, align=PAGES * PAGE_SIZE)
    assert await script.advise(address, pages, "hugepage") == 0
    await script.store(address, value)
    return address


async def seen(script: Script, address: int) -> mm.PagemapEntry:
    return await script.ask(MM, mm.ReadPagemap(APP, address))


async def vmstat(script: Script) -> dict[str, int]:
    return dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)


async def counts(script: Script, pfn: int) -> tuple[int, int]:
    read = await script.ask(MEMMAP, memmap.ReadCounts(pfn))
    return read.refs, read.maps


def test_the_first_touch_of_an_advised_range_maps_one_huge_page() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        at = await seen(script, address + PAGE_SIZE)
        stat = await vmstat(script)
        return at.huge, await counts(script, at.pfn), stat["nr_anon_pages"], await script.load(address)

    assert run(body, **SMALL)[0] == (PAGES, (1, 1), PAGES, (7, ""))


def test_without_advice_or_room_or_memory_pages_are_small() -> None:
    async def plain(script: Script) -> object:
        address = await script.anon(PAGES, align=PAGES * PAGE_SIZE)
        await script.store(address, 7)
        return (await seen(script, address)).huge

    async def short(script: Script) -> object:
        address = await huge(script, PAGES - 1)
        return (await seen(script, address)).huge

    async def full(script: Script) -> object:
        await script.ask(MEMMAP, memmap.AllocPages("test", 3))
        await script.ask(MEMMAP, memmap.AllocPages("test", 2))
        return (await seen(script, await huge(script))).huge

    assert [run(plain, **SMALL)[0], run(short, **SMALL)[0], run(full, frames=16, **SMALL)[0]] == [1, 1, 1]


def test_munmap_frees_the_huge_page_and_its_table() -> None:
    async def body(script: Script) -> object:
        before = (await vmstat(script))["nr_free_pages"]
        address = await huge(script)
        await script.ask(MM, mm.Munmap(APP, address, PAGES))
        after = await vmstat(script)
        return after["nr_free_pages"] - before, after["nr_anon_pages"]

    assert run(body, **SMALL)[0] == (0, 0)


def test_munmap_of_a_part_splits_the_leaf_and_not_the_folio() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        first = (await seen(script, address)).pfn
        pinned = await script.gup(address)
        await script.ask(MM, mm.Munmap(APP, address + 2 * PAGE_SIZE, 2))
        folio = await script.ask(MEMMAP, memmap.ReadFolio(first + 1))
        at = await seen(script, address)
        return tuple(pinned.pfns) == (first,), at.huge, at.pfn == first, folio.pages, await counts(script, first)

    assert run(body, **SMALL)[0] == (True, 1, True, PAGES, (3, 2))


def test_a_zapped_part_gets_new_frames_at_the_next_touch() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        first = (await seen(script, address)).pfn
        await script.ask(MM, mm.MadviseDontneed(APP, address + PAGE_SIZE, 1))
        loaded = await script.load(address + PAGE_SIZE)
        await script.store(address + PAGE_SIZE, 1)
        there = await seen(script, address + PAGE_SIZE)
        stat = await vmstat(script)
        return loaded, there.pfn != first + 1, await script.load(address), stat["nr_anon_pages"]

    assert run(body, **SMALL)[0] == ((0, ""), True, (7, ""), PAGES)


def test_mprotect_keeps_a_whole_leaf_and_splits_one_for_a_part() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.ask(MM, mm.Mprotect(APP, address, PAGES, Prot.READ))
        whole = (await seen(script, address)).huge, await script.store(address, 1), await script.load(address)
        await script.ask(MM, mm.Mprotect(APP, address, PAGES, Prot.READ | Prot.WRITE))
        again = await script.store(address, 2), (await seen(script, address)).huge
        await script.ask(MM, mm.Mprotect(APP, address, 1, Prot.READ))
        part = await script.store(address, 3), await script.store(address + PAGE_SIZE, 4)
        return whole, again, part, (await seen(script, address)).huge

    assert run(body, **SMALL)[0] == ((PAGES, "SIGSEGV", (7, "")), ("", PAGES), ("SIGSEGV", ""), 1)


@pytest.mark.parametrize("kernel", ["v4.20", "v5.12", "v5.19", "v6.12"])
def test_collapse_moves_small_pages_into_a_huge_one(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon(PAGES, align=PAGES * PAGE_SIZE)
        for number in range(PAGES - 1):
            await script.store(address + number * PAGE_SIZE, number + 1)
        error = await script.advise(address, PAGES, "collapse")
        at = await seen(script, address)
        loaded = [(await script.load(address + number * PAGE_SIZE))[0] for number in range(PAGES)]
        stat = await vmstat(script)
        used = stat["pgalloc_normal"] - stat["pgfree"]
        return error, at.huge, await counts(script, at.pfn), loaded, stat["nr_anon_pages"], used

    known = {"madv_collapse": MadvCollapse.PRESENT}
    assert run(body, kernel, **SMALL, **known)[0] == (0, PAGES, (1, 1), [1, 2, 3, 0], PAGES, PAGES)


def test_collapse_backs_off_from_a_pinned_page() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(PAGES, align=PAGES * PAGE_SIZE)
        for number in range(PAGES):
            await script.store(address + number * PAGE_SIZE, number + 1)
        pinned = (await script.gup(address + PAGE_SIZE)).pfns[0]
        error = await script.advise(address, PAGES, "collapse")
        at = await seen(script, address + PAGE_SIZE)
        await script.ask(MEMMAP, memmap.UnpinRefs(pinned, 1, "driver/t#1"))
        again = await script.advise(address, PAGES, "collapse")
        return error, at.huge, at.pfn == pinned, again, await script.load(address + PAGE_SIZE)

    result, points = run(body, **SMALL)
    assert result == (-errno.EAGAIN, 1, True, 0, (2, ""))
    assert [point.result for point in points if isinstance(point, Collapsed)] == ["page_count", "succeed"]


def test_a_collapsed_range_can_be_split_and_unmapped_again() -> None:
    async def body(script: Script) -> object:
        before = (await vmstat(script))["nr_free_pages"]
        address = await script.anon(2 * PAGES, align=PAGES * PAGE_SIZE)
        for number in range(2 * PAGES):
            await script.store(address + number * PAGE_SIZE, number + 1)
        error = await script.advise(address, 2 * PAGES, "collapse")
        await script.ask(MM, mm.MadviseDontneed(APP, address + PAGE_SIZE, 1))
        loaded = [(await script.load(address + number * PAGE_SIZE))[0] for number in range(2 * PAGES)]
        again = await script.advise(address, 2 * PAGES, "collapse")
        await script.ask(MM, mm.Munmap(APP, address, 2 * PAGES))
        after = await vmstat(script)
        return error, loaded, again, after["nr_free_pages"] - before, after["nr_anon_pages"]

    assert run(body, **SMALL)[0] == (0, [1, 0, 3, 4, 5, 6, 7, 8], 0, 0, 0)


def test_a_huge_page_that_a_device_pinned_is_written_in_place() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        first = (await seen(script, address)).pfn
        await script.gup(address, flags=Foll.WRITE | Foll.PIN | Foll.LONGTERM)
        await script.store(address + PAGE_SIZE, 5)
        at = await seen(script, address)
        return at.pfn == first, at.huge, await counts(script, first)

    assert run(body, **SMALL)[0] == (True, PAGES, (2, 1))
