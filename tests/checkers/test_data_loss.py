"""data-loss: what fsync, sync and a clean drop promise."""

import pytest

from gupsim.protocol.flusher import WritebackSkip
from gupsim.protocol.fs import CacheDrop, DirectWritten, DiscardDirty, FileBlock, FsyncEnd
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import MemoryWrite
from tests.checkers.history import DISK, FS, INO, LBA, History


def test_a_store_before_fsync_that_is_not_on_disk_is_lost() -> None:
    history = History().cached(byte=1)
    history.fsync()
    (found,) = history.violations()
    assert found.kind == "data-loss"
    assert found.pfn == 7
    assert "bytes 0..4095 from cpu/0 are not on disk, although fsync returned 0" in found.message
    assert found.actors == (FS, "h0/cpu/0")


def test_a_store_that_fsync_wrote_is_not_lost() -> None:
    history = History().cached(byte=1)
    history.begin_fsync()
    history.written(1)
    history.end_fsync()
    assert history.kinds() == []


def test_a_store_after_fsync_began_need_not_be_on_disk() -> None:
    history = History().cached(byte=1)
    history.begin_fsync()
    history.written(1)
    history.write(7, 2, "cpu/0")
    history.flags(7, on=Page.DIRTY)
    history.end_fsync()
    assert history.kinds() == []


def test_a_later_content_on_disk_counts_for_an_earlier_one() -> None:
    history = History().cached(byte=1)
    history.begin_fsync()
    history.write(7, 2, "cpu/0")
    history.written(2)
    history.write(7, 3, "cpu/0")
    history.flags(7, on=Page.DIRTY)
    history.end_fsync()
    assert history.kinds() == []


def test_an_overwritten_content_is_no_substitute_for_the_one_at_fsync() -> None:
    history = History().cached(byte=1)
    history.written(1)
    history.write(7, 2, "cpu/0")
    history.fsync()
    assert history.kinds() == ["data-loss"]


def test_only_the_lost_chunk_is_named() -> None:
    history = History().cached(byte=1)
    history.written(1)
    history.write(7, 2, "cpu/0", chunks=(1,))
    history.fsync()
    (found,) = history.violations()
    assert "bytes 2048..4095 from cpu/0" in found.message


def test_a_failed_fsync_promises_nothing() -> None:
    history = History().cached(byte=1)
    history.begin_fsync()
    history.end_fsync(error=-5)
    assert history.kinds() == []


def test_the_end_of_the_history_is_no_loss() -> None:
    assert History().cached(byte=1).kinds() == []


def test_sync_promises_the_same_for_every_file_and_fsync_for_one() -> None:
    history = History().cached(byte=1)
    history.fsync(ino=INO + 1)
    assert history.kinds() == []
    history.fsync(ino=0)
    (found,) = history.violations()
    assert "although sync returned 0" in found.message


def test_two_fsyncs_at_a_time_are_told_apart_by_their_context() -> None:
    history = History().cached()
    history.begin_fsync(context="early")
    history.write(7, 1, "cpu/0")
    history.flags(7, on=Page.DIRTY)
    history.begin_fsync(context="late")
    history.end_fsync(context="early")
    assert history.kinds() == []
    history.end_fsync(context="late")
    assert history.kinds() == ["data-loss"]


def test_device_bytes_count_from_the_release_on() -> None:
    history = History().cached()
    history.register()
    history.dma()
    history.fsync()
    assert history.kinds() == []
    history.release()
    history.fsync()
    (found,) = history.violations()
    assert "from dma/nic are not on disk" in found.message
    assert "nobody ever marked the page dirty after them" in found.message
    assert "h0/dma/nic" in found.actors


def test_a_release_after_fsync_began_is_too_late_for_it() -> None:
    history = History().cached()
    history.register()
    history.dma()
    history.begin_fsync()
    history.flags(7, on=Page.DIRTY)
    history.release()
    history.end_fsync()
    assert history.kinds() == []


def test_another_device_that_still_holds_the_page_does_not_excuse_the_one_that_released_it() -> None:
    history = History().cached()
    history.register(handle=1)
    history.register(handle=1, device="gpu")
    history.dma()
    history.release(handle=1)
    history.fsync()
    assert history.kinds() == ["data-loss"]


def test_a_cpu_store_is_not_excused_by_a_pin() -> None:
    history = History().cached()
    history.register()
    history.write(7, 1, "cpu/0", chunks=(0,))
    history.dma(chunks=(1,))
    history.fsync()
    (found,) = history.violations()
    assert "bytes 0..2047 from cpu/0 are" in found.message


def test_direct_io_into_a_mapped_file_counts_once_its_references_are_dropped() -> None:
    history = History().cached()
    history.get(7, "gup", "fs/ext4 dio of app")
    history.write(7, 5, "block/sda")
    history.fsync()
    assert history.kinds() == []
    history.put(7, "gup", "fs/ext4 dio of app")
    history.fsync()
    assert history.kinds() == ["data-loss"]


def test_a_page_dropped_clean_with_other_content_than_its_block_is_lost() -> None:
    history = History().cached(byte=1)
    history.written(1)
    history.register()
    history.dma()
    history.release()
    history.drop()
    (found,) = history.violations()
    assert "reclaim dropped the page, which was clean, from memory" in found.message
    assert "writeback had cleaned the page before" in found.message


def test_a_page_dropped_with_the_content_of_its_block_or_dirty_by_truncate_is_not() -> None:
    same = History().cached(byte=1)
    same.written(1)
    same.drop()
    assert same.kinds() == []
    truncated = History().cached(byte=1)
    truncated.drop(dirty=True, why="truncate")
    assert truncated.kinds() == []


def test_one_loss_is_reported_once() -> None:
    history = History().cached(byte=1)
    history.fsync()
    history.fsync()
    history.flags(7, off=Page.DIRTY)
    history.drop()
    assert history.kinds() == ["data-loss"]


def test_a_second_loss_of_the_same_page_is_reported_again() -> None:
    history = History().cached(byte=1)
    history.fsync()
    history.write(7, 2, "cpu/0")
    history.fsync()
    assert history.kinds() == ["data-loss", "data-loss"]


def test_a_hole_that_reads_as_zeroes_is_no_loss_and_one_with_content_is() -> None:
    zeroes = History(placed=False).cached()
    zeroes.fsync()
    assert zeroes.kinds() == []
    content = History(placed=False).cached(byte=1)
    content.fsync()
    assert content.kinds() == ["data-loss"]


def test_a_block_that_came_after_fsync_began_may_hold_anything_under_a_page_of_zeroes() -> None:
    history = History(placed=False)
    history.emit(DISK, type(history.events[0].point)(DISK, 0, 16, (77, 77)))
    history.cached()
    history.begin_fsync()
    history.emit(FS, FileBlock(FS, INO, 0, DISK, LBA))
    history.end_fsync()
    assert history.kinds() == []


def test_what_the_frame_held_for_its_last_owner_is_nobodys_data() -> None:
    history = History()
    history.write(7, 9, "cpu/0")
    history.free(7)
    history.cached()
    history.fsync()
    assert history.kinds() == []


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("discard", "the file system discarded the dirty state because the page had no buffers"),
        ("flag", "only PG_dirty was set after them, without the dirty tag"),
        ("marked", "driver/nic marked the page dirty after them, but no writeback has stored them"),
        ("early", "nobody marked it dirty after the last write (driver/nic had, too early)"),
        ("during", "they came while the page was under writeback"),
        ("skip", "writeback skipped the page (pinned)"),
    ],
)
def test_the_message_says_why_the_bytes_did_not_reach_the_disk(what: str, says: str) -> None:
    history = History().cached(byte=1)
    history.register()
    if what == "early":
        history.dirty()
    if what == "during":
        history.start_writeback()
        history.store(1, 1)
        history.dma()
        history.end_writeback()
    else:
        history.written(1)
        history.dma()
    if what == "discard":
        history.dirty(buffers=False)
        history.emit(FS, DiscardDirty(7, INO, 0))
    elif what == "flag":
        history.flags(7, on=Page.DIRTY)
    elif what == "marked":
        history.dirty()
    elif what == "skip":
        history.dirty()
        history.emit("h0/flusher/ext4", WritebackSkip(7, "pinned"))
    history.release()
    history.fsync()
    (found,) = history.violations()
    assert says in found.message


@pytest.mark.parametrize("why", ["invalidate", "reclaim"])
def test_what_a_device_writes_to_a_page_that_was_thrown_out_is_lost_once_it_is_released(why: str) -> None:
    history = thrown_out(why)
    history.fsync()
    assert history.kinds() == []
    history.release(kind="pin")
    history.fsync()
    history.fsync()
    (found,) = history.violations()
    assert found.kind == "data-loss"
    assert f"what dma/nic wrote to page 7 in memory is in no file: {why} had thrown it out" in found.message
    assert [type(event.point) for event in found.chain] == [CacheDrop, MemoryWrite, MemoryWrite, FsyncEnd]


def test_a_truncated_page_has_nothing_to_lose() -> None:
    history = thrown_out("truncate")
    history.release(kind="pin")
    history.fsync()
    assert history.kinds() == []


@pytest.mark.parametrize("by", ["a store to its new page", "a direct write", "a hole"])
def test_what_comes_later_takes_the_place_of_what_was_lost(by: str) -> None:
    history = thrown_out("invalidate")
    history.release(kind="pin")
    if by == "a store to its new page":
        history.cached(8, byte=0x55)
        history.written(0x55, 8)
    elif by == "a direct write":
        history.emit(FS, DirectWritten(FS, INO, 0, 1))
    else:
        history.emit(FS, FileBlock(FS, INO, 0, DISK, -1))
    history.fsync()
    assert history.kinds() == []


def test_a_read_from_disk_does_not_bring_back_what_was_lost() -> None:
    history = thrown_out("invalidate")
    history.release(kind="pin")
    history.cached(8)
    history.write(8, 1, "block/sda")
    history.fsync()
    assert history.kinds() == ["data-loss"]


def thrown_out(why: str) -> History:
    """A page that a device has left the cache, and the device writes to it."""
    history = History().cached(byte=1)
    history.written(1)
    history.register(kind="pin")
    history.drop(why=why)
    history.dma()
    return history


def test_at_the_end_a_clean_page_with_more_than_the_disk_has_is_lost() -> None:
    history = History().cached(byte=1)
    history.written(1)
    history.write(7, 2, "cpu/0")
    (found,) = history.violations()
    assert found.event is None
    assert "and the page counts as clean, so that nobody will write it" in found.message
    history.flags(7, on=Page.DIRTY)
    assert history.kinds() == []


def test_at_the_end_nobody_asks_of_a_page_that_a_device_holds_or_over_which_a_context_died() -> None:
    held = History().cached()
    held.register()
    held.dma()
    assert held.kinds() == []
    held.release()
    assert held.kinds() == ["data-loss"]
    held.emit(FS, KernelBug("ext4_writepage", "BUG_ON(!PagePrivate(page))", 7))
    assert held.kinds() == ["kernel-bug"]
