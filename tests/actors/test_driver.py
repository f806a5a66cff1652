"""A driver: which call it uses, how it marks pages dirty, and with what it gives them back."""

from typing import Any

import pytest

from gupsim.actors.rules import ERAS
from gupsim.actors.rules.pins import PinnedOnLru
from gupsim.protocol.dma import DmaEnd, DmaStart
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.fs import SetPageDirtyDone
from gupsim.protocol.memmap import Page, PageBadCount, PageFlags, PageFree, PageGet, PagePut
from gupsim.protocol.mm import PagesPinned
from tests.actors.device_world import Machine, step

MAP = step("mmap", name="buf", pages=2)
FILE = step("mmap", name="buf", file="data")
PIN = step("pin", name="mr", device="nic", map="buf")
CLEAN = (step("writeback"), step("wait", time="200us"))
"""The page is on disk and clean, with its buffers."""


def played(*steps_: Any, era: str = "v6.12", rules: dict[str, Any] | None = None, **options: Any) -> Machine:
    return Machine(era, app=steps_, rules=rules, **options).run()


@pytest.mark.parametrize(
    ("era", "kind", "pins"),
    [("v4.20", "gup", False), ("v5.6", "gup", True), ("v5.12", "pin", True), ("v6.12", "pin", True)],
)
def test_a_driver_uses_the_call_of_its_era_and_its_partner(era: str, kind: str, pins: bool) -> None:
    machine = played(MAP, PIN, step("unpin", pin="mr"), era=era)
    (registered,) = machine.of(Registered)
    assert (registered.pins, machine.of(PagesPinned)[0].pin) == (pins, pins)
    got = [point for point in machine.of(PageGet) if point.holder == "driver/nic#1"]
    put = [point for point in machine.of(PagePut) if point.holder == "driver/nic#1"]
    assert [point.kind for point in got] == [point.kind for point in put] == [kind]
    assert machine.held_by_drivers() == {}


@pytest.mark.parametrize("fast", [(), ("fast",)])
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("call", ["get", "pin"])
def test_slow_and_fast_calls_of_every_era_balance(era: str, call: str, fast: tuple[str, ...]) -> None:
    pin = step("pin", name="mr", device="nic", map="buf", pages=2, flags=("write", call, *fast))
    machine = played(MAP, step("store", map="buf", value=1), pin, step("unpin", pin="mr", dirty=True), era=era)
    refused = call == "pin" and era in ("v3.17", "v4.20", "v5.4")
    assert machine.results() == ["ok", "ok", *(["ENOSYS", "no-such-pin"] if refused else ["2", "ok"])]
    assert machine.held_by_drivers() == {}
    assert machine.of(PageBadCount) == []
    assert machine.memmap.counts.pins.data[1] == 0


# Giving pages back with the wrong call (S31).


def test_put_instead_of_unpin_leaks_and_unpin_instead_of_put_underflows() -> None:
    leak = played(MAP, PIN, step("unpin", pin="mr", how="put"), step("exit"))
    assert leak.held_by_drivers() == {(1, "pin", "driver/nic#1"): 1, (1, "gup", "driver/nic#1"): -1}
    assert not leak.of(PageFree)
    assert not leak.of(PageBadCount)
    assert leak.of(Released)[0].how == "put"

    get = step("pin", name="mr", device="nic", map="buf", flags=("write", "get"))
    underflow = played(MAP, get, step("unpin", pin="mr", how="unpin"))
    assert [point.what for point in underflow.of(PageBadCount)] == ["underflow"]


# Marking pages dirty.


@pytest.mark.parametrize(
    ("how", "locked", "tagged"), [("lock", True, True), ("nolock", False, True), ("raw", False, False)]
)
def test_a_page_of_a_file_is_marked_dirty_in_three_ways(how: str, locked: bool, tagged: bool) -> None:
    machine = Machine(
        app=[FILE, PIN, *CLEAN, step("set_dirty", pin="mr", how=how)],
        rules={},
    ).run()
    assert machine.results()[-1] == "ok"
    marks = [point for point in machine.of(SetPageDirtyDone) if point.by == "driver/nic"]
    assert [point.newly for point in marks] == ([True] if tagged else [])
    last = [point for point in machine.of(PageFlags) if point.set & Page.DIRTY][-1]
    assert last.pfn == machine.of(Registered)[0].pfns[0]


def test_an_anonymous_page_is_marked_dirty_by_its_flag_alone() -> None:
    machine = played(MAP, PIN, step("set_dirty", pin="mr"))
    assert machine.results() == ["ok", "1", "ok"]
    assert machine.of(SetPageDirtyDone) == []


@pytest.mark.parametrize(("era", "marks"), [("v4.20", 1), ("v6.12", 0)])
def test_unpin_user_pages_dirty_lock_leaves_pages_alone_that_are_dirty_already(era: str, marks: int) -> None:
    machine = played(FILE, PIN, step("unpin", pin="mr", dirty=True), era=era)
    assert len([point for point in machine.of(SetPageDirtyDone) if point.by == "driver/nic"]) == marks


def test_a_late_release_marks_a_page_dirty_that_was_cleaned_meanwhile() -> None:
    machine = played(FILE, PIN, *CLEAN, step("unpin", pin="mr", dirty=True))
    (mark,) = [point for point in machine.of(SetPageDirtyDone) if point.by == "driver/nic"]
    assert mark.newly


def test_a_clean_release_marks_nothing() -> None:
    machine = played(FILE, PIN, *CLEAN, step("unpin", pin="mr"))
    assert [point for point in machine.of(SetPageDirtyDone) if point.by == "driver/nic"] == []


def test_at_exit_what_the_device_could_write_is_marked_dirty() -> None:
    machine = played(FILE, PIN, *CLEAN, step("exit"))
    assert len([point for point in machine.of(SetPageDirtyDone) if point.by == "driver/nic"]) == 1
    read_only = step("pin", name="mr", device="nic", map="buf", flags=())
    machine = played(FILE, read_only, step("exit"))
    assert [point for point in machine.of(SetPageDirtyDone) if point.by == "driver/nic"] == []


def test_a_closed_device_keeps_what_other_processes_registered() -> None:
    theirs = [MAP, step("pin", name="mr", device="nic", map="buf", label="registered")]
    machine = Machine(app=[MAP, PIN, step("exit", after=("registered",))], **{"other:t": theirs}).run()  # type: ignore[arg-type]
    assert [point.owner for point in machine.of(Released)] == ["app"]
    assert len(machine.held_by_drivers()) == 1


# The device at work.


def test_several_operations_are_in_flight_at_once() -> None:
    machine = Machine(
        app=[
            MAP,
            step("pin", name="mr", device="nic", map="buf", label="pinned"),
            step("dma_write", pin="mr", value=1),
        ],
        other=[step("dma_write", pin="mr", value=2, after=("pinned",))],
    ).run()
    order = [type(point) for point in machine.seen if isinstance(point, DmaStart | DmaEnd)]
    assert order == [DmaStart, DmaStart, DmaEnd, DmaEnd]


def test_a_driver_stops_its_device_before_it_gives_the_pages_back() -> None:
    machine = Machine(
        app=[MAP, step("pin", name="mr", device="nic", map="buf"), step("dma_write", pin="mr", value=1)],
        other=[step("unpin", pin="mr", after=("dma:start",))],
        watch=("dma:start",),
    ).run()
    assert machine.results() == ["ok", "1", "ok"]
    assert machine.time_of(machine.of(DmaEnd)[0]) < machine.time_of(machine.of(Released)[0])


@pytest.mark.parametrize(
    ("fields", "result"),
    [({"page": 1}, "EBADF"), ({"offset": 4096}, "EINVAL"), ({"offset": 4000}, "ok"), ({"length": 1}, "ok")],
)
def test_a_device_is_not_programmed_beyond_the_buffer(fields: dict[str, int], result: str) -> None:
    machine = played(MAP, PIN, step("dma_write", pin="mr", value=1, **fields))
    assert machine.results()[-1] == result


# Proposal P2.


def test_under_lru_removal_a_pinned_page_is_off_the_lru_until_it_is_released() -> None:
    lru: dict[str, Any] = {"pinned_on_lru": PinnedOnLru.REMOVE}
    shrink = step("shrink", pages=4, force=True)
    machine = played(
        FILE, PIN, *CLEAN, shrink, step("unpin", pin="mr"), step("munmap", map="buf"), shrink, rules=lru, era="v4.20"
    )
    assert [result for result in machine.results() if result in {"0", "1"}] == ["1", "1", "0", "1"]
