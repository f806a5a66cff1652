"""The MM core through its messages: faults, mappings, slow GUP."""

from __future__ import annotations

import errno

import pytest

from gupsim.actors.rules import ERAS
from gupsim.protocol import memmap, mm
from gupsim.protocol.kernel import KernelWarning
from gupsim.protocol.pages import Pages
from tests.actors.anon_world import APP, MEMMAP, MM, PAGE_SIZE, Foll, Prot, Script, run


async def refs(script: Script, pfn: int) -> int:
    return (await script.ask(MEMMAP, memmap.ReadCounts(pfn))).refs


async def vmstat(script: Script) -> dict[str, int]:
    return dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_a_store_is_read_back_whatever_the_number_of_page_table_levels(levels: int) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        return await script.store(address, 7), await script.load(address)

    assert run(body, levels=levels)[0] == ("", (7, ""))


def test_untouched_memory_reads_as_zero_and_takes_no_frame() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(3)
        loaded = await script.load(address + PAGE_SIZE)
        return loaded, (await vmstat(script))["pgalloc_normal"]

    assert run(body)[0] == ((0, ""), 0)


def test_a_write_after_a_read_replaces_the_zero_page() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.load(address)
        await script.store(address, 9)
        return await script.load(address), (await vmstat(script))["pgalloc_normal"]

    assert run(body)[0] == ((9, ""), 1)


def test_an_access_beyond_the_mapping_is_a_segmentation_fault() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2)
        return await script.store(address + 2 * PAGE_SIZE, 1), await script.load(0)

    assert run(body)[0] == ("SIGSEGV", (-1, "SIGSEGV"))


def test_a_read_only_mapping_refuses_stores_until_mprotect_allows_them() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(prot=Prot.READ)
        refused = await script.store(address, 1)
        await script.ask(MM, mm.Mprotect(APP, address, 1, Prot.READ | Prot.WRITE))
        allowed = await script.store(address, 2)
        await script.ask(MM, mm.Mprotect(APP, address, 1, Prot.READ))
        return refused, allowed, await script.store(address, 3), await script.load(address)

    assert run(body)[0] == ("SIGSEGV", "", "SIGSEGV", (2, ""))


def test_a_page_made_inaccessible_keeps_its_content() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 5)
        await script.ask(MM, mm.Mprotect(APP, address, 1, 0))
        hidden = await script.load(address)
        await script.ask(MM, mm.Mprotect(APP, address, 1, Prot.READ))
        return hidden, await script.load(address)

    assert run(body)[0] == ((-1, "SIGSEGV"), (5, ""))


def test_munmap_frees_the_frames_and_no_stale_translation_survives_it() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2)
        await script.store(address, 1)
        await script.store(address + PAGE_SIZE, 2)
        before = (await vmstat(script))["nr_free_pages"]
        await script.ask(MM, mm.Munmap(APP, address, 1))
        after = (await vmstat(script))["nr_free_pages"]
        return after - before, await script.store(address, 3), await script.load(address + PAGE_SIZE)

    assert run(body)[0] == (1, "SIGSEGV", (2, ""))


def test_dontneed_gives_zeroes_back() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 8)
        await script.ask(MM, mm.MadviseDontneed(APP, address, 1))
        return await script.load(address)

    assert run(body)[0] == (0, "")


def test_exit_frees_everything() -> None:
    async def body(script: Script) -> object:
        before = (await vmstat(script))["nr_free_pages"]
        address = await script.anon(4)
        for page in range(4):
            await script.store(address + page * PAGE_SIZE, page + 1)
        await script.ask(MM, mm.ExitMm(APP))
        return (await vmstat(script))["nr_free_pages"] - before

    assert run(body)[0] == 0


def test_a_pin_past_the_end_of_a_mapping_is_short_and_one_beyond_it_is_efault() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2)
        short = await script.gup(address, 5)
        beyond = await script.gup(address + 2 * PAGE_SIZE, 1)
        nothing = await script.gup(address, 0)
        return short.result, len(short.pfns), beyond, nothing.result

    assert run(body)[0] == (2, 2, mm.UserPages(-errno.EFAULT), 0)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("kernel", "expected"), [("v5.6", (2, 0)), ("v5.12", (1025, 1)), ("v6.12", (1025, 1))])
def test_what_a_pin_adds_to_the_count_depends_on_the_era(kernel: str, expected: tuple[int, int], fast: bool) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        pinned = await script.gup(address, fast=fast)
        return await refs(script, pinned.pfns[0]), (await vmstat(script))["nr_foll_pin_acquired"]

    assert run(body, kernel)[0] == expected


def test_a_pinned_frame_outlives_its_mapping() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        pfn = (await script.gup(address)).pfns[0]
        await script.ask(MM, mm.Munmap(APP, address, 1))
        held = await refs(script, pfn)
        freed = await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/t#1"))
        return held, freed.yes

    assert run(body)[0] == (1024, True)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    ("kernel", "flags"),
    [
        ("v6.12", Foll.GET | Foll.PIN),
        ("v6.12", Foll.GET | Foll.LONGTERM),
        ("v5.10", Foll.GET | Foll.LONGTERM),
        ("v6.12", Foll.PIN | Foll.UNSHARE),
        ("v4.20", Foll.PIN),
    ],
)
def test_an_illegal_mix_of_flags_warns_and_gives_einval(kernel: str, flags: int, fast: bool) -> None:
    async def body(script: Script) -> object:
        return (await script.gup(await script.anon(), flags=flags, fast=fast)).result

    result, seen = run(body, kernel)
    assert result == -errno.EINVAL
    assert any(isinstance(tracepoint, KernelWarning) for tracepoint in seen)


def test_longterm_needed_no_pin_in_4_20() -> None:
    async def body(script: Script) -> object:
        return (await script.gup(await script.anon(), flags=Foll.GET | Foll.LONGTERM | Foll.WRITE)).result

    assert run(body, "v4.20")[0] == 1


@pytest.mark.parametrize("kernel", list(ERAS))
def test_a_write_pin_of_a_read_only_mapping_needs_force(kernel: str) -> None:
    kind = Foll.GET

    async def body(script: Script) -> object:
        address = await script.anon(prot=Prot.READ)
        await script.load(address)
        refused = await script.gup(address, flags=kind | Foll.WRITE)
        forced = await script.gup(address, flags=kind | Foll.WRITE | Foll.FORCE)
        return refused.result, forced.result, tuple(forced.pfns) != (0,), await script.store(address, 1)

    assert run(body, kernel)[0] == (-errno.EFAULT, 1, True, "SIGSEGV")


@pytest.mark.parametrize(("kernel", "counted"), [("v5.12", 1), ("v6.1", 1), ("v6.12", 0)])
def test_a_read_pin_of_the_zero_page_is_counted_until_6_5(kernel: str, counted: int) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.load(address)
        pinned = await script.gup(address, flags=Foll.PIN)
        return pinned, (await vmstat(script))["nr_foll_pin_acquired"]

    assert run(body, kernel)[0] == (mm.UserPages(1, Pages.of((0,))), counted)


def test_a_process_that_is_being_killed_gets_eintr() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.ask(MM, mm.KillPending(APP))
        return (await script.gup(address)).result

    assert run(body)[0] == -errno.EINTR


def test_nofault_does_not_fault() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2)
        await script.store(address, 1)
        flags = Foll.PIN | Foll.WRITE | Foll.NOFAULT
        return (await script.gup(address, 2, flags)).result, (await script.gup(address + PAGE_SIZE, 1, flags)).result

    assert run(body)[0] == (1, -errno.EFAULT)


def test_out_of_memory_reaches_the_caller_of_gup() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(16)
        short = await script.gup(address, 16)
        return short.result, (await script.gup(address + short.result * PAGE_SIZE, 1)).result

    assert run(body, frames=8)[0] == (7, -errno.ENOMEM)
