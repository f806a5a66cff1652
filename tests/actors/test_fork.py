"""fork: what parent and child share, what a pin makes it copy, and who gets the copy at the next write (B8)."""

from __future__ import annotations

import errno

import pytest

from gupsim.actors.rules import ERAS
from gupsim.actors.rules.pins import PinApi
from gupsim.protocol import cpu, memmap, mm
from gupsim.protocol.cpu import TlbFlush
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll
from gupsim.protocol.pagetable import EntryChanged, FastPinEnd
from tests.actors.anon_world import APP, MEMMAP, MM, Prot, Script, run

KID = "kid"
CPU1 = "h0/cpu/1"
RECORDED = ("v6.1.192", "v6.12", "v6.18")
COPYING = tuple(era for era in ERAS if ERAS[era][0].fork_pinned.value != "share")
SHARING = tuple(era for era in ERAS if era not in COPYING)


async def fork(script: Script, child: str = KID) -> int:
    error = (await script.ask(MM, mm.ForkMm(APP, child))).error
    if not error:
        await script.ask(MM, mm.ActivateMm(child, CPU1))
    return error


async def kid_store(script: Script, address: int, value: int) -> str:
    return (await script.ask(CPU1, cpu.Store(KID, address, bytes([value]) * 8))).signal


async def kid_load(script: Script, address: int) -> tuple[int, str]:
    loaded = await script.ask(CPU1, cpu.Load(KID, address, 1))
    return (loaded.data[0] if loaded.data else -1), loaded.signal


async def frame(script: Script, address: int, of: str = APP) -> int:
    return (await script.ask(MM, mm.ReadPagemap(of, address))).pfn


async def counts(script: Script, pfn: int) -> tuple[int, int]:
    seen = await script.ask(MEMMAP, memmap.ReadCounts(pfn))
    return seen.refs, seen.maps


async def free_pages(script: Script) -> int:
    return dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)["nr_free_pages"]


@pytest.mark.parametrize("kernel", list(ERAS))
def test_without_a_pin_the_page_is_shared_and_the_first_writer_gets_a_copy(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        shared = await frame(script, address)
        await fork(script)
        same = await frame(script, address, KID) == shared
        seen = await counts(script, shared)
        await script.store(address, 2)
        moved = await frame(script, address) != shared
        kept = await frame(script, address, KID) == shared
        return same, seen, moved, kept, await kid_load(script, address), await script.load(address)

    assert run(body, kernel)[0] == (True, (2, 2), True, True, (1, ""), (2, ""))


@pytest.mark.parametrize("kernel", list(ERAS))
def test_who_maps_a_page_alone_again_writes_in_place(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        shared = await frame(script, address)
        await fork(script)
        await kid_store(script, address, 2)
        await script.store(address, 3)
        return await frame(script, address) == shared, await kid_load(script, address)

    assert run(body, kernel)[0] == (True, (2, ""))


@pytest.mark.parametrize("kernel", COPYING)
def test_fork_copies_a_pinned_page_at_once_and_the_parent_keeps_its_frame(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        pinned = (await script.gup(address, flags=Foll.PIN | Foll.WRITE | Foll.LONGTERM)).pfns[0]
        await fork(script)
        copied = await frame(script, address, KID) != pinned
        await script.store(address, 2)
        return copied, await frame(script, address) == pinned, await kid_load(script, address)

    assert run(body, kernel)[0] == (True, True, (1, ""))


@pytest.mark.parametrize("kernel", SHARING)
def test_before_5_9_the_pinned_page_is_shared_and_the_writing_parent_loses_it(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        pinned = (await script.gup(address, flags=Foll.GET | Foll.WRITE)).pfns[0]
        await fork(script)
        shared = await frame(script, address, KID) == pinned
        await script.store(address, 2)
        return shared, await frame(script, address) == pinned, await frame(script, address, KID) == pinned

    assert run(body, kernel)[0] == (True, False, True)


@pytest.mark.parametrize("kernel", RECORDED)
def test_a_plain_reference_does_not_make_fork_copy(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        held = (await script.gup(address, flags=Foll.GET)).pfns[0]
        await fork(script)
        shared = await frame(script, address, KID) == held
        await script.store(address, 2)
        return shared, await frame(script, address) == held

    assert run(body, kernel)[0] == (True, False)


@pytest.mark.parametrize("kernel", [*RECORDED, "v5.9", "v5.12"])
@pytest.mark.parametrize("fast", [False, True])
def test_a_write_pin_of_a_shared_page_breaks_cow_first(kernel: str, fast: bool) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        shared = await frame(script, address)
        await fork(script)
        pinned = (await script.gup(address, fast=fast)).pfns[0]
        mine = await frame(script, address) == pinned
        await script.store(address, 7)
        stays = await frame(script, address) == pinned
        return (
            pinned != shared,
            mine,
            stays,
            await frame(script, address, KID) == shared,
            await kid_load(script, address),
        )

    assert run(body, kernel)[0] == (True, True, True, True, (1, ""))


@pytest.mark.parametrize(("kernel", "unshared"), [("v4.20", False), ("v5.12", False), ("v5.19", True), ("v6.12", True)])
@pytest.mark.parametrize("fast", [False, True])
def test_a_read_pin_of_a_shared_page_is_unshared_since_5_19(kernel: str, unshared: bool, fast: bool) -> None:
    kind = Foll.GET if ERAS[kernel][0].pin_api is PinApi.NONE else Foll.PIN

    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        shared = await frame(script, address)
        await fork(script)
        pinned = (await script.gup(address, flags=kind, fast=fast)).pfns[0]
        await script.store(address, 2)
        return pinned != shared, await frame(script, address) == pinned

    assert run(body, kernel)[0] == (unshared, unshared)


@pytest.mark.parametrize(("kernel", "leaks"), [(era, ERAS[era][0].cow_reuse.value == "mapcount") for era in ERAS])
def test_a_reference_of_the_child_shows_the_parents_later_writes_while_mappings_alone_decide(
    kernel: str, leaks: bool
) -> None:
    """CVE-2020-29374."""

    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        shared = await frame(script, address)
        await fork(script)
        held = await script.ask(MM, mm.GetUserPages(KID, address, 1, Foll.GET, "pipe/1"))
        await script.ask(MM, mm.Munmap(KID, address, 1))
        maps = (await counts(script, shared))[1]
        await script.store(address, 2)
        return tuple(held.pfns) == (shared,), maps, await frame(script, address) == shared

    assert run(body, kernel)[0] == (True, 1, leaks)


@pytest.mark.parametrize(("advice", "child"), [("dont", (-1, "SIGSEGV")), ("wipe", (0, ""))])
@pytest.mark.parametrize("kernel", RECORDED)
def test_a_mapping_that_is_not_for_the_child(kernel: str, advice: str, child: tuple[int, str]) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        pinned = (await script.gup(address)).pfns[0]
        assert (
            await script.ask(MM, mm.Madvise(APP, address, 1, f"{advice}fork" if advice == "dont" else "wipeonfork"))
        ).error == 0
        await fork(script)
        seen = await kid_load(script, address)
        await script.store(address, 2)
        return seen, await frame(script, address) == pinned

    assert run(body, kernel)[0] == (child, True)


@pytest.mark.parametrize("kernel", COPYING)
def test_without_memory_for_the_copy_fork_fails_and_leaves_nothing_behind(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon(6)
        for page in range(6):
            await script.store(address + page * PAGE_SIZE, page + 1)
        await script.gup(address, 6)
        before = await free_pages(script)
        error = await fork(script)
        seen = [(await script.load(address + page * PAGE_SIZE))[0] for page in range(6)]
        return error, before == await free_pages(script), seen

    assert run(body, kernel, frames=12)[0] == (-errno.ENOMEM, True, [1, 2, 3, 4, 5, 6])


def test_a_failed_fork_can_be_repeated_without_the_pin() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(4)
        for page in range(4):
            await script.store(address + page * PAGE_SIZE, page + 1)
        pinned = await script.gup(address, 4)
        refused = await fork(script)
        for pfn in pinned.pfns:
            await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/t#1"))
        return refused, await fork(script), await kid_load(script, address + 3 * PAGE_SIZE)

    assert run(body, frames=8)[0] == (-errno.ENOMEM, 0, (4, ""))


def test_references_alone_look_like_a_pin_if_the_process_ever_pinned() -> None:
    """1024 plain references, and MMF_HAS_PINNED as the filter for those who never pin anything."""

    async def body(script: Script, pins: bool) -> object:
        address = await script.anon(2)
        await script.store(address, 1)
        await script.store(address + PAGE_SIZE, 1)
        if pins:
            await script.gup(address + PAGE_SIZE)
        pfn = await frame(script, address)
        await script.ask(MEMMAP, memmap.GetRefs(pfn, 1024, "gup", "somebody"))
        await fork(script)
        return await frame(script, address, KID) == pfn

    async def pinned(script: Script) -> object:
        return await body(script, True)

    async def never(script: Script) -> object:
        return await body(script, False)

    assert run(pinned)[0] is False
    assert run(never)[0] is True


@pytest.mark.parametrize("kernel", list(ERAS))
def test_the_parent_is_flushed_once_at_the_end(kernel: str) -> None:
    async def body(script: Script) -> object:
        address = await script.anon(3)
        for page in range(3):
            await script.store(address + page * PAGE_SIZE, 1)
        return await fork(script)

    seen = run(body, kernel)[1]
    changes = [place for place, point in enumerate(seen) if isinstance(point, EntryChanged) and point.why == "fork"]
    flushes = [place for place, point in enumerate(seen) if isinstance(point, TlbFlush)]
    assert len(changes) == 6
    assert len(flushes) == 1
    assert flushes[0] > changes[-1]


@pytest.mark.parametrize("kernel", ["v5.9", "v5.12", "v6.12"])
def test_the_sequence_is_odd_while_entries_are_write_protected(kernel: str) -> None:
    counted = ERAS[kernel][0].fork_sequence.value == "seqcount"

    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        before = (await script.ask(MM, FastPinEnd(APP))).sequence
        await fork(script)
        return before, (await script.ask(MM, FastPinEnd(APP))).sequence

    assert run(body, kernel)[0] == (0, 2 if counted else 0)


def test_exclusive_belongs_to_the_parent_until_it_is_shared() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        pfn = await frame(script, address)
        flags = [(await script.ask(MEMMAP, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))).flags]
        await fork(script)
        flags.append((await script.ask(MEMMAP, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))).flags)
        await script.ask(MM, mm.ExitMm(KID))
        await script.store(address, 2)
        flags.append((await script.ask(MEMMAP, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))).flags)
        return [bool(flag) for flag in flags], await frame(script, address) == pfn

    assert run(body)[0] == ([True, False, True], True)


@pytest.mark.parametrize("kernel", list(ERAS))
def test_when_both_are_gone_every_frame_is_free_again(kernel: str) -> None:
    async def body(script: Script) -> object:
        before = await free_pages(script)
        address = await script.anon(4)
        for page in range(4):
            await script.store(address + page * PAGE_SIZE, page)
        await fork(script)
        await fork(script, "other")
        await script.store(address, 9)
        await kid_store(script, address + PAGE_SIZE, 9)
        for name in (APP, "other", KID):
            await script.ask(MM, mm.ExitMm(name))
        return before - await free_pages(script)

    assert run(body, kernel)[0] == 0


def test_the_zero_page_and_what_was_never_touched_go_on_as_they_were() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2)
        await script.load(address)
        await fork(script)
        await kid_store(script, address, 5)
        return [
            await script.load(address),
            await kid_load(script, address),
            await kid_load(script, address + PAGE_SIZE),
        ]

    assert run(body)[0] == [(0, ""), (5, ""), (0, "")]


def test_a_mapping_made_read_only_stays_so_in_the_child() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        await script.ask(MM, mm.Mprotect(APP, address, 1, Prot.READ))
        await script.gup(address, flags=Foll.PIN)
        await fork(script)
        return await kid_store(script, address, 2), await kid_load(script, address)

    assert run(body)[0] == ("SIGSEGV", (1, ""))


@pytest.mark.parametrize(("kernel", "shared"), [("v5.12", False), ("v6.12", True)])
def test_a_thousand_children_make_a_page_look_pinned(kernel: str, shared: bool) -> None:
    """S32: each mapping holds a reference. Since 5.19 fork does not ask: what is shared already is not exclusive."""

    async def body(script: Script) -> object:
        address = await script.anon(2)
        await script.store(address, 1)
        await script.gup(address + PAGE_SIZE)
        pfn = await frame(script, address)
        for number in range(1023):
            await script.ask(MM, mm.ForkMm(APP, f"kid{number}"))
        pinned = await script.ask(MEMMAP, memmap.MaybeDmaPinned(pfn, "test"))
        await fork(script)
        return pinned.yes, await frame(script, address, KID) == pfn

    assert run(body, kernel, frames=2048, events=1_000_000)[0] == (True, shared)
