"""torn-writeback: the disk holds page content that never existed at one moment, or fails its checksum (O5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from gupsim.checkers.content import Content, Frame
from gupsim.checkers.holds import Holds
from gupsim.checkers.names import FrameKey, PageKey, frame_key, host_of, is_device, short
from gupsim.checkers.orders import Orders
from gupsim.checkers.routing import Model
from gupsim.checkers.storage import STORAGE
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.block import BlockChecksum, BlockWrite
from gupsim.protocol.flusher import WritebackBounce, WritebackSkip, WritebackStart
from gupsim.protocol.fs import CacheDrop, DiscardDirty, FsyncBegin, FsyncEnd
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import MemoryRead, MemoryWrite, MemoryZero
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import Mkclean
from gupsim.trace.records import Event

_REMEMBERED = 1024
"""Changes remembered per window; nobody can tell what was there in one that has more."""


class Window:
    """What a frame held from the start of its I/O on. base: chunk digests then; changes: (chunk, digest) since;
    writers: who made them."""

    __slots__ = ("base", "changes", "writers")

    def __init__(self, base: dict[int, int | None]) -> None:
        self.base = base
        self.changes: list[tuple[int, int]] = []
        self.writers: set[str] = set()

    def had(self, digests: tuple[int, ...]) -> bool:
        """Was this the content of the whole frame at one moment? What nobody knows counts as equal."""
        state = self.base
        if len(self.changes) > _REMEMBERED:
            return True
        wrong = {number for number, digest in enumerate(digests) if state.get(number) not in (None, digest)}
        if not wrong:
            return True
        for number, digest in self.changes:
            if number < len(digests) and digest == digests[number]:
                wrong.discard(number)
            else:
                wrong.add(number)
            if not wrong:
                return True
        return False


class Torn:
    """A block whose content is a mixture, not yet called a violation: it may be written again. snapshot: it came from a
    bounce page."""

    __slots__ = ("device", "event", "lba", "snapshot", "writers")

    def __init__(self, event: Event, writers: set[str], *, snapshot: bool) -> None:
        self.event = event
        self.device = event.point.block
        self.lba = event.point.lba
        self.snapshot = snapshot
        self.writers = writers


class TornWriteback:
    """Compares what a disk stored with what the frame held during the I/O.

    A wrong checksum is a violation at once: the next reader gets EIO. A mixture without one is a violation when the
    kernel calls the page safe: fsync succeeds on it or it is dropped, clean both times. While the page is dirty, or
    pinned by the device that made the mixture, it is still to be written again.

    A bounce page promises more: a snapshot is what the page was at one moment. One that holds a mixture is a violation
    when fsync returns 0, whoever still has the page and however often it is written again (S39).

    blocks: how many were stored as a mixture or with a wrong checksum, whether written again later or not.
    """

    kind: ClassVar[str] = "torn-writeback"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        MemoryRead,
        MemoryWrite,
        MemoryZero,
        BlockWrite,
        BlockChecksum,
        WritebackStart,
        WritebackBounce,
        WritebackSkip,
        DiscardDirty,
        Mkclean,
        FsyncBegin,
        FsyncEnd,
        CacheDrop,
    )
    relates: ClassVar[Orders] = STORAGE
    models: ClassVar[tuple[type[Model], ...]] = (Content, Holds)

    def __init__(self, content: Content, holds: Holds) -> None:
        self._content = content
        self._holds = holds
        self._windows: dict[FrameKey, Window] = {}
        self._cleaned: dict[FrameKey, Window] = {}
        """From page_mkclean until the block is stored: what the snapshot of a bounce page may show."""
        self._bounces: dict[FrameKey, FrameKey] = {}
        self._torn: dict[PageKey, Torn] = {}
        self._begun: dict[tuple[str, str, str, int], int] = {}
        self.blocks = 0

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        kind = type(point)
        found: Iterable[Violation] = ()
        if kind is BlockWrite:
            found = self._stored(event, point)
        elif kind is WritebackStart:
            self._open(frame_key(event, point.source))
        elif kind is BlockChecksum or (kind is MemoryRead and point.by.startswith("block/")):
            self._open(frame_key(event, point.pfn))
        elif kind is Mkclean:
            key = frame_key(event, point.pfn)
            self._cleaned[key] = self._window(key)
        elif kind is WritebackSkip or kind is DiscardDirty:
            self._cleaned.pop(frame_key(event, point.pfn), None)
        elif kind is WritebackBounce:
            self._bounces[frame_key(event, point.bounce)] = frame_key(event, point.pfn)
        elif kind is MemoryWrite or kind is MemoryZero:
            self._changed(event)
        elif kind is FsyncBegin:
            self._begun[self._call(event)] = event.index
        elif kind is FsyncEnd:
            found = list(self._synced(event, point))
        elif kind is CacheDrop:
            found = list(self._dropped(event, point))
        return found

    def finish(self, end_time: int) -> Iterable[Violation]:
        """The end of the history promises nothing."""
        return ()

    @staticmethod
    def _call(event: Event) -> tuple[str, str, str, int]:
        point = event.point
        return host_of(event.actor), event.context, short(point.fs), point.ino

    def _open(self, key: FrameKey) -> None:
        """The first sign of an I/O: writeback, its checksum, or the disk's first read (swap, direct I/O)."""
        if key not in self._windows:
            self._windows[key] = self._window(key)

    def _window(self, key: FrameKey) -> Window:
        return Window({number: chunk.digest for number, chunk in self._content.frame(key).chunks.items()})

    def _changed(self, event: Event) -> None:
        key = frame_key(event, event.point.pfn)
        for windows in (self._windows, self._cleaned):
            window = windows.get(key)
            if window is None:
                continue
            if isinstance(event.point, MemoryWrite):
                window.writers.add(event.point.by)
                changes: Iterable[tuple[int, int]] = ((event.point.chunk, event.point.digest),)
            else:
                changes = enumerate(event.point.digests)
            if len(window.changes) <= _REMEMBERED:
                window.changes.extend(changes)

    def _stored(self, event: Event, point: BlockWrite) -> list[Violation]:
        key = frame_key(event, point.pfn)
        window = self._windows.pop(key) if key in self._windows else self._window(key)
        original = self._bounces.pop(key, None)
        if original is not None:
            window = self._cleaned.pop(original, window)
        else:
            self._cleaned.pop(key, None)
        page = self._content.owner(event, point.block, point.lba)
        cached = self._content.pages.get(page) if page is not None else None
        bad_checksum = point.checked and not point.intact
        mixture = bad_checksum or not window.had(point.digests)
        self.blocks += mixture
        if bad_checksum:
            if page is not None:
                self._torn.pop(page, None)
            return [self._bad_checksum(event, point, window.writers)]
        if page is not None:
            # A direct write stores the user's own buffer: who changes it meanwhile gets what he asked for.
            if mixture and cached is not None and cached.key in (key, original):
                self._torn[page] = Torn(event, window.writers, snapshot=original is not None)
            else:
                self._torn.pop(page, None)
        return []

    def _synced(self, event: Event, point: FsyncEnd) -> Iterator[Violation]:
        began = self._begun.pop(self._call(event), -1)
        if point.error or began < 0:
            return
        host, fs = host_of(event.actor), short(point.fs)
        for page, torn in sorted(self._torn.items()):
            if page[:2] != (host, fs) or point.ino not in (0, page[2]):
                continue
            frame = self._content.pages.get(page)
            if frame is not None and not torn.snapshot and self._to_be_written_again(frame, torn, began):
                continue
            call = "fsync" if point.ino else "sync"
            safe = "of what should be a snapshot" if torn.snapshot else "and the page is clean"
            yield self._mixture(event, page, f"{call} returned 0 {safe}")

    def _to_be_written_again(self, frame: Frame, torn: Torn, began: int) -> bool:
        """Dirty, on its way to the disk, or still in the hands of the device that made the mixture."""
        if frame.flags & (Page.DIRTY | Page.WRITEBACK) or frame.key in self._cleaned:
            return True
        return any(is_device(by) and self._holds.by(frame.key, by, began) for by in torn.writers)

    def _dropped(self, event: Event, point: CacheDrop) -> Iterator[Violation]:
        page = (host_of(event.actor), short(point.fs), point.ino, point.index)
        if point.why == "truncate":
            self._torn.pop(page, None)
        elif not point.dirty and page in self._torn:
            yield self._mixture(event, page, f"{point.why} dropped the page, which was clean, from memory")

    def _bad_checksum(self, event: Event, point: BlockWrite, writers: set[str]) -> Violation:
        who = " and ".join(sorted(writers)) or "somebody"
        message = (
            f"block {point.lba} of {short(point.block)} does not match its checksum: {who} changed page {point.pfn}"
            " after the checksum was computed from it; the next reader of the block gets EIO"
        )
        return violation(self.kind, event, message, *self._addresses(event, writers), pfn=point.pfn)

    def _mixture(self, event: Event, page: PageKey, safe: str) -> Violation:
        torn = self._torn.pop(page)
        who = " and ".join(sorted(torn.writers)) or "somebody"
        message = (
            f"page {page[3]} of inode {page[2]} ({page[1]}): block {torn.lba} of {short(torn.device)} holds a mixture"
            f" that was never in memory at one moment: {who} changed the page while"
            f" {'it was copied' if torn.snapshot else 'the disk read it'}; {safe}"
        )
        actors = (torn.event.actor, *self._addresses(torn.event, torn.writers))
        return violation(self.kind, event, message, *actors, pfn=torn.event.point.pfn)

    @staticmethod
    def _addresses(event: Event, writers: set[str]) -> list[str]:
        return [f"{host_of(event.actor)}/{writer}" for writer in sorted(writers)]
