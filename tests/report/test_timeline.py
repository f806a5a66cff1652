"""The timeline: lanes, rows, marks, and what it leaves out."""

import io

from rich.console import Console

from gupsim.protocol.driver import Released
from gupsim.protocol.fs import BuffersAttached, BuffersReleased
from gupsim.protocol.kernel import KernelBug, KernelWarning
from gupsim.protocol.pages import Pages
from gupsim.protocol.pagetable import EntryChanged
from gupsim.report import Timeline
from gupsim.report.clock import Clock
from gupsim.report.timeline import LANES
from tests.checkers.history import FS, INO, History
from tests.report.test_verdict import s01


def drawn(history: History, *, unicode: bool = True, width: int = 100, rows: int = 400) -> list[str]:
    timeline = Timeline()
    for event in history.events:
        timeline.feed(event)
    return [line.plain for line in timeline.lines(history.violations(), width, unicode=unicode, rows=rows)]


def test_every_line_fits_in_100_columns() -> None:
    assert max(map(len, drawn(s01()))) <= 100
    assert max(map(len, drawn(s01(), width=80))) <= 80


def test_each_actor_that_reported_something_has_a_lane_from_user_space_to_the_devices() -> None:
    heads = [line.split()[-1] for line in drawn(s01())[:7]]
    assert heads == ["mm", "memmap", "fs/ext4", "reclaim", "block/sda", "driver/nic", "dma/nic"]


def test_page_state_changes_have_marks_and_the_legend_explains_those_that_were_used() -> None:
    history = History().cached()
    history.emit(FS, BuffersAttached(7, INO, 0))
    history.emit("h0/mm", EntryChanged("app", 0x1000, 7, "rw,dirty", "do_shared_fault"))
    history.register()
    history.dirty()
    history.emit(FS, BuffersReleased(7, INO, 0))
    history.release()
    text = "\n".join(drawn(history))
    for mark in "■◇▲◆□▼":
        assert mark in text
    legend = drawn(history)[-2:]
    assert "▲ references taken" in "".join(legend)
    assert "violation" not in "".join(legend)


def test_a_violation_is_marked_where_it_happened() -> None:
    lines = drawn(s01())
    at = next(number for number, line in enumerate(lines) if "VIOLATION kernel-bug" in line)
    assert "✗" in lines[at]
    assert "kernel BUG at" in lines[at - 1]


def test_a_violation_of_the_end_comes_last_with_its_time() -> None:
    history = History()
    history.register(kind="pin")
    history.put(7, "gup", "driver/nic#1")
    history.emit("h0/driver/nic", Released("driver/nic", 1, "app", Pages.of((7,)), "put"))
    rows = [line for line in drawn(history) if "VIOLATION" in line]
    assert "pin-leak" in rows[-1]
    assert rows[-1].lstrip().startswith("0.")


def test_ascii_output_has_nothing_but_ascii() -> None:
    text = "\n".join(drawn(s01(), unicode=False))
    assert text.isascii()
    assert "X" in text


def test_a_pipe_without_unicode_gets_ascii_and_no_colour() -> None:
    timeline = Timeline()
    history = s01()
    for event in history.events:
        timeline.feed(event)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    timeline.print(Console(file=out, width=100), history.violations())
    out.flush()
    text = out.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert "VIOLATION" in text


def test_time_is_printed_when_it_changes() -> None:
    history = History()
    first = history.emit(FS, KernelWarning("a", "one"))
    history.events.append(type(first)(99, first.time, FS, first.delivery, "main", KernelWarning("b", "two")))
    rows = [line for line in drawn(history) if "WARNING" in line]
    assert rows[0].lstrip().startswith("0.030us")
    assert "us" not in rows[1].split("WARNING")[0]


def test_many_actors_share_the_last_lane() -> None:
    history = History()
    for number in range(30):
        for _ in range(30 - number):
            history.emit(f"h0/cpu/{number}", KernelWarning("x", "y"))
    lines = drawn(history)
    heads = lines[:LANES]
    assert heads[-1].endswith("(others)")
    assert "cpu/0" in heads[0]
    assert all("cpu/29" not in line for line in heads)


def test_a_long_history_shows_what_concerns_the_violation() -> None:
    history = History()
    for _ in range(300):
        history.get(99, "gup", "driver/gpu#1")
        history.put(99, "gup", "driver/gpu#1")
    history.emit(FS, KernelBug("fs/ext4/inode.c", "BUG_ON(!PagePrivate(page))", 7), "flusher")
    lines = drawn(history, rows=100)
    assert len(lines) < 130
    assert any("events are not shown" in line for line in lines)
    assert any("VIOLATION" in line for line in lines)


def test_a_long_history_without_violations_keeps_its_ends() -> None:
    history = History()
    for number in range(500):
        history.emit(FS, KernelWarning("x", f"number {number}."))
    text = "\n".join(drawn(history, rows=50))
    assert "number 0." in text
    assert "number 499." in text
    assert "number 250." not in text


def test_noise_is_left_out_unless_everything_is_wanted() -> None:
    history = History()
    history.get(7, "lookup", "main")
    assert not any("lookup" in line for line in drawn(history))
    timeline = Timeline(everything=True)
    for event in history.events:
        timeline.feed(event)
    assert any("lookup" in line.plain for line in timeline.lines())


def test_an_empty_timeline_says_so() -> None:
    assert [line.plain for line in Timeline().lines()] == ["nothing was reported: the timeline is empty"]


def test_hosts_are_named_if_there_are_several() -> None:
    history = History()
    history.emit("h1/mm", KernelWarning("x", "y"))
    assert any(line.endswith("h1/mm") for line in drawn(history)[:5])


def test_the_clock_has_one_unit_per_history() -> None:
    assert Clock(5_000)(1_234) == "1.234us"
    assert Clock(99_999_999)(1) == "0.001us"
    assert Clock(2_000_000_000)(1_234_567_890) == "1234.567ms"
