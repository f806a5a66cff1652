"""A task: steps in order, results in words, scripts, signals, exit and workloads."""

from collections import Counter
from typing import Any

import pytest

from gupsim.protocol import steps, workload
from gupsim.protocol.dma import DmaAccess, DmaEnd
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.engine import Stuck
from gupsim.protocol.memmap import PageFree, PageGet, PagePut
from gupsim.protocol.mm import MmLayout
from gupsim.protocol.process import ProcessExit, StepBegin, StepEnd, ThreadEnd
from tests.actors.device_world import Machine, step

MAP = step("mmap", name="buf", pages=2)


def played(*steps_: Any, era: str = "v6.12", **options: Any) -> Machine:
    return Machine(era, app=steps_, **options).run()


def test_a_thread_runs_its_steps_in_order_and_says_what_came_of_each() -> None:
    machine = played(MAP, step("store", map="buf", value=7), step("load", map="buf"), step("load", map="buf", page=1))
    assert machine.results() == ["ok", "ok", "7", "0"]
    assert [point.number for point in machine.of(StepBegin)] == [0, 1, 2, 3]
    assert machine.of(ThreadEnd) == [ThreadEnd("app")]


def test_a_store_across_chunks_and_pages_is_cut_into_accesses() -> None:
    machine = played(
        MAP, step("store", map="buf", offset=2000, length=4096, value=7), step("load", map="buf", page=1, offset=1999)
    )
    assert machine.results() == ["ok", "ok", "7"]


@pytest.mark.parametrize(
    ("prot", "access", "result"),
    [("none", "load", "SIGSEGV"), ("r", "store", "SIGSEGV"), ("r", "load", "0"), ("rw", "store", "ok")],
)
def test_an_access_that_the_mapping_forbids_is_a_signal(prot: str, access: str, result: str) -> None:
    fields = {"value": 7} if access == "store" else {}
    machine = played(step("mmap", name="buf", prot=prot), step(access, map="buf", **fields))
    assert machine.results() == ["ok", result]


def test_a_fatal_signal_ends_the_thread() -> None:
    machine = played(MAP, step("munmap", map="buf"), step("store", map="buf", value=7), step("load", map="buf"))
    assert machine.results() == ["ok", "ok", "SIGSEGV"]
    assert machine.of(ThreadEnd) == [ThreadEnd("app")]


def test_mprotect_and_madvise_work_on_a_part_of_a_mapping() -> None:
    machine = played(
        MAP,
        step("store", map="buf", value=7, page=1),
        step("madvise", map="buf", page=1),
        step("load", map="buf", page=1),
        step("mprotect", map="buf", page=1, prot="none"),
        step("load", map="buf"),
        step("load", map="buf", page=1),
    )
    assert machine.results() == ["ok", "ok", "ok", "0", "ok", "0", "SIGSEGV"]


def test_what_an_earlier_step_failed_to_make_is_missing_and_not_an_error_of_the_model() -> None:
    machine = played(
        step("mmap", name="ro", prot="r"),
        step("pin", name="mr", device="nic", map="ro"),
        step("dma_write", pin="mr", value=7),
        step("dma_read", pin="mr"),
        step("set_dirty", pin="mr"),
        step("unpin", pin="mr"),
        step("munmap", map="never"),
        step("store", map="never", value=1),
        step("pin", name="mr", device="nic", map="never"),
    )
    assert machine.results() == ["ok", "EFAULT", *["no-such-pin"] * 4, *["no-such-map"] * 3]


def test_a_pin_is_used_and_given_back_once() -> None:
    machine = played(
        MAP,
        step("pin", name="mr", device="nic", map="buf", pages=2),
        step("dma_write", pin="mr", page=1, value=0xAA),
        step("dma_read", pin="mr", page=1),
        step("load", map="buf", page=1),
        step("unpin", pin="mr", dirty=True),
        step("unpin", pin="mr"),
        step("dma_read", pin="mr"),
    )
    assert machine.results() == ["ok", "2", "ok", "170", "170", "ok", "no-such-pin", "no-such-pin"]
    assert machine.held_by_drivers() == {}


def test_a_pin_that_runs_into_a_hole_is_short_and_no_error() -> None:
    machine = played(
        step("mmap", name="buf", pages=3),
        step("munmap", map="buf", page=2),
        step("pin", name="mr", device="nic", map="buf", pages=3),
        step("dma_read", pin="mr", page=2),
        step("unpin", pin="mr"),
    )
    assert machine.results() == ["ok", "ok", "2", "EBADF", "ok"]
    assert machine.held_by_drivers() == {}


@pytest.mark.parametrize(
    ("era", "flags", "result"),
    [
        ("v4.20", ("write", "pin"), "ENOSYS"),
        ("v4.20", ("write",), "1"),
        ("v5.6", ("write", "pin", "fast"), "1"),
        ("v6.12", ("write", "get", "fast"), "1"),
        ("v6.12", ("write", "get", "longterm"), "EINVAL"),
        ("v6.12", ("write", "longterm", "remote"), "1"),
        ("v6.12", ("write", "fast_only"), "0"),
        ("v6.12", ("write", "nofault"), "EFAULT"),
    ],
)
def test_the_flags_of_a_pin_reach_get_user_pages(era: str, flags: tuple[str, ...], result: str) -> None:
    machine = played(MAP, step("pin", name="mr", device="nic", map="buf", flags=flags), era=era)
    assert machine.results() == ["ok", result]


def test_files_are_written_read_synced_and_dropped() -> None:
    machine = played(
        step("read", file="data"),
        step("write", file="data", offset=4096, length=100, value=0x22),
        step("read", file="data", offset=4096),
        step("fsync", file="data"),
        step("sync"),
        step("fadvise", file="data"),
        step("read", file="data", offset=4196),
        step("read", file="data", offset=1 << 20),
    )
    results = machine.results()
    assert results[:5] == ["17", "100", "34", "ok", "ok"]
    assert results[6:] == ["17", "EOF"]


def test_direct_io_moves_whole_pages_between_disk_and_memory() -> None:
    machine = played(
        MAP,
        step("direct_io", file="data", map="buf", pages=2, dir="read"),
        step("load", map="buf", page=1),
        step("store", map="buf", length=4096, value=0x33),
        step("direct_io", file="data", map="buf", file_page=2, dir="write"),
        step("read", file="data", offset=2 * 4096),
    )
    assert machine.results() == ["ok", "8192", "17", "ok", "4096", "51"]


def test_the_daemons_are_nudged_in_the_context_of_the_thread() -> None:
    machine = played(
        step("mmap", name="buf", file="data"),
        step("store", map="buf", value=7),
        step("writeback"),
        step("wait", time="100us"),
        step("shrink", pages=1, force=True),
        step("shrink", pages=1, force=True, direct=True),
    )
    assert machine.results() == ["ok", "ok", "1", "ok", "1", "0"]


# Scripts.


def test_a_script_orders_threads_by_labels_and_tracepoints() -> None:
    machine = Machine(
        app=[MAP, step("store", map="buf", value=1, after=("written",), label="stored")],
        other=[
            step("wait", time="50us"),
            step("write", file="data", value=2, label="written"),
            step("wait", time="1us", after=("stored",)),
        ],
    ).run()
    ends = [point.text.split()[0] for point in machine.of(StepEnd)]
    assert ends == ["mmap", "wait", "write", "store", "wait"]


def test_a_gate_counts_how_often_a_tracepoint_was_seen() -> None:
    machine = Machine(
        app=[
            MAP,
            step("pin", name="mr", device="nic", map="buf"),
            step("dma_write", pin="mr", value=1),
            step("dma_write", pin="mr", value=2, delay="30us"),
        ],
        other=[step("wait", time="1ns", after=("dma:end#2",))],
        watch=("dma:end",),
    ).run()
    assert [point.thread for point in machine.of(ThreadEnd)][-1] == "other"
    waited = next(point for point in machine.of(StepBegin) if point.thread == "other")
    assert machine.time_of(waited) > machine.time_of(machine.of(DmaEnd)[1])


def test_a_dma_holds_back_its_last_chunk_until_the_script_has_seen_the_gate() -> None:
    machine = Machine(
        app=[
            MAP,
            step("pin", name="mr", device="nic", map="buf"),
            step("dma_write", pin="mr", value=7, until=("looked",), label="done"),
        ],
        other=[
            step("wait", time="1ns", after=("dma:access",), label="half"),
            step("wait", time="20us", label="looked"),
        ],
        watch=("dma:access",),
    ).run()
    looked = next(point for point in machine.of(StepEnd) if point.text == "wait 20us")
    first, last = machine.of(DmaAccess)
    assert machine.time_of(first) < machine.time_of(looked) < machine.time_of(last)


def test_other_steps_wait_for_the_gate_when_they_are_done() -> None:
    machine = Machine(
        app=[step("mmap", name="buf", until=("looked",)), step("store", map="buf", value=1)],
        other=[step("wait", time="20us", label="looked")],
    ).run()
    assert [point.text.split()[0] for point in machine.of(StepEnd)] == ["wait", "mmap", "store"]


def test_a_delay_lets_virtual_time_pass_before_the_step() -> None:
    machine = played(step("mmap", name="buf", delay="1.5ms"))
    assert machine.time_of(machine.of(StepBegin)[0]) == 1_501_000


def test_without_a_script_nothing_is_waited_for_or_reported() -> None:
    machine = Machine(
        scripted=False,
        app=[step("mmap", name="buf", after=("never",), until=("never",), delay="1s", label="mapped")],
    ).run()
    assert machine.results() == ["ok"]
    assert machine.world.now < 1_000_000


# The end of a process.


def test_exit_closes_devices_and_frees_the_memory() -> None:
    machine = played(
        MAP,
        step("pin", name="a", device="nic", map="buf", pages=2),
        step("pin", name="b", device="gpu", map="buf"),
        step("exit"),
    )
    assert machine.held_by_drivers() == {}
    assert [point.driver for point in machine.of(Released)] == ["driver/nic", "driver/gpu"]
    assert [point.what for point in machine.of(MmLayout)][-1] == "exit"
    assert machine.of(ProcessExit) == [ProcessExit("app")]
    assert len(machine.of(PageFree)) == 2
    assert machine.memmap.vmstat.read()[0] == ("nr_free_pages", 127)


def test_exit_waits_for_the_other_threads_to_leave_the_kernel_and_stops_them_there() -> None:
    machine = Machine(
        app=[MAP, step("pin", name="mr", device="nic", map="buf"), step("exit", after=("dma:start",))],
        other=[
            step("dma_write", pin="mr", value=7, after=("driver:register",)),
            step("load", map="buf"),
        ],
        watch=("dma:start", "driver:register"),
    ).run()
    assert machine.results("other") == ["ok"]
    assert machine.time_of(machine.of(DmaEnd)[0]) < machine.time_of(machine.of(Released)[0])
    assert len(machine.of(ThreadEnd)) == 2


def test_a_killed_process_gets_eintr_from_get_user_pages() -> None:
    machine = Machine(
        app=[MAP, step("pin", name="mr", device="nic", map="buf", after=("killed",))],
        other=[step("signal", process="app", after=("mm:layout",), label="killed")],
        watch=("mm:layout",),
    ).run()
    assert machine.results() == ["ok", "EINTR"]


def test_a_step_that_never_ends_is_reported_as_stuck() -> None:
    machine = Machine(app=[step("mmap", name="buf", after=("never",))]).run(stuck=1)
    assert machine.of(Stuck)[0].context == "h0/app"
    assert machine.of(Stuck)[0].awaits == "the script's never"


# Words.


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("mmap buf: 1 page of anonymous memory, private, rw", step("mmap", name="buf")),
        ("mmap buf: 3 pages of data from page 1, shared, r",
         step("mmap", name="buf", file="data", pages=3, offset=1, prot="r")),
        ("munmap buf", step("munmap", map="buf")),
        ("munmap buf from page 1 (2 pages)", step("munmap", map="buf", page=1, pages=2)),
        ("store 0xaa to buf page 1 at byte 100, 8 bytes", step("store", map="buf", page=1, offset=100, value=170)),
        ("O_DIRECT read of 1 page from data page 2 into buf",
         step("direct_io", file="data", map="buf", file_page=2, dir="read")),
        ("nic pins 1 page of buf as mr (write|longterm)",
         step("pin", name="mr", device="nic", map="buf", flags=("write", "longterm"))),
        ("driver releases mr and marks it dirty with put", step("unpin", pin="mr", dirty=True, how="put")),
        ("kswapd scans 2 pages", step("shrink", pages=2)),
        ("sync", step("sync")),
    ],
)  # fmt: skip
def test_a_step_is_told_in_a_developers_words(words: str, made: steps.AnyStep) -> None:
    from gupsim.actors.process.wording import wording

    assert wording(made) == words


def test_every_step_has_words_and_a_method() -> None:
    from gupsim.actors.process import Process
    from gupsim.actors.process.wording import _WORDINGS

    assert set(_WORDINGS) == set(steps.STEPS)
    assert all(hasattr(Process, steps.word(kind)) for kind in steps.STEPS)


# Workloads.

WORK: dict[str, workload.AnyGenerator] = {
    "direct": workload.DirectIo(every="5us..20us", file="data", pages="1..2", clients=2),
    "onto_file": workload.DirectIo(every="20us", file="data", buffer="data", reads=100),
    "ring": workload.RdmaRegistration(every="10us", device="nic", file="data", hold="20us..40us", writes=2),
    "memory": workload.RdmaRegistration(every="10us", device="gpu", pages="1..4", writes=0, hold="5us", clients=2),
    "pressure": workload.MemoryPressure(every="30us", pages=2),
    "sync": workload.FsyncCycle(every="50us", file="data", writes="1..2", start="10us"),
}


def test_generators_work_until_their_time_and_end_what_they_began() -> None:
    machine = Machine(generators=WORK).run(until=400_000)
    threads = {point.thread for point in machine.of(ThreadEnd)}
    assert threads == {"direct#1", "direct#2", "onto_file", "ring", "memory#1", "memory#2", "pressure", "sync"}
    assert all(machine.time_of(point) <= 400_000 for point in machine.of(StepBegin))
    assert len(machine.of(Registered)) == len(machine.of(Released)) > 20
    assert machine.held_by_drivers() == {}
    assert {point.result for point in machine.of(StepEnd)} <= {"ok", "0", "1", "2", "4096", "8192"}


@pytest.mark.parametrize("era", ["v5.19", "v6.12"])
def test_what_the_whole_kernel_takes_and_drops_adds_up_to_the_refcounts(era: str) -> None:
    machine = Machine(era, generators=WORK, frames=40).run(until=400_000)
    held: Counter[tuple[int, str, str]] = Counter()
    for point in machine.seen:
        if isinstance(point, PageGet | PagePut):
            key = (point.pfn, point.kind, point.holder)
            held[key] += point.amount if isinstance(point, PageGet) else -point.amount
            assert held[key] >= 0, point.say()
        elif isinstance(point, PageFree):
            assert not any(amount for key, amount in held.items() if key[0] == point.pfn), point.say()
    counts: Counter[int] = Counter()
    for (pfn, kind, _), amount in held.items():
        counts[pfn] += amount * (1024 if kind == "pin" else 1)
    assert [counts[pfn] for pfn in range(1, 40)] == machine.memmap.counts.refs.counts.tolist()[1:]
    assert len(machine.memmap.locks) == 0


def test_the_same_seed_draws_the_same_work_and_another_seed_other_work() -> None:
    def work(seed: int) -> list[str]:
        machine = Machine(generators=WORK, seed=seed).run(until=200_000)
        return [point.say() for point in machine.of(StepEnd)]

    assert work(1) == work(1) != work(2)


def test_a_device_writes_last_just_before_the_release() -> None:
    ring = workload.RdmaRegistration(every="1ms", device="nic", hold="100us", writes=4, buffer=1)
    machine = Machine(generators={"ring": ring}).run(until=2_000)
    ends = [machine.time_of(point) for point in machine.of(DmaEnd)]
    assert len(ends) == 4
    assert 0 < machine.time_of(machine.of(Released)[0]) - ends[-1] < 1_000
