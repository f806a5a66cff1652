"""What a person reads after a run, on a terminal, in a pipe, and as JSON."""

import io
import json

from rich.console import Console

from gupsim.checkers import Violation
from gupsim.protocol.fs import BuffersReleased, PageMkwriteDone
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.mm import Mkclean
from gupsim.protocol.reclaim import FreezeRefused, LruIsolate, ReleaseBuffersDone
from gupsim.report import Metrics, Outcome, as_json, print_verdict
from gupsim.report.remarks import remarks
from gupsim.trace import TRACE_VERSION, Header
from tests.checkers.history import FS, INO, History

HEADER = Header(
    TRACE_VERSION, "Buffers stripped under a pin", "0", {}, "v4.20", ("bounce", "lru-removal"), {}, 3, ("h0/mm",)
)


def s01() -> History:
    """The whole story of the LWN article."""
    history = History().cached(byte=1)
    history.emit(FS, PageMkwriteDone(7, INO, 0, 0))
    history.register()
    history.emit("h0/mm", Mkclean(7, 1, True))
    history.written(1)
    history.emit("h0/reclaim", LruIsolate(7))
    history.emit(FS, BuffersReleased(7, INO, 0))
    history.emit("h0/reclaim", ReleaseBuffersDone(7, True))
    history.emit("h0/reclaim", FreezeRefused(7, 2, "one reference too many"))
    history.dma()
    history.dirty(buffers=False)
    history.release()
    history.emit(FS, KernelBug("fs/ext4/inode.c", "BUG_ON(!PagePrivate(page))", 7), "flusher")
    return history


def outcome(history: History, *violations: Violation) -> Outcome:
    metrics = Metrics()
    for event in history.events:
        metrics.feed(event)
    return Outcome(
        header=HEADER,
        violations=violations or tuple(history.violations()),
        metrics=metrics.values(),
        vmstat={"nr_dirty": 1, "nr_written": 0},
        events=1234,
        end_time=history.events[-1].time,
        trace_sha256="ab" * 32,
    )


def printed(result: Outcome, width: int = 100, *, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    print_verdict(console, result)
    return out.getvalue()


def test_the_verdict_says_what_was_run_what_went_wrong_and_how() -> None:
    text = printed(outcome(s01()))
    assert text.startswith("Buffers stripped under a pin\n")
    assert "kernel v4.20, policies: bounce, lru-removal, seed 3" in text
    assert "verdict: VIOLATION: kernel-bug" in text
    assert "1. kernel-bug at" in text
    assert "sha256 " + "ab" * 32 in text
    assert "nr_dirty 1" in text
    assert "nr_written" not in text


def test_the_story_is_the_one_of_the_article_in_its_order() -> None:
    text = " ".join(printed(outcome(s01())).split())
    told = [
        "the file system knows now that the page will be written to",
        "referenced (FOLL_GET) by driver/nic",
        "a plain reference, as any other: nothing says that a device may write to the page",
        "the device has no page table that could be write-protected",
        "for the file system the page is clean and done with",
        "no reference count is looked at before this step",
        "the other reference is noticed only now, when the buffers are gone already",
        "dma/nic wrote to page 7",
        "the device goes past the page tables",
        "NO BUFFERS to mark",
        "dirty behind the back of the file system: page_mkwrite was not called",
        "kernel BUG at fs/ext4/inode.c",
    ]
    places = [text.index(line, text.index("how it came to that")) for line in told]
    assert places == sorted(places)


def test_nothing_is_remarked_about_a_page_that_nobody_holds() -> None:
    history = History().cached(byte=1)
    history.emit("h0/mm", Mkclean(7, 1, True))
    history.written(1)
    history.emit("h0/reclaim", ReleaseBuffersDone(7, True))
    history.drop()
    said = [line for line in remarks(history.events) if line]
    assert said == ["memory was the only place that had the newer content"]


def test_lines_fit_in_the_width() -> None:
    for width in (60, 80, 100):
        lines = [line for line in printed(outcome(s01()), width).splitlines() if "sha256" not in line]
        assert max(map(len, lines)) <= width


def test_a_wide_terminal_gets_100_columns() -> None:
    assert max(map(len, printed(outcome(s01()), 200).splitlines())) <= 100


def test_colour_only_on_a_terminal() -> None:
    assert "\x1b[" not in printed(outcome(s01()))
    assert "\x1b[" in printed(outcome(s01()), colour=True)


def test_no_violation_is_ok() -> None:
    assert "verdict: ok, no violation" in printed(outcome(History().cached()))


def test_of_many_violations_the_rest_is_counted() -> None:
    (found,) = s01().violations()
    text = printed(outcome(s01(), *[found] * 40))
    assert "kernel-bug (40)" in text
    assert text.count("how it came to that") == 8
    assert "... and 24 more violations" in text


def test_square_brackets_in_a_message_are_no_markup() -> None:
    found = Violation(kind="kernel-bug", time_ns=1, message="BUG in [bold]inode[/bold] [12]", actors=("h0/mm",))
    assert "BUG in [bold]inode[/bold] [12]" in printed(outcome(History(), found))


def test_the_json_object_has_exactly_the_documented_keys() -> None:
    found = as_json(outcome(s01()))
    assert list(found) == [
        "scenario", "kernel", "platform", "policies", "seed", "verdict", "violations", "metrics", "vmstat",
        "results", "outcome", "claims", "notes", "events", "trace_sha256",
    ]  # fmt: skip
    assert found["verdict"] == "violation"
    assert found["policies"] == ["bounce", "lru-removal"]
    (violation,) = found["violations"]
    assert list(violation) == ["kind", "time_ns", "message", "actors"]
    assert json.loads(json.dumps(found)) == found


def test_the_json_of_a_sound_run_is_ok() -> None:
    found = as_json(outcome(History().cached()))
    assert (found["verdict"], found["violations"]) == ("ok", [])
