"""get_user_pages beyond single small pages: huge leaves, platforms, bad ranges, registers, migration (B1, B2)."""

from __future__ import annotations

import errno

import pytest

from gupsim.actors.rules.faults import MigrateOrder
from gupsim.actors.rules.pins import FastGup, FastProtnone, PteRead, PteSpecial, SlowNumaFault
from gupsim.protocol import cpu, gup, memmap, mm
from gupsim.protocol.memmap import PageBadCount, PageGet
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.pagetable import EntryChanged
from tests.actors.anon_world import APP, CPU0, MEMMAP, MM, PAGE_SIZE, Foll, Prot, Script, run

HOLDER = "driver/t#1"
HUGE = 8
"""Pages of a huge page where a table decodes three bits."""


async def huge(script: Script, pages: int = HUGE) -> int:
    """Memory that is mapped by huge leaves."""
    address = await script.anon(pages, align=HUGE * PAGE_SIZE)
    await script.advise(address, pages, "hugepage")
    for at in range(address, address + pages * PAGE_SIZE, HUGE * PAGE_SIZE):
        await script.store(at, 1)
    return address


def gets(seen: list[Tracepoint]) -> list[int]:
    """Amounts of the references that the driver took."""
    return [point.amount for point in seen if isinstance(point, PageGet) and point.holder == HOLDER]


@pytest.mark.parametrize("kernel", ["v3.17", "v4.20", "v5.12", "v6.12"])
def test_the_fast_walk_takes_all_of_a_huge_leaf_that_is_asked_for_in_one_get(kernel: str) -> None:
    flags = Foll.GET | Foll.WRITE | Foll.FAST_ONLY

    async def body(script: Script) -> object:
        address = await huge(script, 2 * HUGE)
        return await script.gup(address + 6 * PAGE_SIZE, 4, flags, fast=True)

    result, seen = run(body, kernel, levels=3, bits=3)
    assert result.result == 4
    first, *_, last = result.pfns
    assert tuple(result.pfns) == (first, first + 1, last - 1, last)
    assert gets(seen) == [2, 2]


@pytest.mark.parametrize("fast", [False, True])
def test_a_pin_of_a_huge_page_is_counted_for_each_page_and_given_back_page_by_page(fast: bool) -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        pinned = await script.gup(address, HUGE, fast=fast)
        held = (await script.ask(MEMMAP, memmap.ReadCounts(pinned.pfns[0]))).refs
        for pfn in pinned.pfns:
            await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, HOLDER))
        left = (await script.ask(MEMMAP, memmap.ReadCounts(pinned.pfns[0]))).refs
        pinned_still = await script.ask(MEMMAP, memmap.MaybeDmaPinned(pinned.pfns[0], "test"))
        return pinned.pfns, held, left, pinned_still.yes

    result, seen = run(body, levels=3, bits=3)
    pfns, held, left, pinned_still = result
    assert tuple(pfns) == tuple(range(pfns[0], pfns[0] + HUGE))
    assert (held, left, pinned_still) == (1 + HUGE, 1, False)
    assert sum(point.amount for point in seen if isinstance(point, PageGet) and point.kind == "pin") == HUGE
    if not fast:
        assert gets(seen) == [1, HUGE - 1]  # the remaining pages of the leaf with one addition (B2, step 7)


def test_a_huge_leaf_that_may_not_be_written_is_not_taken_for_writing() -> None:
    async def body(script: Script) -> object:
        address = await huge(script)
        await script.ask(MM, mm.Mprotect(APP, address, HUGE, Prot.READ))
        write = await script.gup(address, 2, Foll.PIN | Foll.WRITE | Foll.FAST_ONLY, fast=True)
        read = await script.gup(address, 2, Foll.PIN | Foll.FAST_ONLY, fast=True)
        await script.ask(MM, mm.Mprotect(APP, address, HUGE, 0))
        none = await script.gup(address, 2, Foll.PIN | Foll.FAST_ONLY, fast=True)
        return write.result, read.result, none.result

    assert run(body, levels=3, bits=3)[0] == (0, 2, 0)


def test_without_a_special_bit_the_fast_walk_is_fast_on_huge_leaves_only() -> None:
    async def body(script: Script) -> object:
        flags = Foll.PIN | Foll.WRITE | Foll.FAST_ONLY
        small = await script.anon()
        await script.store(small, 1)
        return (await script.gup(small, 1, flags, fast=True)).result, (
            await script.gup(await huge(script), 2, flags, fast=True)
        ).result

    assert run(body, levels=3, bits=3, pte_special=PteSpecial.NO)[0] == (0, 2)


def test_a_platform_without_a_fast_walk_takes_the_slow_path() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2)
        only = await script.gup(address, 2, Foll.GET | Foll.WRITE | Foll.FAST_ONLY, fast=True)
        return only.result, (await script.gup(address, 2, Foll.GET | Foll.WRITE, fast=True)).result

    result, seen = run(body, "v3.17", fast_gup=FastGup.NONE)
    assert result == (0, 2)
    assert not any(point.__struct_config__.tag == "irq:off" for point in seen)


@pytest.mark.parametrize("read", list(PteRead))
def test_entries_of_two_words_mean_the_same_as_those_of_one(read: PteRead) -> None:
    async def body(script: Script) -> object:
        address = await script.anon(4)
        for page in range(4):
            await script.store(address + page * PAGE_SIZE, page + 1)
        await script.ask(MM, mm.MadviseDontneed(APP, address, 2))
        await script.store(address, 9)
        got = await script.gup(address, 4, Foll.PIN | Foll.WRITE | Foll.FAST_ONLY, fast=True)
        rest = await script.gup(address + 2 * PAGE_SIZE, 2, Foll.PIN | Foll.WRITE | Foll.FAST_ONLY, fast=True)
        return got.result, tuple(rest.pfns), await script.load(address), await script.load(address + 3 * PAGE_SIZE)

    assert run(body, pte_read=read)[0] == (1, (3, 4), (9, ""), (4, ""))


@pytest.mark.parametrize(
    ("kernel", "negative", "overflow", "kernel_address", "fast_only"),
    [
        ("v3.17", 0, -errno.EFAULT, -errno.EFAULT, 0),
        ("v4.20", 0, -errno.EFAULT, -errno.EFAULT, 0),
        ("v5.6", 0, 0, -errno.EFAULT, 0),
        ("v5.12", 0, 0, -errno.EFAULT, 0),
        ("v6.12", -errno.EOVERFLOW, -errno.EOVERFLOW, -errno.EFAULT, -errno.EFAULT),
    ],
)
def test_what_an_impossible_range_gives(
    kernel: str, negative: int, overflow: int, kernel_address: int, fast_only: int
) -> None:
    high = (1 << 64) - 2 * PAGE_SIZE

    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        results = []
        for at, nr, more in ((address, -1, 0), (high, 3, 0), (high, 1, 0), (high, 1, Foll.FAST_ONLY)):
            flags = Foll.GET | Foll.WRITE | more
            results.append((await script.ask(CPU0, cpu.GetUserPagesFast(APP, at, nr, flags, HOLDER))).result)
        return tuple(results)

    assert run(body, kernel)[0] == (negative, overflow, kernel_address, fast_only)


def test_who_is_being_killed_does_not_wait_for_the_mmap_lock() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(8)
        for page in range(8):
            await script.store(address + page * PAGE_SIZE, 1)
        await script.ask(MM, mm.KillPending(APP))
        results: list[int] = []

        async def gup_meanwhile() -> None:
            await script.sleep(150)
            results.append((await script.gup(address)).result)

        script.start(gup_meanwhile(), "other")
        await script.ask(MM, mm.Munmap(APP, address, 8))
        return results

    assert run(body)[0] == [-errno.EAGAIN]


@pytest.mark.parametrize("kernel", ["v5.12", "v6.12"])
def test_the_form_of_a_walk_belongs_to_the_call_not_to_its_flags(kernel: str) -> None:
    async def body(script: Script) -> object:
        return (await script.gup(await script.anon(), flags=Foll.PIN | Foll.FAST_ONLY)).result

    assert run(body, kernel)[0] == -errno.EINVAL


@pytest.mark.parametrize(("follow", "faults"), [(SlowNumaFault.FAULT, True), (SlowNumaFault.FOLLOW, False)])
def test_a_numa_hinting_entry_faults_or_is_followed(follow: SlowNumaFault, faults: bool) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        await script.gup(address, flags=Foll.GET)
        moved = await script.ask(MM, gup.MovePage(APP, address))  # fails, and leaves the hint behind
        fast = await script.gup(address, flags=Foll.GET | Foll.FAST_ONLY, fast=True)
        return moved.error, fast.result, (await script.gup(address, flags=Foll.GET)).result

    result, seen = run(body, migrate_order=MigrateOrder.HINTED, slow_numa_fault=follow)
    assert result == (-errno.EAGAIN, 0, 1)
    assert any(isinstance(point, EntryChanged) and point.why == "do_numa_page" for point in seen) is faults


def test_a_fast_walk_that_ignores_numa_hints_takes_the_page() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        await script.gup(address, flags=Foll.GET)
        await script.ask(MM, gup.MovePage(APP, address))
        return (await script.gup(address, flags=Foll.GET | Foll.FAST_ONLY, fast=True)).result

    rules = {"migrate_order": MigrateOrder.HINTED, "fast_protnone": FastProtnone.IGNORED}
    assert run(body, **rules)[0] == 1


@pytest.mark.parametrize("order", list(MigrateOrder))
@pytest.mark.parametrize("kernel", ["v3.17", "v5.12", "v6.12"])
def test_a_page_moves_with_its_content_unless_somebody_has_a_reference(kernel: str, order: MigrateOrder) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        nothing = (await script.ask(MM, gup.MovePage(APP, address))).error
        await script.store(address, 7)
        before = (await script.ask(MM, mm.ReadPagemap(APP, address))).pfn
        moved = (await script.ask(MM, gup.MovePage(APP, address))).error
        after = (await script.ask(MM, mm.ReadPagemap(APP, address))).pfn
        counts = await script.ask(MEMMAP, memmap.ReadCounts(after))
        seen = await script.load(address)
        await script.store(address, 8)
        await script.gup(address, flags=Foll.GET | Foll.WRITE)
        refused = (await script.ask(MM, gup.MovePage(APP, address))).error
        return nothing, moved, before != after, (counts.refs, counts.maps), seen, refused, await script.load(address)

    expected = (-errno.ENOENT, 0, True, (1, 1), (7, ""), -errno.EAGAIN, (8, ""))
    result, points = run(body, kernel, migrate_order=order)
    assert result == expected
    assert not [point for point in points if isinstance(point, PageBadCount)]


def test_registers_of_a_device_are_refused_by_both_walks() -> None:
    async def body(script: Script) -> object:
        mapped = await script.ask(MM, gup.MapDevice(APP, 2, "driver/gpu", registers=True))
        slow = await script.gup(mapped.address)
        fast = await script.gup(mapped.address, fast=True)
        stored = await script.store(mapped.address, 1)
        await script.ask(MM, mm.Munmap(APP, mapped.address, 2))
        return slow.result, fast.result, stored

    result, seen = run(body)
    assert result == (-errno.EFAULT, -errno.EFAULT, "")
    assert not gets(seen)


def test_a_fast_walk_that_cannot_see_what_is_special_takes_a_reference_on_registers() -> None:
    async def body(script: Script) -> object:
        mapped = await script.ask(MM, gup.MapDevice(APP, 1, "driver/gpu", registers=True))
        return (await script.gup(mapped.address, fast=True)).result

    result, seen = run(body, pte_special=PteSpecial.IGNORED)
    assert result == 1
    assert [point.result for point in seen if isinstance(point, PagesPinned)] == [1]


@pytest.mark.parametrize(("kernel", "stays"), [("v4.20", False), ("v5.19", False), ("v6.1", False), ("v6.12", True)])
@pytest.mark.parametrize("fast", [False, True])
def test_a_long_read_pin_of_untouched_memory_stays_in_place_since_6_2(kernel: str, stays: bool, fast: bool) -> None:
    flags = Foll.LONGTERM | (Foll.GET if kernel == "v4.20" else Foll.PIN)

    async def body(script: Script) -> object:
        address = await script.anon()
        await script.load(address)
        pinned = (await script.gup(address, flags=flags, fast=fast)).pfns
        await script.store(address, 1)
        return tuple(pinned) == ((await script.ask(MM, mm.ReadPagemap(APP, address))).pfn,)

    assert run(body, kernel)[0] is stays
