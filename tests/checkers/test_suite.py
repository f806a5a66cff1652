"""All checkers together: kernel bugs, chains, and the same answer live and from a file."""

from pathlib import Path

import pytest

from gupsim.checkers import ALL_CHECKERS, Suite, check_events, check_file
from gupsim.checkers.story import LINES, shorten
from gupsim.protocol.dma import DmaAccess
from gupsim.protocol.kernel import KernelBug, KernelWarning
from gupsim.protocol.memmap import PageGet
from gupsim.trace import TraceError
from tests.checkers.history import FS, History


def s01() -> History:
    """The Hubbard crash, as far as its tracepoints matter."""
    history = History().cached(byte=1)
    history.register()
    history.written(1)
    history.dma()
    history.dirty(buffers=False)
    history.release()
    history.emit(FS, KernelBug("fs/ext4/inode.c", "BUG_ON(!PagePrivate(page))", 7), "flusher")
    return history


def test_every_kind_has_one_checker() -> None:
    kinds = [checker.kind for checker in ALL_CHECKERS]
    assert len(set(kinds)) == len(kinds)
    assert {"kernel-bug", "data-loss", "torn-writeback", "deadlock"} <= set(kinds)


def test_each_bug_is_one_violation_and_a_warning_is_none() -> None:
    history = History()
    history.emit(FS, KernelWarning("ext4_set_page_dirty()", "WARN_ON_ONCE(!page_has_buffers(page))"))
    assert history.kinds() == []
    for _ in range(2):
        history.emit(FS, KernelBug("fs/ext4/inode.c", "BUG_ON(!PagePrivate(page))", 7))
    assert history.kinds() == ["kernel-bug", "kernel-bug"]
    assert history.violations()[0].message == "kernel BUG at fs/ext4/inode.c: BUG_ON(!PagePrivate(page))"


def test_the_chain_tells_the_story_of_the_page_from_its_pin_to_the_violation() -> None:
    history = s01()
    (found,) = history.violations()
    names = [type(event.point).__name__ for event in found.chain]
    assert names[0] == "PageGet"
    assert names[-1] == "KernelBug"
    assert found.chain[-1] is found.event
    wanted = ["PageGet", "Registered", "WritebackStart", "BlockWrite", "DmaAccess", "SetPageDirtyDone", "KernelBug"]
    assert [name for name in names if name in wanted] == wanted
    assert [event.index for event in found.chain] == sorted(event.index for event in found.chain)


def test_a_chain_leaves_out_lookups_and_other_pages() -> None:
    history = s01()
    history.events.pop()
    history.get(7, "lookup", "flusher")
    history.get(8, "gup", "driver/nic#2")
    history.emit(FS, KernelBug("fs/ext4/inode.c", "BUG_ON(!PagePrivate(page))", 7), "flusher")
    (found,) = history.violations()
    gets = [event.point for event in found.chain if isinstance(event.point, PageGet)]
    assert [(point.pfn, point.kind) for point in gets] == [(7, "gup")]


def test_a_bug_about_no_page_gets_what_its_context_did_last() -> None:
    history = History()
    history.get(5, "gup", "driver/nic#1")
    history.emit(FS, KernelWarning("somewhere", "this came first"), "flusher")
    history.emit(FS, KernelBug("elsewhere", "no page"), "flusher")
    (found,) = history.violations()
    assert [type(event.point).__name__ for event in found.chain][-2:] == ["KernelWarning", "KernelBug"]
    assert not any(isinstance(event.point, PageGet) for event in found.chain)


def test_a_long_chain_keeps_its_ends_and_its_turns() -> None:
    history = History().cached(byte=1)
    history.register()
    for _ in range(20):
        history.written(1)
        history.dma(chunks=(0, 1, 0, 1))
    history.emit(FS, KernelBug("fs/ext4/inode.c", "BUG_ON(!PagePrivate(page))", 7))
    (found,) = history.violations()
    assert len(found.chain) == LINES
    assert isinstance(found.chain[-1].point, KernelBug)


def test_shortening_counts_a_run_of_accesses_of_one_operation_once() -> None:
    history = History()
    history.dma(chunks=(0, 1, 0, 1))
    accesses = [event for event in history.events if isinstance(event.point, DmaAccess)]
    assert len(shorten(accesses, LINES)) == 1


def test_without_stories_the_verdict_is_the_same() -> None:
    history = s01()
    suite = Suite(stories=False)
    for event in history.events:
        suite.feed(event)
    found = suite.finish(0)
    assert [one.message for one in found] == [one.message for one in history.violations()]
    assert found[0].chain == ()


def test_a_file_that_is_no_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a trace")
    with pytest.raises(TraceError, match="not a gupsim trace"):
        check_file(path)


def test_no_events_no_violations() -> None:
    assert check_events([]) == []
