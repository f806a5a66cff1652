"""data-loss: bytes that were stored or DMA'd and are promised to be on disk are not there (O4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from msgspec.structs import replace

from gupsim.checkers.content import ZEROED, Chunk, Content, Frame, Write
from gupsim.checkers.dirty_state import DirtyHistories
from gupsim.checkers.holds import Holds
from gupsim.checkers.names import FrameKey, PageKey, frame_key, host_of, is_device, short
from gupsim.checkers.orders import Orders
from gupsim.checkers.orphans import Orphans, OrphanWrite
from gupsim.checkers.routing import Model
from gupsim.checkers.storage import STORAGE
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.fs import CacheDrop, FsyncBegin, FsyncEnd
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import Page
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event

_TO_BE_WRITTEN: Final = int(Page.DIRTY | Page.WRITEBACK)
_FOR_EVER: Final = 1 << 62
"""An event after all others."""


class DataLoss:
    """At each successful fsync or sync, and when a clean page leaves the cache: is everything on disk?

    fsync promises the content that each chunk had when it began, or any later one. What a device wrote counts
    from the moment at which its driver released the page: as long as the device may go on, nobody can say what the
    content is (S38, S39). A page that is dropped as clean promises that its content is on disk now. What a device wrote
    to a page of a file after a direct write had thrown it out of the cache is lost as well (S48), and at the end what
    is in a page that counts as clean, and that nobody holds: nothing will ever write it.
    """

    kind: ClassVar[str] = "data-loss"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (FsyncBegin, FsyncEnd, CacheDrop, KernelBug, *Orphans.reads)
    relates: ClassVar[Orders] = STORAGE
    models: ClassVar[tuple[type[Model], ...]] = (Content, Holds, DirtyHistories)

    def __init__(self, content: Content, holds: Holds, dirty: DirtyHistories) -> None:
        self._content = content
        self._holds = holds
        self._dirty = dirty
        self._orphans = Orphans(content, holds)
        self._begun: dict[tuple[str, str, str, int], int] = {}
        self._reported: dict[PageKey, int] = {}
        self._died: set[FrameKey] = set()
        """Pages over which a context of the kernel died: who knows what it was about to do."""

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        kind = type(point)
        self._orphans.feed(event)
        if kind is FsyncBegin:
            self._begun[self._call(event)] = event.index
        elif kind is FsyncEnd:
            began = self._begun.pop(self._call(event), -1)
            if not point.error and began >= 0:
                return list(self._synced(event, point, began))
        elif kind is CacheDrop:
            return list(self._dropped(event, point))
        elif kind is KernelBug:
            self._died.add(frame_key(event, point.pfn))
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """The end of the history is no power failure: what is still dirty is not lost. What is clean should be on
        disk, unless somebody has the page, or a context died over it: who knows what it was about to do."""
        for key, pages in sorted(self._content.unsettled.items()):
            for index, frame in sorted(pages.items()):
                if frame.flags & _TO_BE_WRITTEN or frame.key in self._died:
                    continue
                lost = self._lost(frame, (*key, index), _FOR_EVER)
                lost = [part for part in lost if not self._still_held(frame, part[2], _FOR_EVER)]
                promise = "and the page counts as clean, so that nobody will write it"
                yield from self._report(end_time, frame, (*key, index), lost, promise)

    @staticmethod
    def _call(event: Event) -> tuple[str, str, str, int]:
        point = event.point
        return host_of(event.actor), event.context, short(point.fs), point.ino

    def _synced(self, event: Event, point: FsyncEnd, began: int) -> Iterator[Violation]:
        host, fs = host_of(event.actor), short(point.fs)
        for key, pages in sorted(self._content.unsettled.items()):
            if key[:2] != (host, fs) or point.ino not in (0, key[2]):
                continue
            for index, frame in sorted(pages.items()):
                lost = self._lost(frame, (*key, index), began)
                lost = [part for part in lost if not self._still_held(frame, part[2], began)]
                call = "fsync" if point.ino else "sync"
                yield from self._report(event, frame, (*key, index), lost, f"although {call} returned 0")
        for page, writes in self._orphans.lost(host, fs, point.ino, began):
            yield self._report_orphan(event, page, writes)

    def _dropped(self, event: Event, point: CacheDrop) -> Iterator[Violation]:
        if point.dirty or point.why == "truncate":
            return
        frame = self._content.frame(frame_key(event, point.pfn))
        page = (host_of(event.actor), short(point.fs), point.ino, point.index)
        lost = self._lost(frame, page, event.index)
        yield from self._report(
            event, frame, page, lost, f"and {point.why} dropped the page, which was clean, from memory"
        )

    def _lost(self, frame: Frame, page: PageKey, before: int) -> list[tuple[int, Chunk, list[Write]]]:
        """Number, chunk and lost writes of each chunk that misses content from before event `before`."""
        lost = []
        place = self._content.blocks.get(page)
        for number, chunk in sorted(frame.chunks.items()):
            writes = chunk.lost_before(before, self._content.on_disk(page, number))
            if writes and place is not None and place[2] > before and writes[-1].digest == self._content.zeroes:
                # It was a hole then, and the page showed it truly; the block came later.
                continue
            if writes:
                lost.append((number, chunk, writes))
        return lost

    def _still_held(self, frame: Frame, writes: list[Write], began: int) -> bool:
        """All of it came from devices that may still be writing."""
        return all(is_device(write.by) and self._holds.by(frame.key, write.by, began) for write in writes)

    def _report(
        self, when: Event | int, frame: Frame, page: PageKey, lost: list[tuple[int, Chunk, list[Write]]], promise: str
    ) -> Iterator[Violation]:
        if not lost:
            return
        last = max((writes[-1] for _, _, writes in lost), key=lambda write: write.index)
        if self._reported.get(page, -1) >= last.index:
            return
        self._reported[page] = last.index
        writers = sorted({write.by for _, _, writes in lost for write in writes} - {ZEROED}) or ["the kernel (zeroes)"]
        message = (
            f"page {page[3]} of inode {page[2]} ({page[1]}; page {frame.key[1]} in memory): {self._bytes(lost)} from"
            f" {' and '.join(writers)} are not on disk, {promise}: {self._dirty.why_not_written(frame.key, last.index)}"
        )
        actors = [f"{page[0]}/{writer}" for writer in writers if "/" in writer]
        if isinstance(when, int):
            whose = (f"{page[0]}/fs/{page[1]}", *actors)
            yield Violation(kind=self.kind, time_ns=when, message=message, actors=whose, pfn=frame.key[1])
        else:
            yield violation(self.kind, when, message, *actors, pfn=frame.key[1])

    def _report_orphan(self, event: Event, page: PageKey, lost: list[OrphanWrite]) -> Violation:
        frame, dropped = lost[0].frame, lost[0].dropped
        who = sorted({each.written.point.by for each in lost})
        message = (
            f"page {page[3]} of inode {page[2]} ({page[1]}): what {' and '.join(who)} wrote to page {frame[1]} in"
            f" memory is in no file: {dropped.point.why} had thrown it out of the page cache from under its pin"
        )
        found = violation(self.kind, event, message, *[f"{page[0]}/{writer}" for writer in who], pfn=frame[1])
        return replace(found, chain=(dropped, *[each.written for each in lost], event))

    def _bytes(self, lost: list[tuple[int, Chunk, list[Write]]]) -> str:
        """The lost ranges, neighbours joined: "bytes 0..2047 and 3072..4095"."""
        size = self._content.chunk_size
        ranges: list[list[int]] = []
        for number, _, _ in lost:
            if ranges and ranges[-1][1] == number * size - 1:
                ranges[-1][1] += size
            else:
                ranges.append([number * size, number * size + size - 1])
        return "bytes " + " and ".join(f"{first}..{last}" for first, last in ranges)
