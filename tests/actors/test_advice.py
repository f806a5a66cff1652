"""madvise: MADV_FREE and MADV_PAGEOUT as programs saw them, what does not fit is refused."""

from __future__ import annotations

import errno

from gupsim.protocol import memmap, mm
from tests.actors.anon_world import APP, MEMMAP, MM, PAGE_SIZE, Foll, Prot, Script, run


async def seen(script: Script, address: int) -> mm.PagemapEntry:
    return await script.ask(MM, mm.ReadPagemap(APP, address))


def test_a_freed_page_is_dropped_by_reclaim_and_reads_as_zero() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 7)
        advised = await script.advise(address, 1, "free"), await script.load(address)
        await script.advise(address, 1, "pageout")
        return advised, (await seen(script, address)).state, await script.load(address)

    assert run(body)[0] == ((0, (7, "")), "none", (0, ""))


def test_a_freed_page_that_is_written_again_is_kept() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 7)
        await script.advise(address, 1, "free")
        await script.store(address, 8)
        await script.advise(address, 1, "pageout")
        return (await seen(script, address)).state, await script.load(address)

    assert run(body)[0] == ("present", (8, ""))


def test_a_freed_page_that_a_device_has_is_kept() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 7)
        (pfn,) = (await script.gup(address, flags=Foll.PIN)).pfns
        await script.advise(address, 1, "free")
        await script.advise(address, 1, "pageout")
        kept = (await seen(script, address)).pfn == pfn
        await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/t#1"))
        return kept, await script.load(address)

    assert run(body)[0] == (True, (7, ""))


def test_advice_that_does_not_fit_is_refused() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2, prot=Prot.READ)
        return [
            await script.advise(address, 1, "populate_write"),
            await script.advise(address + PAGE_SIZE, 2, "hugepage"),
            await script.advise(address, 2, "collapse"),
            await script.advise(address, 2, "nonsense"),
        ]

    assert run(body)[0] == [-errno.EINVAL, -errno.ENOMEM, -errno.EINVAL, -errno.EINVAL]


def test_populate_fills_the_range() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(3)
        error = await script.advise(address, 2, "populate_write")
        return error, [(await seen(script, address + page * PAGE_SIZE)).state for page in range(3)]

    assert run(body)[0] == (0, ["present", "present", "none"])


def test_what_lies_before_or_around_a_hole_is_done_and_the_hole_is_an_error_afterwards() -> None:
    """do_mprotect_pkey() stops at the first hole, madvise_walk_vmas() goes on behind it."""

    async def body(script: Script) -> object:
        first, second = await script.anon(3), await script.anon(3)
        for address in (first, second):
            for page in range(3):
                await script.store(address + page * PAGE_SIZE, 1)
            await script.ask(MM, mm.Munmap(APP, address + PAGE_SIZE, 1))
        protected = await script.ask(MM, mm.Mprotect(APP, first, 3, Prot.READ))
        zapped = await script.ask(MM, mm.MadviseDontneed(APP, second, 3))
        stored = [(await script.store(first + page * PAGE_SIZE, 7)) for page in (0, 2)]
        left = [(await seen(script, second + page * PAGE_SIZE)).state for page in (0, 2)]
        return protected.error, zapped.error, stored, left

    assert run(body)[0] == (-errno.ENOMEM, -errno.ENOMEM, ["SIGSEGV", ""], ["none", "none"])
