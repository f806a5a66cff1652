"""What is in every frame, what is on every disk block, and which writes to a page are not on disk yet.

Content is compared by digest, chunk by chunk: tracepoints carry no bytes.
"""

from __future__ import annotations

from typing import ClassVar
from zlib import crc32

import msgspec

from gupsim.checkers.names import FileKey, FrameKey, PageKey, frame_key, host_of, short
from gupsim.protocol.block import BlockInit, BlockWrite
from gupsim.protocol.fs import FileBlock
from gupsim.protocol.memmap import PageAlloc, PageFlags, PageMapping
from gupsim.protocol.memory import PAGE_SIZE, MemoryWrite, MemoryZero
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event

ZEROED = "zeroed"
"""`by` of a frame that was cleared for its owner."""

_REMEMBERED = 64
"""Writes remembered per chunk since it last matched the disk; pages without a file never match."""


class Write(msgspec.Struct, frozen=True, gc=False):
    """A chunk got content `digest`. by: who wrote, as "dma/nic". index, time (ns): of the event."""

    digest: int
    by: str
    index: int
    time: int


class Chunk:
    """One chunk of a frame.

    digest: content now, None if unknown. base: content when it last matched the disk, None if it never did since
    the frame was allocated. writes: what was written since then, oldest first.
    """

    __slots__ = ("base", "digest", "writes")

    def __init__(self) -> None:
        self.digest: int | None = None
        self.base: int | None = None
        self.writes: list[Write] = []

    def matched(self, stored: int) -> bool:
        """The disk holds `stored` now: forget the writes up to the one that it shows. True if none is left."""
        for back in range(len(self.writes) - 1, -1, -1):
            if self.writes[back].digest == stored:
                del self.writes[: back + 1]
                self.base = stored
                break
        return not self.writes

    def lost_before(self, index: int, stored: int | None) -> list[Write]:
        """The writes before event `index` that whoever reads `stored` from the disk does not see.

        Empty if `stored` is the content that the chunk had at that event, or any that it had later."""
        before = [write for write in self.writes if write.index < index]
        if not before or stored is None:
            return []
        later = {write.digest for write in self.writes[len(before) :]}
        return [] if stored == before[-1].digest or stored in later else before


class Frame:
    """One frame. page: which page of which file it caches now, or None. flags: bits of `Page`."""

    __slots__ = ("chunks", "flags", "key", "page")

    def __init__(self, key: FrameKey) -> None:
        self.key = key
        self.chunks: dict[int, Chunk] = {}
        self.page: PageKey | None = None
        self.flags = 0

    def chunk(self, number: int) -> Chunk:
        """Chunk `number`, made on demand: how many there are is only learnt from the events."""
        found = self.chunks.get(number)
        if found is None:
            found = self.chunks[number] = Chunk()
        return found


class Disk:
    """Digests of the blocks of one device: what it held at boot, and what was stored since."""

    def __init__(self) -> None:
        self._boot: list[tuple[int, int, tuple[int, ...]]] = []
        self._stored: dict[int, tuple[int, ...]] = {}

    def boot(self, first: int, count: int, digests: tuple[int, ...]) -> None:
        """Blocks first .. first + count - 1 hold this from the beginning."""
        self._boot.append((first, count, digests))

    def store(self, lba: int, digests: tuple[int, ...]) -> None:
        """A write reached the disk."""
        self._stored[lba] = digests

    def read(self, lba: int) -> tuple[int, ...] | None:
        """What block `lba` holds, or None if no event has said it."""
        found = self._stored.get(lba)
        if found is not None:
            return found
        for first, count, digests in reversed(self._boot):
            if first <= lba < first + count:
                return digests
        return None


class Content:
    """Memory, disks and the page cache, as far as the tracepoints have told. Feed it what `reads` lists."""

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        MemoryWrite,
        MemoryZero,
        BlockInit,
        BlockWrite,
        FileBlock,
        PageAlloc,
        PageFlags,
        PageMapping,
    )

    def __init__(self) -> None:
        self.frames: dict[FrameKey, Frame] = {}
        self.pages: dict[PageKey, Frame] = {}
        self.blocks: dict[PageKey, tuple[str, int, int]] = {}
        """(device, lba, index of the event that mapped it) of each page of a file."""
        self.unsettled: dict[FileKey, dict[int, Frame]] = {}
        """Cached pages with writes that are not on disk, by page index."""
        self._disks: dict[tuple[str, str], Disk] = {}
        self._owners: dict[tuple[str, str, int], PageKey] = {}
        self._chunks = 0
        self.zeroes: int | None = None
        """Digest of a chunk of zeroes, None as long as nobody knows how large a chunk is."""

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        kind = type(point)
        if kind is MemoryWrite:
            self._write(event, point.pfn, point.chunk, point.digest, point.by)
        elif kind is MemoryZero:
            self._learn(point.digests)
            for number, digest in enumerate(point.digests):
                self._write(event, point.pfn, number, digest, ZEROED)
        elif kind is BlockWrite:
            self._store(event, point)
        elif kind is PageFlags:
            frame = self.frame(frame_key(event, point.pfn))
            frame.flags = (frame.flags | point.set) & ~point.cleared
        elif kind is PageMapping:
            self._map(event, point)
        elif kind is PageAlloc:
            self._allocate(event, point)
        elif kind is FileBlock:
            self._place(event, point)
        elif kind is BlockInit:
            self._learn(point.digests)
            self._disk(event, point.block).boot(point.first, point.count, point.digests)

    def frame(self, key: FrameKey) -> Frame:
        """The frame, made on demand."""
        found = self.frames.get(key)
        if found is None:
            found = self.frames[key] = Frame(key)
        return found

    def on_disk(self, page: PageKey, number: int) -> int | None:
        """Digest of one chunk of a page of a file as a reader of the disk gets it; a hole reads as zeroes.
        None if no event has told it."""
        place = self.blocks.get(page)
        if place is None:
            return self.zeroes
        digests = self._disks[page[0], place[0]].read(place[1])
        return digests[number] if digests is not None and number < len(digests) else None

    @property
    def chunk_size(self) -> int:
        """Bytes in a chunk; a whole page as long as nobody knows better."""
        return PAGE_SIZE // (self._chunks or 1)

    def owner(self, event: Event, block: str, lba: int) -> PageKey | None:
        """The page of a file that a disk block belongs to."""
        return self._owners.get((host_of(event.actor), short(block), lba))

    def _learn(self, digests: tuple[int, ...]) -> None:
        """How many chunks a page has, and so what a chunk of zeroes looks like."""
        if len(digests) != self._chunks:
            self._chunks = len(digests)
            self.zeroes = crc32(bytes(PAGE_SIZE // self._chunks))

    def _write(self, event: Event, pfn: int, number: int, digest: int, by: str) -> None:
        frame = self.frame(frame_key(event, pfn))
        chunk = frame.chunk(number)
        chunk.digest = digest
        chunk.writes.append(Write(digest, by, event.index, event.time))
        if len(chunk.writes) > _REMEMBERED:
            del chunk.writes[0]
        if frame.page is not None:
            self._compare(frame, frame.page, number, chunk)

    def _compare(self, frame: Frame, page: PageKey, number: int, chunk: Chunk) -> None:
        """Is the content of this chunk what the disk has?"""
        stored = self.on_disk(page, number)
        if stored is not None and stored == chunk.digest:
            chunk.base = stored
            chunk.writes.clear()
        if chunk.writes:
            self.unsettled.setdefault(page[:3], {})[page[3]] = frame
        else:
            self._settle(frame, page)

    def _settle(self, frame: Frame, page: PageKey) -> None:
        waiting = self.unsettled.get(page[:3])
        if waiting is not None and not any(chunk.writes for chunk in frame.chunks.values()):
            waiting.pop(page[3], None)

    def _store(self, event: Event, point: BlockWrite) -> None:
        self._learn(point.digests)
        self._disk(event, point.block).store(point.lba, point.digests)
        page = self.owner(event, point.block, point.lba)
        frame = self.pages.get(page) if page is not None else None
        if page is None or frame is None:
            return
        for number, stored in enumerate(point.digests):
            frame.chunk(number).matched(stored)
        self._settle(frame, page)

    def _allocate(self, event: Event, point: PageAlloc) -> None:
        for pfn in range(point.pfn, point.pfn + (1 << point.order)):
            frame = self.frame(frame_key(event, pfn))
            self._unmap(frame)
            frame.flags = 0
            # What the frame still holds of its last owner is nobody's data.
            for chunk in frame.chunks.values():
                chunk.base = None
                chunk.writes.clear()

    def _map(self, event: Event, point: PageMapping) -> None:
        frame = self.frame(frame_key(event, point.pfn))
        self._unmap(frame)
        if point.ino:
            page = (host_of(event.actor), short(point.fs), point.ino, point.index)
            frame.page = page
            self.pages[page] = frame
            for number, chunk in frame.chunks.items():
                self._compare(frame, page, number, chunk)

    def _unmap(self, frame: Frame) -> None:
        page = frame.page
        frame.page = None
        if page is not None and self.pages.get(page) is frame:
            del self.pages[page]
            self.unsettled.get(page[:3], {}).pop(page[3], None)

    def _place(self, event: Event, point: FileBlock) -> None:
        host = host_of(event.actor)
        device = short(point.block)
        page = (host, short(point.fs), point.ino, point.index)
        self._disk(event, point.block)
        before = self.blocks.get(page)
        if before is not None and self._owners.get((host, before[0], before[1])) == page:
            del self._owners[host, before[0], before[1]]
        if point.lba < 0:
            self.blocks.pop(page, None)
        else:
            self.blocks[page] = (device, point.lba, event.index)
            self._owners[host, device, point.lba] = page
        frame = self.pages.get(page)
        if frame is not None:
            for number, chunk in frame.chunks.items():
                self._compare(frame, page, number, chunk)

    def _disk(self, event: Event, block: str) -> Disk:
        return self._disks.setdefault((host_of(event.actor), short(block)), Disk())
