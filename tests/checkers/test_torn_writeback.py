"""torn-writeback: wrong checksums at once, mixtures when the kernel calls them safe."""

from gupsim.protocol.block import BlockWrite
from gupsim.protocol.flusher import WritebackBounce, WritebackSkip
from gupsim.protocol.memmap import Page, PageAlloc
from gupsim.protocol.mm import Mkclean
from tests.checkers.history import DISK, History, digest


def torn(history: History) -> None:
    """The disk gets chunk 0 before and chunk 1 after a DMA that wrote both, first chunk first."""
    history.start_writeback()
    history.read(1, 0)
    history.dma(byte=2)
    history.read(2, 1)
    history.store(1, 2)
    history.end_writeback()


def test_a_block_that_fails_its_checksum_is_a_violation_at_once() -> None:
    history = History().cached(byte=1)
    history.register()
    history.start_writeback()
    history.checksum()
    history.dma(byte=2)
    history.store(2, 2, checked=True, intact=False)
    (found,) = history.violations()
    assert found.kind == "torn-writeback"
    assert "dma/nic changed page 7 after the checksum was computed" in found.message
    assert found.actors == (DISK, "h0/dma/nic")


def test_a_block_that_passes_its_checksum_is_not() -> None:
    history = History().cached(byte=1)
    history.start_writeback()
    history.checksum()
    history.store(1, 1, checked=True)
    history.write(7, 2, "cpu/0")
    assert history.kinds() == []


def test_a_mixture_without_checksums_is_a_violation_when_fsync_calls_it_safe() -> None:
    history = History().cached(byte=1)
    history.register()
    torn(history)
    assert history.kinds() == []
    history.release()
    history.fsync()
    assert history.kinds() == ["data-loss", "torn-writeback"]
    assert "holds a mixture that was never in memory at one moment: dma/nic" in history.violations()[1].message


def test_a_mixture_is_excused_while_the_device_holds_the_page_and_while_the_page_is_dirty() -> None:
    held = History().cached(byte=1)
    held.register()
    torn(held)
    held.fsync()
    assert held.kinds() == []
    dirty = History().cached(byte=1)
    dirty.start_writeback()
    dirty.write(7, 2, "cpu/0", chunks=(0,))
    dirty.write(7, 2, "cpu/0", chunks=(1,))
    dirty.flags(7, on=Page.DIRTY)
    dirty.begin_fsync()
    dirty.store(1, 2)
    dirty.end_fsync()
    assert "torn-writeback" not in dirty.kinds()


def test_a_mixture_that_was_written_again_is_no_violation() -> None:
    history = History().cached(byte=1)
    history.register()
    torn(history)
    history.dirty()
    history.release()
    history.begin_fsync()
    history.written(2)
    history.end_fsync()
    assert history.kinds() == []


def test_a_mixture_is_a_violation_when_the_clean_page_is_dropped_even_if_pinned() -> None:
    history = History().cached(byte=1)
    history.register()
    torn(history)
    history.drop(why="invalidate")
    assert history.kinds() == ["data-loss", "torn-writeback"]


def test_a_page_that_changed_between_two_chunks_but_had_that_content_once_is_whole() -> None:
    history = History().cached(byte=1)
    history.start_writeback()
    history.read(1, 0)
    history.write(7, 2, "cpu/0", chunks=(1,))
    history.read(2, 1)
    history.store(1, 2)
    history.flags(7, off=Page.DIRTY)
    history.fsync()
    assert history.kinds() == []


def test_the_snapshot_of_a_bounce_page_is_compared_with_the_page_it_was_taken_of() -> None:
    history = History().cached(byte=1)
    history.register()
    history.emit("h0/mm", Mkclean(7, 1, True))
    history.emit("h0/memmap", PageAlloc(9, 0, "bounce", 0))
    history.write(9, 1, "flusher/ext4", chunks=(0,))
    history.dma(byte=2)
    history.write(9, 2, "flusher/ext4", chunks=(1,))
    history.emit("h0/flusher/ext4", WritebackBounce(7, 9))
    history.start_writeback(source=9)
    history.store(1, 2, pfn=9)
    history.end_writeback()
    history.release()
    history.fsync()
    assert "torn-writeback" in history.kinds()


def test_a_whole_snapshot_is_no_mixture_although_the_page_changed_later() -> None:
    history = History().cached(byte=1)
    history.register()
    history.emit("h0/mm", Mkclean(7, 1, True))
    history.emit("h0/memmap", PageAlloc(9, 0, "bounce", 0))
    history.write(9, 1, "flusher/ext4")
    history.emit("h0/flusher/ext4", WritebackBounce(7, 9))
    history.start_writeback(source=9)
    history.dma(byte=2)
    history.store(1, 1, pfn=9)
    history.end_writeback()
    history.release()
    history.fsync()
    assert "torn-writeback" not in history.kinds()


def test_a_direct_write_from_a_changing_user_buffer_is_the_users_own_mixture() -> None:
    history = History()
    history.write(20, 1, "cpu/0")
    history.read(1, 0, pfn=20)
    history.write(20, 2, "cpu/0")
    history.emit(DISK, BlockWrite(DISK, 3, 20, (digest(1), digest(2)), False, True))
    history.fsync()
    assert history.kinds() == []


def test_a_mixture_that_another_pass_is_just_writing_again_is_not_called_safe_yet() -> None:
    history = History().cached(byte=1)
    history.begin_fsync()
    history.start_writeback()
    history.write(7, 2, "cpu/0", chunks=(0,))
    history.write(7, 2, "cpu/0", chunks=(1,))
    history.flags(7, on=Page.DIRTY)
    history.store(1, 2)
    history.end_writeback()
    history.emit("h0/mm", Mkclean(7, 1, True))
    for flags in ({"off": Page.DIRTY}, {"on": Page.WRITEBACK}):
        history.flags(7, **flags)
        promised = History()
        promised.events = list(history.events)
        promised.end_fsync()
        promised.flags(7, on=Page.DIRTY)
        assert promised.kinds() == []


def test_a_mixture_that_no_pass_will_write_again_is_safe_in_the_eyes_of_fsync() -> None:
    history = History().cached(byte=1)
    history.register()
    torn(history)
    history.release()
    history.emit("h0/mm", Mkclean(7, 1, False))
    history.emit("h0/flusher/ext4", WritebackSkip(7, "clean"))
    history.fsync()
    assert "torn-writeback" in history.kinds()
