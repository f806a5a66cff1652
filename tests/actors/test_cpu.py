"""One CPU through its messages: the GUP-fast walk, interrupts, TLB shootdown."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gupsim.protocol import cpu, mm
from gupsim.protocol.cpu import IrqOff, IrqOn, TlbFlush
from tests.actors.anon_world import APP, CPU0, MM, PAGE_SIZE, Foll, Script, run


def test_fast_only_returns_what_is_mapped_and_never_faults() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(3)
        await script.store(address, 1)
        await script.store(address + 2 * PAGE_SIZE, 1)
        flags = Foll.PIN | Foll.WRITE | Foll.FAST_ONLY
        return (await script.gup(address, 3, flags, fast=True)).result

    assert run(body)[0] == 1  # a gap-free prefix


def test_what_the_fast_walk_leaves_the_slow_path_completes() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(3)
        await script.store(address, 1)
        return await script.gup(address, 5, fast=True)

    result = run(body)[0]
    assert result.result == 3
    assert len(set(result.pfns)) == 3


def test_the_errno_of_a_later_page_is_lost_if_an_earlier_one_was_obtained() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(1)
        await script.store(address, 1)
        lost = await script.gup(address, 2, fast=True)
        kept = await script.gup(address + PAGE_SIZE, 1, fast=True)
        return lost.result, kept.result

    assert run(body)[0] == (1, -errno.EFAULT)


def test_a_write_pin_of_the_zero_page_is_not_fast() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.load(address)
        return (await script.gup(address, flags=Foll.PIN | Foll.FAST_ONLY, fast=True)).result

    assert run(body)[0] == 0


@pytest.mark.parametrize(
    ("kernel", "empty", "overflow", "beyond"),
    [
        ("v4.20", 0, -errno.EFAULT, -errno.EFAULT),
        ("v5.6", 0, 0, -errno.EFAULT),
        ("v5.12", 0, 0, -errno.EFAULT),
        ("v6.12", 0, -errno.EOVERFLOW, -errno.EFAULT),
    ],
)
def test_how_a_bad_range_is_refused_depends_on_the_era(kernel: str, empty: int, overflow: int, beyond: int) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        results = []
        for at, nr in ((address, 0), ((1 << 64) - 2 * PAGE_SIZE, 3), (1 << 47, 1)):
            got = await script.ask(CPU0, cpu.GetUserPagesFast(APP, at, nr, Foll.GET | Foll.WRITE, "d"))
            results.append(got.result)
        return results

    assert run(body, kernel)[0] == [empty, overflow, beyond]


@settings(max_examples=30, deadline=None)
@given(delay=st.integers(0, 2_000), pages=st.integers(1, 4))
def test_no_cpu_acknowledges_a_shootdown_while_its_interrupts_are_off(delay: int, pages: int) -> None:
    """B4: on x86 that is what makes the fast walk safe against unmapping."""

    async def body(script: Script) -> object:
        address = await script.anon(pages)
        for page in range(pages):
            await script.store(address + page * PAGE_SIZE, 1)

        async def unmap() -> None:
            await script.sleep(delay)
            await script.ask(MM, mm.Munmap(APP, address, pages))

        script.start(unmap(), "other")
        return (await script.gup(address, pages, Foll.PIN | Foll.WRITE | Foll.FAST_ONLY, fast=True)).result

    result, seen = run(body)
    assert 0 <= result <= pages
    interrupts_on = True
    for tracepoint in seen:
        if isinstance(tracepoint, IrqOff):
            interrupts_on = False
        elif isinstance(tracepoint, IrqOn):
            interrupts_on = True
        elif isinstance(tracepoint, TlbFlush) and tracepoint.cpu == "cpu/0":
            assert interrupts_on


@settings(max_examples=30, deadline=None)
@given(delay=st.integers(0, 3_000))
def test_a_store_never_lands_in_a_frame_after_munmap_gave_it_away(delay: int) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        ended: list[str] = []

        async def writer() -> None:
            await script.sleep(delay)
            while True:
                signal = await script.store(address, 2)
                if signal:
                    ended.append(signal)
                    return

        script.start(writer(), "writer")
        await script.sleep(1_500)
        await script.ask(MM, mm.Munmap(APP, address, 1))
        return ended

    _, seen = run(body)
    freed = -1
    for number, tracepoint in enumerate(seen):
        name = tracepoint.__struct_config__.tag
        if name == "page:free":
            freed = number
        assert not (name == "memory:write" and freed >= 0), "a store after the frame was freed"
