"""Writes the trace of a timed run: its digest always, its bytes to a file if one is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from msgspec.structs import replace

from gupsim.engine.core import Item
from gupsim.engine.port import ActorPort
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.message import Tracepoint
from gupsim.trace.encoding import encode_batch, encode_deliveries, encode_record
from gupsim.trace.errors import TraceError
from gupsim.trace.live import EventReader, LiveEvents
from gupsim.trace.records import End, Header

BATCH = 512
"""Records that are encoded together. Larger batches gain nothing any more; a reader of the growing file is at most
this far behind."""


class TraceWriter:
    """Connects to a world and records what is delivered and reported there, in the total order.

    The digest is the SHA-256 over all bytes that the file has, or would have: header, records and end mark. Without
    a file nothing is kept but the batch that is not encoded yet.

    world: all actors must be there; it is sealed now. header: of the trace; its `actors` are filled in here.
    path: the file, or None. batch: records that are encoded and written together.
    """

    def __init__(
        self, world: TimedWorld, header: Header, path: Path | str | None = None, *, batch: int = BATCH
    ) -> None:
        world.seal()
        self.header = replace(header, actors=tuple(port.address for port in world.core.ports))
        self.live = LiveEvents()
        self.deliveries = 0
        self._core = world.core
        self._path = "" if path is None else str(path)
        self._file = self._open()
        self._sha256 = hashlib.sha256()
        self._limit = batch
        self._rows: list[Any] = []
        self._points = 0
        self._digest = ""
        self._write(encode_record(self.header))
        world.on_delivery = self.delivery
        world.on_tracepoint(self.tracepoint)

    @property
    def points(self) -> int:
        """Tracepoints so far."""
        return self.live.count

    def subscribe(self, reader: EventReader) -> None:
        """Pass every event from now on to `reader`, at the moment at which it happens."""
        self.live.subscribe(reader)

    def delivery(self, item: Item) -> None:
        """What `TimedWorld.on_delivery` calls: the hottest line of the package, so nothing is computed here."""
        rows = self._rows
        rows.append(item)
        if len(rows) >= self._limit:
            self.flush()

    def tracepoint(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        """What `Core.on_tracepoint` calls."""
        core = port.core
        current = core.current
        context = port.context
        self._points += 1
        self._rows.append(("t", core.now, port.rank, current[2], current[3], context, tracepoint))
        if self.live.readers:
            self.live.pass_on(port, context, tracepoint)
        else:
            self.live.count += 1

    def flush(self) -> None:
        """Encode what is waiting and hand it to the operating system, so that a reader of the file sees it."""
        rows = self._rows
        if not rows:
            return
        self.deliveries += len(rows) - self._points
        encoded = encode_batch(rows) if self._points else encode_deliveries(rows)
        # The list stays the same object: `delivery` would otherwise look it up anew each time.
        rows.clear()
        self._points = 0
        self._write(encoded)

    def close(self, decided: Iterable[str] = ()) -> str:
        """Write the end mark, close the file, and return the digest as hexadecimal text. Closing twice is allowed.
        decided: rules that decided something."""
        if not self._digest:
            self.flush()
            self._write(encode_record(End(self._core.now, self.deliveries, tuple(sorted(decided)))))
            self._digest = self._sha256.hexdigest()
            self._shut()
        return self._digest

    def abort(self) -> None:
        """Close the file without an end mark: whoever reads it is told that the run was interrupted."""
        if not self._digest:
            self.flush()
            self._shut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _open(self) -> BinaryIO | None:
        if not self._path:
            return None
        try:
            # Unbuffered: a batch is written whole, and may be read at once.
            return Path(self._path).open("wb", buffering=0)
        except OSError as error:
            raise TraceError(self._path, -1, f"cannot be written: {error.strerror or error}") from None

    def _write(self, encoded: bytes) -> None:
        self._sha256.update(encoded)
        if self._file is None:
            return
        left = memoryview(encoded)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise TraceError(self._path, -1, f"cannot be written: {error.strerror or error}") from None

    def _shut(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
