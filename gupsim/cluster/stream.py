"""A file of checksummed records that survives being cut off anywhere: journals and progress are kept in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgpack  # type: ignore[import-untyped]
import msgspec

from gupsim.cluster.errors import JournalError

STREAM_VERSION: Final = 1
MAX_ENTRY: Final = 256 << 20
_READ: Final = 1 << 18

_encoder: Final = msgspec.msgpack.Encoder()


class Stream:
    """Appends records: each is one `write` of a MessagePack pair (CRC-32, bytes). The first names kind and version.

    A record is safe from the end of the process once `append` has returned, and from the end of the machine if
    `durable`. Whoever reads stops at the first record that is cut off or does not match its checksum, and the next
    writer continues from there.

    path: the file; it is made if it is not there. kind: what it holds; another kind is refused.
    """

    def __init__(self, path: Path, kind: str, *, durable: bool = False) -> None:
        self.path = path
        self.torn = 0
        self.records: list[bytes] = []
        self._durable = durable
        self._head = _encoder.encode((kind, STREAM_VERSION))
        good = self._read()
        try:
            self._file = path.open("ab", buffering=0)
            self._file.truncate(good)
        except OSError as error:
            raise self._failed("cannot be opened", error) from None
        self._size = good
        if not good:
            self.append(self._head)
        elif self.records:
            self._check(self.records.pop(0))

    def append(self, record: bytes) -> None:
        """Add one record; JournalError if it cannot be written, and then the file is as it was before."""
        data = _encoder.encode((crc32(record), record))
        try:
            done = self._file.write(data)
            while done < len(data):
                done += self._file.write(data[done:])
            if self._durable:
                os.fdatasync(self._file.fileno())
        except OSError as error:
            self._undo()
            raise self._failed("cannot be written", error) from None
        self._size += len(data)

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._file.close()

    def _undo(self) -> None:
        try:
            self._file.truncate(self._size)
        except OSError:
            return  # the torn record will be dropped by whoever reads

    def _read(self) -> int:
        """Offset behind the last good record; the records are in `records`."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._failed("cannot be read", error) from None
        good = 0
        for end, record in self._pairs():
            self.records.append(record)
            good = end
        self.torn = size - good
        return good

    def _pairs(self) -> Iterator[tuple[int, bytes]]:
        unpacker = msgpack.Unpacker(max_buffer_size=MAX_ENTRY, use_list=True, raw=False)
        try:
            with self.path.open("rb", buffering=0) as file:
                while chunk := file.read(_READ):
                    try:
                        unpacker.feed(chunk)
                        for entry in unpacker:
                            if not _good(entry):
                                return
                            yield unpacker.tell(), entry[1]
                    except (msgpack.UnpackException, ValueError):
                        return
        except OSError as error:
            raise self._failed("cannot be read", error) from None

    def _check(self, head: bytes) -> None:
        if head != self._head:
            self._file.close()
            raise JournalError(f"{self.path} holds something else, or was written by another version of gupsim")

    def _failed(self, what: str, error: OSError) -> JournalError:
        return JournalError(f"{self.path} {what}: {error.strerror or error}")


def _good(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[1], bytes)
        and type(entry[0]) is int
        and entry[0] == crc32(entry[1])
    )
