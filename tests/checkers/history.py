"""Small histories of one host, written by hand: what the tracepoints would be, without any actor."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from gupsim.checkers import Violation, check_events
from gupsim.protocol.block import BlockChecksum, BlockInit, BlockWrite
from gupsim.protocol.dma import DmaAccess, DmaEnd, DmaStart
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.flusher import WritebackEnd, WritebackStart
from gupsim.protocol.fs import CacheDrop, FileBlock, FsyncBegin, FsyncEnd, SetPageDirtyDone
from gupsim.protocol.memmap import Page, PageAlloc, PageFlags, PageFree, PageGet, PageMapping, PagePut
from gupsim.protocol.memory import MemoryRead, MemoryWrite, MemoryZero
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.pages import Pages
from gupsim.trace.records import Event

CHUNK = 2048
INO = 12
LBA = 3
FS, DISK = "h0/fs/ext4", "h0/block/sda"
ZERO = crc32(bytes(CHUNK))


def digest(byte: int) -> int:
    """Digest of a chunk that is full of one byte."""
    return crc32(bytes([byte]) * CHUNK)


class History:
    """Events in order, 10 ns apart. One file, inode 12, whose page 0 is block 3 of h0/block/sda, at first full of
    zeroes; a page has two chunks."""

    def __init__(self, *, placed: bool = True) -> None:
        self.events: list[Event] = []
        self.emit(DISK, BlockInit(DISK, 0, 16, (ZERO, ZERO)))
        if placed:
            self.emit(FS, FileBlock(FS, INO, 0, DISK, LBA))

    def emit(self, actor: str, point: Tracepoint, context: str = "main") -> Event:
        """One tracepoint of an actor; its delivery is named after its position."""
        index = len(self.events)
        event = Event(index, 10 * (index + 1), actor, (actor, index), context, point)
        self.events.append(event)
        return event

    def violations(self) -> list[Violation]:
        """What all checkers say."""
        return check_events(self.events)

    def kinds(self) -> list[str]:
        """The kinds of it, in order."""
        return [found.kind for found in self.violations()]

    # Pages

    def cached(self, pfn: int = 7, byte: int | None = None) -> History:
        """Frame `pfn` is page 0 of the file, read from disk; then stored to by a CPU if `byte` is given."""
        self.emit("h0/memmap", PageAlloc(pfn, 0, "cache", 0))
        self.emit("h0/memmap", PageMapping(pfn, FS, INO, 0))
        self.emit("h0/memory", MemoryZero(pfn, (ZERO, ZERO)))
        if byte is not None:
            self.write(pfn, byte, "cpu/0")
            self.flags(pfn, on=Page.DIRTY)
        return self

    def write(self, pfn: int, byte: int, by: str, chunks: Sequence[int] = (0, 1)) -> None:
        """Chunks of a frame are filled with a byte."""
        for chunk in chunks:
            self.emit("h0/memory", MemoryWrite(pfn, chunk * CHUNK, CHUNK, chunk, digest(byte), by))

    def flags(self, pfn: int, on: int = 0, off: int = 0) -> None:
        self.emit("h0/memmap", PageFlags(pfn, on, off))

    def get(self, pfn: int, kind: str, holder: str, refs: int = 2) -> None:
        self.emit("h0/memmap", PageGet(pfn, 1, kind, holder, refs))

    def put(self, pfn: int, kind: str, holder: str, refs: int = 1) -> None:
        self.emit("h0/memmap", PagePut(pfn, 1, kind, holder, refs))

    def free(self, pfn: int = 7, maps: int = 0, pins: int = 0) -> None:
        self.emit("h0/memmap", PageFree(pfn, 0, maps, pins))

    # Devices

    def register(self, pfn: int = 7, handle: int = 1, kind: str = "gup", device: str = "nic") -> None:
        """The driver takes the page for process app."""
        driver = f"driver/{device}"
        self.get(pfn, kind, f"{driver}#{handle}")
        self.emit(f"h0/{driver}", Registered(driver, handle, "app", Pages.of((pfn,)), kind == "pin"))

    def release(self, pfn: int = 7, handle: int = 1, kind: str = "gup", device: str = "nic") -> None:
        """The driver gives it back with the right call."""
        driver = f"driver/{device}"
        self.put(pfn, kind, f"{driver}#{handle}")
        self.emit(f"h0/{driver}", Released(driver, handle, "app", Pages.of((pfn,)), "match"))

    def dma(self, pfn: int = 7, byte: int = 0xAA, chunks: Sequence[int] = (0, 1), operation: int = 1) -> None:
        """A whole DMA write."""
        self.emit("h0/dma/nic", DmaStart("dma/nic", operation, pfn, True))
        for chunk in chunks:
            self.write(pfn, byte, "dma/nic", (chunk,))
            self.access(pfn, operation, chunk)
        self.emit("h0/dma/nic", DmaEnd("dma/nic", operation, pfn, True))

    def access(self, pfn: int = 7, operation: int = 1, chunk: int = 0) -> None:
        self.emit("h0/dma/nic", DmaAccess("dma/nic", operation, pfn, chunk * CHUNK, CHUNK, True))

    def dirty(self, pfn: int = 7, *, buffers: bool = True, by: str = "driver/nic") -> None:
        """set_page_dirty."""
        self.flags(pfn, on=Page.DIRTY)
        self.emit(FS, SetPageDirtyDone(pfn, INO, 0, buffers, True, by))

    # Writeback

    def start_writeback(self, pfn: int = 7, source: int = -1) -> None:
        self.flags(pfn, on=Page.WRITEBACK, off=Page.DIRTY)
        self.emit(FS, WritebackStart(pfn, FS, INO, 0, pfn if source < 0 else source))

    def checksum(self, pfn: int = 7) -> None:
        self.emit(DISK, BlockChecksum(DISK, LBA, pfn, 1))

    def read(self, byte: int, chunk: int, pfn: int = 7) -> None:
        """The disk reads one chunk."""
        self.emit("h0/memory", MemoryRead(pfn, chunk * CHUNK, CHUNK, chunk, digest(byte), "block/sda"))

    def store(self, first: int, second: int, pfn: int = 7, *, checked: bool = False, intact: bool = True) -> None:
        """The disk stored these two chunks."""
        self.emit(DISK, BlockWrite(DISK, LBA, pfn, (digest(first), digest(second)), checked, intact))

    def end_writeback(self, pfn: int = 7) -> None:
        self.emit(FS, WritebackEnd(pfn, FS, INO, 0, 0))
        self.flags(pfn, off=Page.WRITEBACK)

    def written(self, byte: int, pfn: int = 7) -> None:
        """One sound writeback."""
        self.start_writeback(pfn)
        self.store(byte, byte, pfn)
        self.end_writeback(pfn)

    def begin_fsync(self, ino: int = INO, context: str = "syncer") -> None:
        self.emit(FS, FsyncBegin(FS, ino), context)

    def end_fsync(self, ino: int = INO, error: int = 0, context: str = "syncer") -> None:
        self.emit(FS, FsyncEnd(FS, ino, error), context)

    def fsync(self, ino: int = INO) -> None:
        self.begin_fsync(ino)
        self.end_fsync(ino)

    def drop(self, pfn: int = 7, *, dirty: bool = False, why: str = "reclaim") -> None:
        self.emit(FS, CacheDrop(pfn, FS, INO, 0, dirty, why))
        self.emit("h0/memmap", PageMapping(pfn, "", 0, 0))
