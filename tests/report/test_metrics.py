"""What is counted."""

from gupsim.protocol.director import DIRECTOR
from gupsim.protocol.engine import Stuck
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import MaybePinnedAsked
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.observer import VmstatSeen
from gupsim.protocol.pages import NO_PAGES, Pages
from gupsim.protocol.reclaim import ReleaseBuffersDone, ShrinkOutcome
from gupsim.report import Metrics
from tests.checkers.history import FS, History


def counted(history: History) -> dict[str, int | None]:
    metrics = Metrics()
    for event in history.events:
        metrics.feed(event)
    return metrics.values()


def test_the_names_are_always_the_same() -> None:
    empty = Metrics().values()
    assert empty["first_bug_ns"] is None
    assert {name: value for name, value in empty.items() if value} == {}
    assert list(counted(History().cached(byte=1))) == list(empty)


def test_buffers_stripped_from_a_page_in_use_are_told_from_others() -> None:
    history = History().cached()
    history.emit("h0/reclaim", ReleaseBuffersDone(7, True))
    history.register()
    history.emit("h0/reclaim", ReleaseBuffersDone(7, False))
    history.emit("h0/reclaim", ReleaseBuffersDone(7, True))
    history.release()
    history.emit("h0/reclaim", ReleaseBuffersDone(7, True))
    assert counted(history)["buffers_stripped_in_use"] == 1


def test_late_dirtying_bugs_and_their_time() -> None:
    history = History().cached()
    history.dirty()
    history.dirty(buffers=False)
    bug = history.emit(FS, KernelBug("here", "BUG_ON(1)"))
    history.emit(FS, KernelBug("here", "BUG_ON(1)"))
    found = counted(history)
    assert found["dirtied_without_buffers"] == 1
    assert found["kernel_bugs"] == 2
    assert found["first_bug_ns"] == bug.time


def test_pins_their_failures_and_what_is_held_at_the_end() -> None:
    history = History()
    history.emit("h0/mm", PagesPinned("app", 0x1000, 2, 0, True, "driver/nic#1", 2, Pages.of((7, 8)), False))
    history.emit("h0/mm", PagesPinned("app", 0x1000, 2, 0, True, "driver/nic#2", -14, NO_PAGES, False))
    history.register(handle=1)
    history.register(handle=3)
    history.release(handle=3)
    found = counted(history)
    assert (found["pin_calls"], found["pin_calls_failed"], found["pages_pinned"]) == (1, 1, 2)
    assert found["pins_held_at_end"] == 1


def test_a_yes_without_a_pin_is_a_false_positive() -> None:
    history = History()
    history.emit("h0/memmap", MaybePinnedAsked(7, True, "reclaim"))
    history.register(kind="pin")
    history.emit("h0/memmap", MaybePinnedAsked(7, True, "reclaim"))
    assert counted(history)["false_positive_pins"] == 1


def test_torn_blocks_count_even_if_they_are_written_again() -> None:
    history = History().cached(byte=1)
    history.start_writeback()
    history.write(7, 2, "dma/nic")
    history.store(1, 2)
    history.written(2)
    history.start_writeback()
    history.store(2, 2, checked=True, intact=False)
    found = counted(history)
    assert found["torn_blocks"] == 2
    assert found["pages_written_back"] == 3


def test_reclaim_fsync_script_and_vmstat() -> None:
    history = History().cached()
    history.emit("h0/reclaim", ShrinkOutcome(7, "keep", "somebody still uses it"))
    history.emit("h0/reclaim", ShrinkOutcome(8, "freed", "clean and unused"))
    history.fsync()
    history.begin_fsync()
    history.end_fsync(error=-5)
    history.emit(DIRECTOR, Stuck("app", "Director.wait_for", "the script's label", 0))
    history.emit("h0/observer", VmstatSeen("h0", {"nr_dirty": 4}))
    metrics = Metrics()
    for event in history.events:
        metrics.feed(event)
    found = metrics.values()
    assert (found["pages_reclaimed"], found["pages_kept_by_reclaim"]) == (1, 1)
    assert (found["fsyncs"], found["fsyncs_failed"]) == (1, 1)
    assert found["script_gates_unmet"] == 1
    assert metrics.vmstat == {"nr_dirty": 4}
    assert metrics.by_name["fs:fsync_end"] == 2
    assert list(metrics.by_name) == sorted(metrics.by_name)
