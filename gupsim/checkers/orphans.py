"""What is written to a page of a file after it was thrown out of the page cache from under whoever has it (S48)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, TypeAlias

import msgspec

from gupsim.checkers.content import Content
from gupsim.checkers.holds import Hold, Holds
from gupsim.checkers.names import FileKey, FrameKey, PageKey, frame_key, host_of, short
from gupsim.protocol.fs import CacheDrop, DirectWritten, FileBlock
from gupsim.protocol.memmap import PageAlloc, PageFree, PageMapping
from gupsim.protocol.memory import MemoryWrite
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event

_Place: TypeAlias = tuple[PageKey, int]
"""(page of a file, chunk)."""


class OrphanWrite(msgspec.Struct, frozen=True):
    """A chunk that was written where no file has it. dropped, written: when the page was thrown out, and this; digest:
    of the chunk since. holds: those of the page then."""

    frame: FrameKey
    dropped: Event
    written: Event
    digest: int
    holds: tuple[Hold, ...]

    def released(self, index: int) -> bool:
        """Nobody had the page any more at event `index`, so that what is in it counts."""
        return not any(hold.at(index) for hold in self.holds)


class Orphans:
    """Pages that left the page cache while references to them were left, and what they got since. Feed it what `reads`
    lists, after the two models that it looks at.

    What comes later for the same place of the file (a store or write(2) to its new page, a direct write, the end of the
    block) takes the place of what was lost.
    """

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        CacheDrop,
        MemoryWrite,
        PageAlloc,
        PageFree,
        PageMapping,
        DirectWritten,
        FileBlock,
    )

    def __init__(self, content: Content, holds: Holds) -> None:
        self._content = content
        self._holds = holds
        self._frames: dict[FrameKey, tuple[PageKey, Event]] = {}
        """Which page of which file a frame was, and when it was thrown out."""
        self._lost: dict[_Place, OrphanWrite] = {}

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        kind = type(point)
        if kind is CacheDrop:
            if point.why != "truncate":
                page = (host_of(event.actor), short(point.fs), point.ino, point.index)
                self._frames[frame_key(event, point.pfn)] = (page, event)
        elif kind is MemoryWrite:
            if self._frames or self._lost:
                self._write(event, point)
        elif kind is DirectWritten:
            file = (host_of(event.actor), short(point.fs), point.ino)
            self._forget(file, range(point.first, point.first + point.pages))
        elif kind is FileBlock:
            if point.lba < 0:
                self._forget((host_of(event.actor), short(point.fs), point.ino), range(point.index, point.index + 1))
        elif kind is PageMapping:
            if point.ino:
                self._frames.pop(frame_key(event, point.pfn), None)
        elif kind in (PageAlloc, PageFree) and self._frames:
            for pfn in range(point.pfn, point.pfn + (1 << point.order)) if point.order else (point.pfn,):
                self._frames.pop(frame_key(event, pfn), None)

    def lost(self, host: str, fs: str, ino: int, before: int) -> Iterator[tuple[PageKey, list[OrphanWrite]]]:
        """Of a file (0: of all) the pages for which something was written before event `before` that is not on disk,
        by somebody who has the page no more. It is told once."""
        pages: dict[PageKey, list[OrphanWrite]] = {}
        for (page, chunk), orphan in sorted(self._lost.items(), key=lambda entry: entry[0]):
            if page[:2] != (host, fs) or ino not in (0, page[2]) or orphan.written.index > before:
                continue
            if not orphan.released(before):
                continue
            del self._lost[page, chunk]
            if self._content.on_disk(page, chunk) != orphan.digest:
                pages.setdefault(page, []).append(orphan)
        yield from pages.items()

    def _write(self, event: Event, point: MemoryWrite) -> None:
        key = frame_key(event, point.pfn)
        orphan = self._frames.get(key)
        if orphan is not None:
            page, dropped = orphan
            holds = tuple(hold for hold in self._holds.of(key) if hold.at(event.index))
            self._lost[page, point.chunk] = OrphanWrite(key, dropped, event, point.digest, holds)
        elif not point.by.startswith("block/"):
            cached = self._content.frame(key).page
            if cached is not None:
                self._lost.pop((cached, point.chunk), None)

    def _forget(self, file: FileKey, indices: range) -> None:
        for page, chunk in list(self._lost):
            if page[:3] == file and page[3] in indices:
                del self._lost[page, chunk]
