"""What a node has received, kept on its disk: the same frames taken in again give the same node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from gupsim.cluster.errors import JournalError
from gupsim.cluster.stream import Stream

KIND: Final = "gupsim journal"


class Heading(msgspec.Struct, frozen=True, array_like=True, tag="run"):
    """Of which run and node this is the journal. digest: of the plan; lookahead: ns."""

    run: str
    digest: str
    index: int
    lookahead: int


class Taken(msgspec.Struct, frozen=True, array_like=True, tag="taken", gc=False):
    """All frames of one round, as they came, by the index of their sender. chain: the rolling hash before them."""

    round: int
    chain: bytes
    frames: dict[int, bytes]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Heading | Taken]] = msgspec.msgpack.Decoder(Heading | Taken)


class Journal:
    """One node's journal of one run.

    path: the file. heading: what it must belong to; a journal of another run is refused. durable: each record reaches
    the disk itself before the node goes on, so that it also survives the loss of power; costs one fdatasync a window.
    """

    def __init__(self, path: Path, heading: Heading, *, durable: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = Stream(path, KIND, durable=durable)
        self.path = path
        stored = self._stream.records
        self._stream.records = []
        if not stored:
            self._stream.append(_encoder.encode(heading))
        elif self._decoded(stored[0]) != heading:
            self._stream.close()
            raise JournalError(f"{path} is the journal of another run, node or version: move it away")
        self._taken = stored[1:]

    @property
    def torn(self) -> int:
        """Bytes at the end that were cut through and have been dropped."""
        return self._stream.torn

    def replay(self) -> Iterator[Taken]:
        """The rounds that were taken, from the first; once."""
        stored, self._taken = self._taken, []
        for number, record in enumerate(stored):
            taken = self._decoded(record)
            if not isinstance(taken, Taken) or taken.round != number:
                raise JournalError(f"{self.path}: record {number} is not of round {number}: move the journal away")
            yield taken

    def append(self, number: int, chain: bytes, frames: Mapping[int, bytes]) -> None:
        """Before a round is played, and before this node's next frame goes out, which tells the peers so."""
        self._stream.append(_encoder.encode(Taken(number, chain, dict(frames))))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _decoded(self, record: bytes) -> Heading | Taken:
        try:
            return _decoder.decode(record)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise JournalError(f"{self.path} holds a record that is none: {error}") from None
