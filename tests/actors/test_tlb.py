"""Shootdowns as CPUs see them: interrupts, broadcast, hypervisors, lazy mode, generations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gupsim.actors.rules.tables import CatchUp, LazyTlb, TlbFlush
from gupsim.actors.rules.thp import ThpEnabled
from gupsim.protocol import cpu, mm
from gupsim.protocol.cpu import CpuAccess, IrqOff, IrqOn, TlbSpared, VcpuState
from gupsim.protocol.cpu import TlbFlush as Flushed
from gupsim.protocol.message import Tracepoint
from tests.actors.anon_world import APP, CPU0, MM, PAGE_SIZE, Foll, Prot, Script, run

CPU1 = "h0/cpu/1"
READ_ONLY = int(Prot.READ)
PLATFORMS = pytest.mark.parametrize("flush", [TlbFlush.IPI, TlbFlush.BROADCAST, TlbFlush.PARAVIRT])


async def on_cpu1(script: Script, address: int, value: int = 1) -> str:
    """A store by a thread on the other CPU."""
    await script.ask(MM, mm.ActivateMm(APP, CPU1))
    return (await script.ask(CPU1, cpu.Store(APP, address, bytes([value]) * 8))).signal


def of(kind: type[Tracepoint], seen: list[Tracepoint], **fields: Any) -> list[Any]:
    return [
        point
        for point in seen
        if isinstance(point, kind) and all(getattr(point, name) == value for name, value in fields.items())
    ]


def flushed_within_irq_off(seen: list[Tracepoint]) -> bool:
    off = False
    for point in seen:
        if isinstance(point, IrqOff):
            off = True
        elif isinstance(point, IrqOn):
            off = False
        elif isinstance(point, Flushed) and point.cpu == "cpu/0" and off:
            return True
    return False


@PLATFORMS
def test_only_a_broadcast_overtakes_a_section_with_interrupts_off(flush: TlbFlush) -> None:
    def overtaken(delay: int) -> bool:
        async def body(script: Script) -> object:
            address = await script.anon(4)
            for page in range(4):
                await script.store(address + page * PAGE_SIZE, 1)

            async def unmap() -> None:
                await script.sleep(delay)
                await script.ask(MM, mm.Munmap(APP, address, 4))

            script.start(unmap(), "other")
            return (await script.gup(address, 4, Foll.PIN | Foll.WRITE | Foll.FAST_ONLY, fast=True)).result

        return flushed_within_irq_off(run(body, tlb_flush=flush)[1])

    assert any(overtaken(delay) for delay in range(0, 2_000, 100)) is (flush is TlbFlush.BROADCAST)


@PLATFORMS
@settings(max_examples=25, deadline=None)
@given(delay=st.integers(0, 3_000))
def test_a_store_in_flight_holds_off_every_kind_of_flush(flush: TlbFlush, delay: int) -> None:
    async def body(script: Script) -> None:
        address = await script.anon()
        await script.store(address, 1)

        async def writer() -> None:
            await script.sleep(delay)
            while not await script.store(address, 2):
                pass

        script.start(writer(), "writer")
        await script.sleep(1_500)
        await script.ask(MM, mm.Munmap(APP, address, 1))

    names = [point.__struct_config__.tag for point in run(body, tlb_flush=flush)[1]]
    assert "memory:write" not in names[names.index("page:free") :]


def test_nobody_waits_for_a_preempted_cpu_and_it_flushes_before_it_does_anything() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await on_cpu1(script, address)
        await script.ask(CPU1, cpu.PreemptVcpu())
        ended: list[str] = []

        async def other() -> None:
            ended.append(await on_cpu1(script, address, 2))

        script.start(other(), "other")
        await script.ask(MM, mm.Mprotect(APP, address, 1, READ_ONLY))
        waited = bool(ended)
        await script.ask(CPU1, cpu.ResumeVcpu())
        await script.sleep(5_000)
        return waited, ended

    result, seen = run(body, tlb_flush=TlbFlush.PARAVIRT)
    assert result == (False, ["SIGSEGV"])
    resumed = seen.index(of(VcpuState, seen, running=True)[0])
    first = next(point for point in seen[resumed + 1 :] if isinstance(point, Flushed | CpuAccess))
    assert isinstance(first, Flushed)
    assert first.dropped == 1


def test_without_a_hypervisor_no_cpu_is_taken_away() -> None:
    async def body(script: Script) -> object:
        return (await script.ask(CPU1, cpu.PreemptVcpu())).yes, (await script.ask(CPU1, cpu.ResumeVcpu())).yes

    assert run(body)[0] == (False, False)


async def lazy_while_write_protected(script: Script) -> str:
    """What a store gets on a CPU that was lazy while its page became read-only."""
    address = await script.anon()
    await on_cpu1(script, address)
    await script.ask(CPU1, cpu.EnterLazy(APP))
    await script.ask(MM, mm.Mprotect(APP, address, 1, READ_ONLY))
    return await on_cpu1(script, address, 2)


def test_a_lazy_cpu_is_spared_and_catches_up_when_it_returns() -> None:
    signal, seen = run(lazy_while_write_protected)
    assert signal == "SIGSEGV"
    assert [point.why for point in of(TlbSpared, seen)] == ["lazy"]


def test_a_lazy_cpu_that_does_not_catch_up_writes_where_it_must_not() -> None:
    assert run(lazy_while_write_protected, catch_up=CatchUp.NONE)[0] == ""


def test_a_broadcast_reaches_lazy_cpus_too() -> None:
    signal, seen = run(lazy_while_write_protected, tlb_flush=TlbFlush.BROADCAST, catch_up=CatchUp.NONE)
    assert signal == "SIGSEGV"
    assert not of(TlbSpared, seen)


@pytest.mark.parametrize(("rule", "spared"), [(LazyTlb.SKIP, 0), (LazyTlb.SKIP_ALWAYS, 1)])
def test_a_lazy_cpu_is_not_spared_if_page_tables_go(rule: LazyTlb, spared: int) -> None:
    async def body(script: Script) -> None:
        address = await script.anon()
        await on_cpu1(script, address)
        await script.ask(CPU1, cpu.EnterLazy(APP))
        await script.ask(MM, mm.Munmap(APP, address, 1))

    assert len(of(TlbSpared, run(body, lazy_tlb=rule)[1])) == spared


def test_a_cpu_with_another_mm_loaded_ignores_the_shootdown_and_flushes_on_its_return() -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 1)
        await script.ask(MM, mm.ActivateMm("other", CPU0))
        there = (await script.ask(MM, mm.Mmap("other", 1, int(Prot.READ | Prot.WRITE), False))).address
        await script.ask(CPU0, cpu.Store("other", there, b"x"))
        await script.ask(MM, mm.Mprotect(APP, address, 1, READ_ONLY))
        return await script.store(address, 2), (await script.load(address))[0]

    result, seen = run(body)
    assert result == ("SIGSEGV", 1)
    assert [point.why for point in of(TlbSpared, seen)] == ["another mm"]


def test_a_range_is_flushed_if_exactly_one_generation_is_missing_else_everything() -> None:
    async def body(script: Script) -> None:
        address = await script.anon(3)
        for page in range(3):
            await script.store(address + page * PAGE_SIZE, 1)
        await script.ask(CPU0, cpu.FlushTlb(APP, address, 1, generation=2))
        await script.ask(CPU0, cpu.FlushTlb(APP, address, 1, generation=2))
        await script.ask(CPU0, cpu.FlushTlb(APP, address + PAGE_SIZE, 1, generation=4))

    flushes = of(Flushed, run(body)[1])
    assert [(point.count, point.dropped) for point in flushes] == [(1, 1), (1, 0), (0, 2)]


def test_a_large_range_is_flushed_as_a_whole() -> None:
    async def body(script: Script) -> None:
        address = await script.anon(40)
        await script.store(address, 1)
        await script.ask(MM, mm.Mprotect(APP, address, 40, READ_ONLY))

    assert [point.count for point in of(Flushed, run(body)[1], cpu="cpu/0")] == [0]


def test_the_translation_of_a_huge_leaf_goes_when_any_page_of_it_is_flushed() -> None:
    async def body(script: Script) -> object:
        align = 4 * PAGE_SIZE
        mapped = await script.ask(MM, mm.Mmap(APP, 4, int(Prot.READ | Prot.WRITE), False, align=align))
        address = mapped.address
        await script.store(address + PAGE_SIZE, 1)
        await script.store(address + 2 * PAGE_SIZE, 2)
        await script.ask(CPU0, cpu.FlushTlb(APP, address + 3 * PAGE_SIZE, 1))
        await script.store(address, 3)
        return [(await script.load(address + page * PAGE_SIZE))[0] for page in range(4)]

    result, seen = run(body, levels=3, bits=2, thp_enabled=ThpEnabled.ALWAYS)
    assert result == [3, 1, 2, 0]
    stores = of(CpuAccess, seen, write=True)
    assert [point.cached for point in stores] == [False, True, False]
    assert len({point.pfn - point.address // PAGE_SIZE for point in stores}) == 1
