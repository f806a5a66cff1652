"""info-leak: a process, or what works for it, got to see bytes of another one that it shares nothing with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from gupsim.actors.base.footprint import COMMUTE
from gupsim.checkers.domains import Domains
from gupsim.checkers.labels import Label, Labels, Piece
from gupsim.checkers.names import FrameKey, frame_key, host_of, short
from gupsim.checkers.orders import PARTED, Orders, Related, looks
from gupsim.checkers.routing import Model
from gupsim.checkers.violation import Violation, violation
from gupsim.protocol.block import BlockRead, BlockWrite
from gupsim.protocol.folio import FolioSplit
from gupsim.protocol.fs import FileBlock
from gupsim.protocol.memmap import Page, PageAlloc, PageFlags
from gupsim.protocol.memory import PAGE_SIZE, MemoryRead, MemoryWrite, MemoryZero
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.process import ProcessForked
from gupsim.trace.records import Event

_ANON: Final = int(Page.ANON)


def _written(host: str, point: MemoryWrite) -> Related:
    return (((PARTED, host), COMMUTE),) if point.by.startswith(("cpu/", "dma/", "io_uring")) else ()


class InfoLeak:
    """Every byte of anonymous memory carries the process that wrote it, or for which a device wrote it. Copies by the
    kernel (copy-on-write, collapse, migration, bounce buffers, swap) carry it along.

    A process may see its own bytes, and those of its parent from before it was forked; files, shared mappings, memory
    of drivers and zeroes are everybody's. What it splices into a pipe it gives away. What it reads of others by right
    (process_vm_readv) is no leak. A device, a direct write and io_uring see for the process that gave them the page.
    Told once for each reader, writer and frame.
    """

    kind: ClassVar[str] = "info-leak"
    models: ClassVar[tuple[type[Model], ...]] = (Domains,)
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        MemoryRead,
        MemoryWrite,
        MemoryZero,
        PageAlloc,
        PageFlags,
        FolioSplit,
        FileBlock,
        BlockWrite,
        BlockRead,
    )
    relates: ClassVar[Orders] = {MemoryWrite: _written, ProcessForked: looks(PARTED)}

    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._labels: dict[FrameKey, Labels] = {}
        self._anon: set[FrameKey] = set()
        self._orders: dict[FrameKey, int] = {}
        self._carried: dict[tuple[str, str], list[Piece]] = {}
        """(context, who copies): what it has in its hands."""
        self._fetched: dict[tuple[str, int], Labels] = {}
        """(disk, frame): what a write in flight has read so far."""
        self._swapped: dict[tuple[str, int], list[Piece]] = {}
        """(disk, block): labels of what is stored there."""
        self._files: set[tuple[str, int]] = set()
        """(disk, block) of files."""
        self._told: set[tuple[FrameKey, str, str]] = set()

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        kind = type(point)
        if kind is MemoryRead:
            return self._read(event, point)
        if kind is BlockWrite:
            return self._stored(event, point)
        if kind is MemoryWrite:
            self._write(event, point)
        elif kind is PageFlags:
            self._flags(frame_key(event, point.pfn), point)
        elif kind is PageAlloc:
            self._allocate(event, point)
        elif kind is MemoryZero:
            self._labels.pop(frame_key(event, point.pfn), None)
        elif kind is FolioSplit:
            self._split(event, point)
        elif kind is FileBlock:
            if point.lba >= 0:
                self._files.add((_disk(event, point.block), point.lba))
        elif kind is BlockRead:
            self._loaded(event, point)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """Nothing is left to say at the end."""
        return ()

    # Frames

    def _flags(self, key: FrameKey, point: PageFlags) -> None:
        if point.set & _ANON:
            self._anon.add(key)
        elif point.cleared & _ANON:
            self._anon.discard(key)

    def _allocate(self, event: Event, point: PageAlloc) -> None:
        """What the frame still holds of its last owner stays that one's until it is cleared or written over."""
        key = frame_key(event, point.pfn)
        self._anon.discard(key)
        self._orders.pop(key, None)
        if point.order:
            self._orders[key] = point.order
            last = point.pfn + (1 << point.order)
            self._anon = {each for each in self._anon if each[0] != key[0] or not point.pfn <= each[1] < last}

    def _split(self, event: Event, point: FolioSplit) -> None:
        key = frame_key(event, point.pfn)
        self._orders.pop(key, None)
        if key in self._anon:
            self._anon.update((key[0], pfn) for pfn in range(point.pfn, point.pfn + (1 << point.order)))

    def _is_anon(self, key: FrameKey) -> bool:
        if key in self._anon:
            return True
        host, pfn = key
        return any((host, pfn & -(1 << order)) in self._anon for order in set(self._orders.values()))

    # Bytes

    def _write(self, event: Event, point: MemoryWrite) -> None:
        key = frame_key(event, point.pfn)
        carried = self._carried.pop((event.context, point.by), None)
        if carried is not None:
            if carried or key in self._labels:
                self._labels.setdefault(key, Labels()).copy_in(point.offset, point.length, carried)
            return
        owner = self._domains.process(event, key, point.by) if self._is_anon(key) else ""
        if owner:
            label = Label(owner, event.index)
            self._labels.setdefault(key, Labels()).write(point.offset, point.length, label)
        elif key in self._labels:
            self._labels[key].write(point.offset, point.length, None)

    def _read(self, event: Event, point: MemoryRead) -> Iterable[Violation]:
        key, by = frame_key(event, point.pfn), point.by
        labels = self._labels.get(key)
        pieces = labels.read(point.offset, point.length) if labels is not None else []
        if by.startswith("block/"):
            fetched = self._fetched.setdefault((_disk(event, by), point.pfn), Labels())
            fetched.copy_in(point.offset, point.length, pieces)
            return ()
        if by.startswith(("cpu/", "dma/")) or by == "io_uring":
            return self._seen(event, key, pieces, self._domains.process(event, key, by)) if pieces else ()
        if by == "pipe":
            return self._drained(event, key, pieces)
        if self._domains.reaches_over(event, by):
            return ()
        self._carried[event.context, by] = pieces
        if pieces and by.startswith("fs/"):
            # A direct write that falls back to the page cache copies the user's page.
            return self._seen(event, key, pieces, self._domains.giver(event, key, "dio"))
        return ()

    def _drained(self, event: Event, key: FrameKey, pieces: list[Piece]) -> Iterable[Violation]:
        """Who reads a pipe may see what it could see anyway, and what whoever spliced could."""
        givers = self._domains.givers(key, "pipe")
        see = self._domains.may_see
        kept = [piece for piece in pieces if not any(see(key[0], giver, piece[2]) for giver in givers)]
        return self._seen(event, key, kept, self._domains.asks(event))

    def _stored(self, event: Event, point: BlockWrite) -> Iterable[Violation]:
        disk, key = _disk(event, point.block), frame_key(event, point.pfn)
        fetched = self._fetched.pop((disk, point.pfn), None)
        pieces = fetched.pieces if fetched is not None else []
        if (disk, point.lba) not in self._files:
            self._swapped[disk, point.lba] = pieces
            return ()
        return self._seen(event, key, pieces, self._domains.giver(event, key, "dio") or "a file")

    def _loaded(self, event: Event, point: BlockRead) -> None:
        pieces = self._swapped.get((_disk(event, point.block), point.lba))
        if pieces is not None:
            self._labels.setdefault(frame_key(event, point.pfn), Labels()).copy_in(0, PAGE_SIZE, pieces)

    def _seen(self, event: Event, key: FrameKey, pieces: list[Piece], reader: str) -> Iterable[Violation]:
        found = []
        for first, last, label in pieces:
            secret = bool(reader) and not self._domains.may_see(key[0], reader, label)
            if secret and (key, reader, label.owner) not in self._told:
                self._told.add((key, reader, label.owner))
                found.append(self._tell(event, key, reader, label, last - first))
        return found

    def _tell(self, event: Event, key: FrameKey, reader: str, label: Label, length: int) -> Violation:
        related = self._domains.related(key[0], reader, label.owner)
        why = "after they had parted" if related else "which shares nothing with it"
        by = f" ({event.point.by})" if isinstance(event.point, MemoryRead) else ""
        message = f"{reader}{by} got to see {length} byte(s) of page {key[1]} that {label.owner} wrote, {why}"
        return violation(self.kind, event, message, f"{key[0]}/process/{label.owner}", pfn=key[1])


def _disk(event: Event, name: str) -> str:
    return f"{host_of(event.actor)}/{short(name)}"
