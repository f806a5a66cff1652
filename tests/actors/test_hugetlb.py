"""hugetlb: pools, promises, faults, the write that reuses too much, and fork with an empty pool (B8)."""

from __future__ import annotations

import errno

import pytest

from gupsim.actors.rules import ERAS
from gupsim.protocol import memmap, mm
from gupsim.protocol.hugetlb import PunchHuge
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll, Prot
from tests.actors.anon_world import APP, MEMMAP, MM, Script, run
from tests.actors.test_fork import KID, fork, kid_load, kid_store

BITS = 2
PMD, PUD = BITS, 2 * BITS
HUGE = 1 << PMD
"""Pages of the smaller huge page of these tests."""
RW = Prot.READ | Prot.WRITE
RECORDED = ("v6.1.192", "v6.12", "v6.18")


def play(body: object, kernel: str = "v6.12", pages: int = 4, order: int = PMD, frames: int = 128) -> object:
    return run(body, kernel, frames=frames, levels=4, bits=BITS, hugepages=((order, pages),))[0]  # type: ignore[arg-type]


async def huge(
    script: Script, pages: int = HUGE, *, order: int = PMD, shared: bool = False, ino: int = 0, of: str = APP
) -> int:
    return (await script.ask(MM, mm.Mmap(of, pages, RW, shared, hugetlb=order, ino=ino))).address


async def place(script: Script, address: int, of: str = APP) -> tuple[int, int]:
    """Frame, and pages of the leaf that maps it."""
    seen = await script.ask(MM, mm.ReadPagemap(of, address))
    return seen.pfn, seen.huge


async def unmap(script: Script, address: int, pages: int = HUGE, of: str = APP) -> int:
    return (await script.ask(MM, mm.Munmap(of, address, pages))).error


@pytest.mark.parametrize(("order", "pages"), [(PMD, 4), (PUD, 16)])
def test_a_huge_page_is_one_leaf_and_reads_as_zero(order: int, pages: int) -> None:
    async def body(script: Script) -> object:
        address = await huge(script, pages, order=order)
        first = await script.load(address + PAGE_SIZE)
        await script.store(address + (pages - 1) * PAGE_SIZE, 7)
        head, mapped = await place(script, address)
        last, _ = await place(script, address + (pages - 1) * PAGE_SIZE)
        return first, mapped, last - head, address % (pages * PAGE_SIZE), await script.load(address + PAGE_SIZE)

    assert play(body, pages=2, order=order) == ((0, ""), pages, pages - 1, 0, (0, ""))


def test_mmap_is_refused_when_the_pool_cannot_promise_all_of_it() -> None:
    async def body(script: Script) -> object:
        first = await huge(script, 3 * HUGE)
        second = await huge(script, 2 * HUGE)
        last = await huge(script, HUGE)
        await unmap(script, first, 3 * HUGE)
        return second, last > 0, await huge(script, 3 * HUGE) > 0

    assert play(body) == (-errno.ENOMEM, True, True)


def test_what_is_no_huge_page_is_refused_or_rounded_up() -> None:
    async def body(script: Script) -> object:
        rounded = await huge(script, 1)
        file = await huge(script, HUGE + 1, ino=5, shared=True)
        odd = await huge(script, HUGE, order=PMD + 1)
        return await script.store(rounded + (HUGE - 1) * PAGE_SIZE, 1), file, odd

    assert play(body) == ("", -errno.EINVAL, -errno.EINVAL)


def test_munmap_mprotect_and_dontneed_take_whole_huge_pages_only() -> None:
    async def body(script: Script) -> object:
        address = await huge(script, 2 * HUGE)
        await script.store(address, 1)
        await script.store(address + HUGE * PAGE_SIZE, 2)
        half = await unmap(script, address, HUGE // 2)
        advised = (await script.ask(MM, mm.MadviseDontneed(APP, address + PAGE_SIZE, HUGE))).error
        # One and a half of them: the end is rounded down.
        rounded = (await script.ask(MM, mm.MadviseDontneed(APP, address, HUGE + HUGE // 2))).error
        loads = [await script.load(address), await script.load(address + HUGE * PAGE_SIZE)]
        whole = await unmap(script, address)
        return half, advised, rounded, loads, whole, await script.load(address)

    expected = (-errno.EINVAL, -errno.EINVAL, 0, [(0, ""), (2, "")], 0, (-1, "SIGSEGV"))
    assert play(body) == expected


def test_a_huge_page_made_inaccessible_keeps_its_content_and_can_be_written_again() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address, 5)
        before = await place(script, address)
        half = (await script.ask(MM, mm.Mprotect(APP, address, HUGE // 2, Prot.READ))).error
        await script.ask(MM, mm.Mprotect(APP, address, HUGE, 0))
        hidden = await script.load(address)
        await script.ask(MM, mm.Mprotect(APP, address, HUGE, RW))
        seen = await script.load(address)
        stored = await script.store(address, 6)
        return half, hidden, seen, stored, await place(script, address) == before

    assert play(body) == (-errno.EINVAL, (-1, "SIGSEGV"), (5, ""), "", True)


def test_a_pinned_huge_page_outlives_its_mapping_and_then_returns_to_the_pool() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        pinned = await script.gup(address, HUGE)
        await unmap(script, address)
        refused = await huge(script)
        await script.ask(MEMMAP, memmap.UnpinRefs(pinned.pfns[0], HUGE, "driver/t#1"))
        again = await huge(script)
        await script.load(again)
        return pinned.result, refused, (await place(script, again))[0] == pinned.pfns[0]

    assert play(body, pages=1) == (HUGE, -errno.ENOMEM, True)


@pytest.mark.parametrize("fast", [False, True])
def test_pins_of_a_huge_page_count_its_pages(fast: bool) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address, 1)
        pinned = await script.gup(address + PAGE_SIZE, HUGE - 1, fast=fast)
        seen = await script.ask(MEMMAP, memmap.ReadCounts(pinned.pfns[0]))
        vmstat = dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)
        return pinned.result, seen, vmstat["nr_foll_pin_acquired"]

    assert play(body) == (HUGE - 1, memmap.Counts(refs=HUGE, maps=1), HUGE - 1)


def test_a_long_term_write_pin_of_a_file_of_huge_pages_is_for_the_fast_walk() -> None:
    async def body(script: Script) -> object:
        address = await huge(script, shared=True, ino=3)
        await script.store(address, 1)
        flags = Foll.PIN | Foll.WRITE | Foll.LONGTERM
        pinned = await script.gup(address, HUGE, flags, fast=True)
        vmstat = dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)
        return pinned.result, vmstat["nr_foll_pin_acquired"]

    assert play(body) == (HUGE, HUGE)


def test_a_shared_mapping_is_one_page_for_all_and_lives_as_long_as_somebody_maps_it() -> None:
    async def body(script: Script) -> object:
        address = await huge(script, shared=True)
        await script.store(address, 1)
        await fork(script)
        seen = [await kid_load(script, address)]
        await kid_store(script, address, 2)
        seen.append(await script.load(address))
        await unmap(script, address)
        refused = await huge(script)
        await script.ask(MM, mm.ExitMm(KID))
        return seen, refused, await huge(script) > 0

    assert play(body, pages=1) == ([(1, ""), (2, "")], -errno.ENOMEM, True)


def test_a_file_keeps_its_pages_until_they_are_punched_out() -> None:
    async def body(script: Script) -> object:
        first = await huge(script, shared=True, ino=7)
        await script.store(first, 3)
        await unmap(script, first)
        second = await huge(script, shared=True, ino=7)
        kept = await script.load(second)
        await script.ask(MM, PunchHuge(7, 0, HUGE))
        signal = await script.load(second)
        await unmap(script, second)
        await script.ask(MM, PunchHuge(7, 0, HUGE))
        return kept, signal, await huge(script) > 0

    assert play(body, pages=1) == ((3, ""), (0, ""), True)


def test_a_private_mapping_of_a_file_copies_at_its_first_write() -> None:
    async def body(script: Script) -> object:
        file = await huge(script, shared=True, ino=7)
        await script.store(file, 3)
        private = await huge(script, ino=7)
        before = await script.load(private)
        await script.store(private, 4)
        return before, await script.load(private), await script.load(file)

    assert play(body) == ((3, ""), (4, ""), (3, ""))


@pytest.mark.parametrize("kernel", list(ERAS))
def test_an_unpinned_huge_page_is_shared_and_copied_by_the_first_writer(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address + PAGE_SIZE, 1)
        shared = await place(script, address)
        await fork(script)
        same = await place(script, address, KID) == shared
        await kid_store(script, address, 2)
        moved = await place(script, address, KID) != shared
        await script.store(address, 3)
        loads = await kid_load(script, address), await kid_load(script, address + PAGE_SIZE)
        return same, moved, await place(script, address) == shared, loads

    assert play(body, kernel) == (True, True, True, ((2, ""), (1, "")))


@pytest.mark.parametrize("kernel", [*RECORDED, "v5.12", "v5.19"])
def test_fork_copies_a_pinned_huge_page_at_once(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address, 1)
        pinned = (await script.gup(address, HUGE)).pfns[0]
        await fork(script)
        copied = (await place(script, address, KID))[0] != pinned
        await script.store(address, 2)
        return copied, (await place(script, address))[0] == pinned, await kid_load(script, address)

    assert play(body, kernel) == (True, True, (1, ""))


@pytest.mark.parametrize("kernel", RECORDED)
def test_without_a_huge_page_for_the_copy_fork_fails_and_succeeds_after_the_unpin(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address, 1)
        pinned = await script.gup(address, 1)
        refused = await fork(script)
        await script.ask(MEMMAP, memmap.UnpinRefs(pinned.pfns[0], 1, "driver/t#1"))
        return refused, await fork(script), await kid_load(script, address)

    assert play(body, kernel, pages=1) == (-errno.ENOMEM, 0, (1, ""))


def test_a_page_that_is_promised_to_the_parent_is_not_for_the_copy() -> None:
    async def body(script: Script) -> object:
        address = await huge(script, 2 * HUGE)
        await script.gup(address, 1)
        return await fork(script)

    assert play(body, pages=2) == -errno.ENOMEM


def test_with_an_empty_pool_the_writing_parent_takes_the_page_from_its_child() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address, 1)
        await fork(script)
        stored = await script.store(address, 2)
        return stored, await script.load(address), await kid_load(script, address)

    assert play(body, pages=1) == ("", (2, ""), (-1, "SIGBUS"))


def test_with_an_empty_pool_the_writing_child_gets_sigbus() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address, 1)
        await fork(script)
        return await kid_store(script, address, 2), await script.load(address)

    assert play(body, pages=1) == ("SIGBUS", (1, ""))


@pytest.mark.parametrize("kernel", list(ERAS))
def test_the_hole_of_b8_a_plain_reference_of_the_child_sees_the_parents_later_writes(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.store(address, 1)
        shared = (await place(script, address))[0]
        await fork(script)
        held = await script.ask(MM, mm.GetUserPages(KID, address, 1, Foll.GET, "pipe/1"))
        await unmap(script, address, of=KID)
        await script.store(address, 2)
        return held.pfns, (await place(script, address))[0] == shared

    pfns, reused = play(body, kernel)  # type: ignore[misc]
    assert reused
    assert len(pfns) == 1


def test_when_everybody_is_gone_the_pool_is_full_again() -> None:
    async def body(script: Script) -> object:
        address = await huge(script, 2 * HUGE)
        shared = await huge(script, HUGE, shared=True)
        await script.store(address, 1)
        await script.store(shared, 1)
        await fork(script)
        await kid_store(script, address, 2)
        await script.ask(MM, mm.ExitMm(APP))
        await script.ask(MM, mm.ExitMm(KID))
        await script.ask(MM, mm.ActivateMm(APP, "h0/cpu/0"))
        return await huge(script, 4 * HUGE) > 0

    assert play(body) is True
