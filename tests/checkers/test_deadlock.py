"""deadlock: cycles of locks, waits behind the dead, waits for nothing that will ever come."""

from gupsim.protocol.director import DIRECTOR
from gupsim.protocol.engine import ContextLost, LockContended, LockGranted, LockReleased, Stuck
from gupsim.protocol.kernel import KernelBug
from tests.checkers.history import FS, History

MEMMAP = "h0/memmap"


def contended(history: History, lock: str, waiter: str, *holders: str) -> None:
    history.emit(MEMMAP, LockContended(lock, waiter, holders), waiter)


def stuck(history: History, context: str, awaits: str, actor: str = MEMMAP) -> None:
    history.emit(actor, Stuck(context, "Memmap.lock_page", awaits, 50), context)


def test_two_contexts_that_wait_for_each_other_are_a_deadlock_with_both_locks_named() -> None:
    history = History()
    contended(history, "page lock 1", "reader", "writer")
    contended(history, "mmap_lock of app", "writer", "reader")
    stuck(history, "reader", "page lock 1")
    stuck(history, "writer", "mmap_lock of app")
    (found,) = history.violations()
    assert found.kind == "deadlock"
    assert "reader waits for page lock 1, held by writer" in found.message
    assert "writer waits for mmap_lock of app, held by reader" in found.message
    assert [type(event.point) for event in found.chain] == [LockContended, LockContended]


def test_a_queue_that_moves_on_is_none() -> None:
    history = History()
    contended(history, "page lock 1", "reader", "writer")
    history.emit(MEMMAP, LockReleased("page lock 1", "writer"))
    history.emit(MEMMAP, LockGranted("page lock 1", "reader"))
    contended(history, "page lock 1", "writer", "reader")
    assert history.kinds() == []


def test_who_waits_for_a_lock_of_a_dead_context_is_told_where_it_died() -> None:
    history = History()
    history.emit(FS, KernelBug("fs/ext4/inode.c", "BUG_ON(!PagePrivate(page))", 7), "flusher")
    history.emit(FS, ContextLost("flusher", "WritePages.write_page"), "flusher")
    contended(history, "page lock 7", "backup", "flusher")
    contended(history, "page lock 7", "app", "flusher")
    stuck(history, "flusher", "an answer that nobody will give")
    stuck(history, "backup", "page lock 7")
    stuck(history, "app", "page lock 7")
    bug, found = history.violations()
    assert bug.kind == "kernel-bug"
    assert found.message == (
        "backup, app wait for ever for page lock 7, held by flusher, which died in fs/ext4/inode.c and keeps it"
    )
    assert [type(event.point).__name__ for event in found.chain] == [
        "KernelBug", "ContextLost", "LockContended", "LockContended", "Stuck", "Stuck",
    ]  # fmt: skip


def test_the_dead_context_itself_is_no_deadlock() -> None:
    history = History()
    history.emit(FS, ContextLost("flusher", "WritePages.write_page"), "flusher")
    stuck(history, "flusher", "an answer that nobody will give")
    assert history.kinds() == []


def test_a_context_that_nothing_will_wake_is_a_deadlock_without_a_cycle() -> None:
    history = History()
    stuck(history, "syncer", "unpin of page 7")
    (found,) = history.violations()
    assert found.message == "syncer waits for ever for unpin of page 7"
    assert found.time_ns == history.events[-1].time


def test_as_long_as_the_script_holds_somebody_back_a_mere_wait_proves_nothing() -> None:
    history = History()
    stuck(history, "h0/dma/nic#1", "the script's writeback:end", DIRECTOR)
    stuck(history, "app", "the completion of DMA 1 of driver/nic")
    assert history.kinds() == []


def test_a_cycle_is_a_deadlock_whatever_the_script_does() -> None:
    history = History()
    stuck(history, "h0/dma/nic#1", "the script's writeback:end", DIRECTOR)
    contended(history, "page lock 1", "reader", "writer")
    contended(history, "page lock 2", "writer", "reader")
    assert history.kinds() == ["deadlock"]
