"""What programs saw of huge pages on real kernels (6.1, 6.12, 6.18), with huge pages of 512 pages as there."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from gupsim.protocol import memmap, memory, mm, thp
from tests.actors.anon_world import APP, MEMMAP, MM, PAGE_SIZE, Foll, Script, run

HUGE = 512
KERNELS = ("v6.1.192", "v6.12", "v6.18")
REAL: dict[str, Any] = {"bits": 9, "levels": 4, "frames": 4 * HUGE, "events": 2_000_000}
LONGTERM = Foll.WRITE | Foll.PIN | Foll.LONGTERM


async def seen(script: Script, address: int, page: int = 0) -> mm.PagemapEntry:
    return await script.ask(MM, mm.ReadPagemap(APP, address + page * PAGE_SIZE))


async def region(script: Script, pages: int = HUGE) -> int:
    return await script.anon(pages, align=HUGE * PAGE_SIZE)


async def huge(script: Script) -> int:
    address = await region(script)
    await script.advise(address, HUGE, "hugepage")
    await script.store(address, 1)
    assert (await seen(script, address)).huge == HUGE
    return address


async def small(script: Script, pages: int = HUGE) -> int:
    address = await region(script, pages)
    await script.advise(address, pages, "nohugepage")
    for page in range(pages):
        await script.store(address + page * PAGE_SIZE, 1)
    await script.advise(address, pages, "hugepage")
    return address


async def device_writes(script: Script, pfn: int, value: int) -> None:
    await script.ask("h0/memory", memory.WriteMemory(pfn, 0, bytes([value]) * 8, "dma/t"))


async def device_reads(script: Script, pfn: int) -> int:
    return (await script.ask("h0/memory", memory.ReadMemory(pfn, 0, 1, "dma/t"))).data[0]


async def pins(script: Script) -> tuple[int, int]:
    stat = dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)
    return stat["nr_foll_pin_acquired"], stat["nr_foll_pin_released"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_munmap_of_a_half_splits_the_mapping_of_a_page_pinned_in_the_other(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        (pfn,) = (await script.gup(address, flags=LONGTERM)).pfns
        status = await script.ask(MM, mm.Munmap(APP, address + HUGE // 2 * PAGE_SIZE, HUGE // 2))
        at = await seen(script, address)
        folio = await script.ask(MEMMAP, memmap.ReadFolio(pfn))
        await device_writes(script, pfn, 9)
        loaded = await script.load(address)
        await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/t#1"))
        return status.error, at.huge, at.pfn == pfn, folio.pages, loaded, await pins(script)

    assert run(body, kernel, **REAL)[0] == (0, 1, True, HUGE, (9, ""), (1, 1))


@pytest.mark.parametrize("kernel", KERNELS)
def test_zapped_sub_pages_get_new_frames_and_the_rest_stays_coherent(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        pfns = (await script.gup(address, HUGE, flags=LONGTERM)).pfns
        status = await script.ask(MM, mm.MadviseDontneed(APP, address, 2))
        await script.store(address, 3)
        zapped, other = await seen(script, address), await seen(script, address, 7)
        await device_writes(script, pfns[7], 9)
        old = await device_reads(script, pfns[0])
        loaded = await script.load(address + 7 * PAGE_SIZE)
        await script.ask(MEMMAP, memmap.UnpinRefs(pfns[0], HUGE, "driver/t#1"))
        return status.error, zapped.pfn != pfns[0], other.pfn == pfns[7], old, loaded, await pins(script)

    assert run(body, kernel, **REAL)[0] == (0, True, True, 1, (9, ""), (HUGE, HUGE))


@pytest.mark.parametrize("kernel", KERNELS)
def test_madv_collapse_backs_off_from_one_pinned_page_and_succeeds_without_it(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await small(script)
        page = address + 100 * PAGE_SIZE
        (pfn,) = (await script.gup(page, flags=LONGTERM)).pfns
        refused = await script.advise(address, HUGE, "collapse")
        at = await seen(script, page)
        await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/t#1"))
        done = await script.advise(address, HUGE, "collapse")
        return refused, at.huge, at.pfn == pfn, done, (await seen(script, page)).huge, await script.load(page)

    assert run(body, kernel, **REAL)[0] == (-errno.EAGAIN, 1, True, 0, HUGE, (1, ""))


def test_khugepaged_skips_the_region_with_a_pinned_page_and_takes_the_other() -> None:
    async def body(script: Script) -> object:
        address = await small(script, 2 * HUGE)
        (pfn,) = (await script.gup(address, flags=LONGTERM)).pfns
        results = [(await script.ask("h0/khugepaged", thp.ScanNext())).error for _ in range(2)]
        one, two = await seen(script, address), await seen(script, address, HUGE)
        return results, one.huge, one.pfn == pfn, two.huge

    assert run(body, **REAL)[0] == ([-errno.EAGAIN, 0], 1, True, HUGE)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_pin_on_one_sub_page_protects_the_whole_huge_page_from_pageout(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        (pfn,) = (await script.gup(address + 9 * PAGE_SIZE, flags=LONGTERM)).pfns
        error = await script.advise(address, HUGE, "pageout")
        pinned, other = await seen(script, address, 9), await seen(script, address, 300)
        return error, pinned.huge, pinned.pfn == pfn, other.state

    assert run(body, kernel, **REAL)[0] == (0, HUGE, True, "present")


def test_pageout_of_an_unpinned_huge_page_splits_it() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        first = (await seen(script, address)).pfn
        await script.advise(address, HUGE, "pageout")
        folio = await script.ask(MEMMAP, memmap.ReadFolio(first + 3))
        await script.store(address + 3 * PAGE_SIZE, 4)
        at = await seen(script, address, 3)
        counts = await script.ask(MEMMAP, memmap.ReadCounts(first + 3))
        return folio.pages, at.pfn == first + 3, (counts.refs, counts.maps), await script.load(address)

    assert run(body, **REAL)[0] == (1, True, (1, 1), (1, ""))
