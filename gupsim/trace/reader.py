"""Reads a trace file as a stream: whole, cut off, still growing, or not a trace at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Union

import msgpack  # type: ignore[import-untyped]
import msgspec

from gupsim.protocol import ALL_TRACEPOINTS
from gupsim.protocol.message import Tracepoint
from gupsim.trace.errors import TraceCut, TraceError
from gupsim.trace.records import TRACE_VERSION, Delivery, End, Event, Header, Point

MAX_RECORD = 32 << 20
"""Bytes in one record. The largest is a registration of a million pages, with 5 bytes a page."""

_READ = 1 << 18
"""Bytes asked of the file at once."""

_NAMES = frozenset(str(kind.__struct_config__.tag) for kind in ALL_TRACEPOINTS)
_Record = Delivery | Point | End


class _Name(msgspec.Struct):
    """Enough of a tracepoint to know its name."""

    tp: str


class TraceReader:
    """The records of one file, in order, each validated to its type.

    The boundaries of the records come from `msgpack.Unpacker`, which knows no schema and builds nothing while it
    skips: what a hostile file claims to hold costs no memory. Every failure is one TraceError.

    path: the file. Opening reads its header. Afterwards iterate once over `records` or `events`; then
    `end` is the end mark, or `cut` says where the file breaks off, and `sha256` is the digest of a whole file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self.end: End | None = None
        self.cut: TraceCut | None = None
        self.sha256 = ""
        self.time = 0
        self._hash = hashlib.sha256()
        self._stream = self._slices()
        self._offset = 0
        self._torn = 0
        self._point: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Union[ALL_TRACEPOINTS])  # noqa: UP007
        self._record: msgspec.msgpack.Decoder[_Record] = msgspec.msgpack.Decoder(_Record)
        self._name = msgspec.msgpack.Decoder(_Name)
        self.header = self._read_header()
        self._actors = self.header.actors

    def name_of(self, rank: int) -> str:
        """Address of an actor; "" for the outside world."""
        return self._actors[rank] if rank >= 0 else ""

    def events(self) -> Iterator[Event]:
        """The tracepoints alone, as checkers and reports want them."""
        for record in self.records():
            if type(record) is Event:
                yield record

    def records(self) -> Iterator[Delivery | Event]:
        """Deliveries and tracepoints in the order of the trace."""
        actors = self._actors
        count = len(actors)
        decode = self._record.decode
        index = deliveries = 0
        for start, encoded in self._stream:
            try:
                record = decode(encoded)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise TraceError(self.path, start, f"is not a record of a trace: {error}") from None
            if type(record) is Delivery:
                if not (-1 <= record.src < count and 0 <= record.dst < count and -1 <= record.cause_src < count):
                    raise TraceError(
                        self.path, start, f"delivery names an actor that the header does not have: {record}"
                    )
                deliveries += 1
                self.time = record.time
                yield record
            elif type(record) is Point:
                if not (-1 <= record.src < count and 0 <= record.actor < count):
                    raise TraceError(
                        self.path, start, f"tracepoint of an actor that the header does not have: {record}"
                    )
                point = self._tracepoint(start, record.body)
                self.time = record.time
                delivery = (actors[record.src] if record.src >= 0 else "", record.seq)
                yield Event(index, record.time, actors[record.actor], delivery, record.context, point)
                index += 1
            else:
                assert isinstance(record, End)
                self._finish(start, record, deliveries)
                return
        self.cut = TraceCut(
            path=self.path, offset=self._offset, torn=self._torn, records=index + deliveries, time=self.time
        )

    def warnings(self) -> list[str]:
        """What a person should know about the file, once it was read."""
        return [self.cut.say()] if self.cut is not None else []

    def _finish(self, start: int, record: End, deliveries: int) -> None:
        if record.events != deliveries:
            raise TraceError(
                self.path, start, f"the end mark counts {record.events} deliveries, but the file has {deliveries}"
            )
        for beyond, _ in self._stream:
            raise TraceError(self.path, beyond, "there is more after the end mark")
        if self._torn:
            raise TraceError(self.path, self._offset, "there is more after the end mark")
        self.end = record
        self.sha256 = self._hash.hexdigest()

    def _tracepoint(self, start: int, body: msgspec.Raw) -> Tracepoint:
        try:
            point: Tracepoint = self._point.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why: object = error
        else:
            return point
        try:
            name = self._name.decode(body).tp
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            name = ""
        if name and name not in _NAMES:
            why = f"unknown tracepoint {name!r}: was the file written by a newer gupsim?"
        else:
            why = f"malformed tracepoint {name}: {why}"
        raise TraceError(self.path, start, str(why)) from None

    def _read_header(self) -> Header:
        for _, encoded in self._stream:
            try:
                plain = msgspec.msgpack.decode(encoded)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                plain = None
            if not (isinstance(plain, list) and len(plain) > 1 and plain[0] == "header" and type(plain[1]) is int):
                raise TraceError(self.path, 0, "is not a gupsim trace: it does not begin with a trace header")
            if plain[1] != TRACE_VERSION:
                raise TraceError(
                    self.path, 0, f"is a trace of version {plain[1]}; this gupsim reads version {TRACE_VERSION}"
                )
            try:
                return msgspec.msgpack.decode(encoded, type=Header)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise TraceError(self.path, 0, f"its trace header is malformed: {error}") from None
        if self._torn:
            raise TraceError(self.path, self._torn, "is cut off within its header, so nothing can be read of it")
        raise TraceError(self.path, -1, "is empty: a trace begins with a header")

    def _slices(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each whole record."""
        with self._open() as file:
            boundaries = msgpack.Unpacker(max_buffer_size=MAX_RECORD + _READ)
            pending = b""
            start = 0
            while chunk := self._read(file):
                self._hash.update(chunk)
                pending = pending + chunk if pending else chunk
                base = start
                for end in self._ends(boundaries, chunk, start):
                    # As far as this record, whoever iterates has all of the file.
                    self._offset = end
                    yield start, pending[start - base : end - base]
                    start = end
                pending = pending[start - base :]
                self._torn = len(pending)
                if len(pending) > MAX_RECORD:
                    raise TraceError(self.path, start, f"a record is larger than {MAX_RECORD} bytes")

    def _ends(self, boundaries: msgpack.Unpacker, chunk: bytes, start: int) -> Iterator[int]:
        """Where each record ends that `chunk` completes."""
        try:
            boundaries.feed(chunk)
            while True:
                try:
                    boundaries.skip()
                except msgpack.OutOfData:
                    return
                start = boundaries.tell()
                yield start
        except msgpack.BufferFull:
            raise TraceError(self.path, start, f"a record is larger than {MAX_RECORD} bytes") from None
        except (msgpack.UnpackException, ValueError) as error:
            if isinstance(error, TraceError):
                raise
            what = "is nested too deeply" if isinstance(error, msgpack.StackError) else "is not MessagePack"
            if not start:
                what = "is not a gupsim trace"
            raise TraceError(self.path, start, what) from None

    def _open(self) -> BinaryIO:
        try:
            return Path(self.path).open("rb", buffering=0)
        except OSError as error:
            raise TraceError(self.path, -1, f"cannot be read: {error.strerror or error}") from None

    def _read(self, file: BinaryIO) -> bytes:
        try:
            return os.read(file.fileno(), _READ)
        except OSError as error:
            raise TraceError(self.path, -1, f"cannot be read: {error.strerror or error}") from None
