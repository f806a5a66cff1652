"""Many nodes' records as the one trace that a single process would have written."""

from __future__ import annotations

import hashlib
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Final, Union

import msgspec

from gupsim.cluster.errors import ClusterError
from gupsim.cluster.records import RANK_BITS
from gupsim.protocol.catalog import ALL_TRACEPOINTS
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.node import Part
from gupsim.trace import EventReader, Header
from gupsim.trace.encoding import encode_record
from gupsim.trace.records import End, Event, Point

_raws: Final[msgspec.msgpack.Decoder[list[msgspec.Raw]]] = msgspec.msgpack.Decoder(list[msgspec.Raw])
_point: Final[msgspec.msgpack.Decoder[Point]] = msgspec.msgpack.Decoder(Point)
_encoder: Final = msgspec.msgpack.Encoder()


class Merge:
    """Takes each node's records round by round and passes on those of the rounds that every node has ended.

    All of a round comes before all of the next one, in virtual time: so each round is sorted by itself, and nothing
    is kept but what a slower node has not caught up with.

    header: with all actors. nodes: how many. file: where the trace goes, from where it stands, or None. digest: over
    what is in the file already. tracepoints: those that may occur.
    """

    def __init__(
        self,
        header: Header,
        nodes: int,
        file: BinaryIO | None = None,
        *,
        tracepoints: Sequence[type[Tracepoint]] = ALL_TRACEPOINTS,
    ) -> None:
        self.header = header
        self.readers: list[EventReader] = []
        self.round = -1
        self.deliveries = 0
        self.points = 0
        self.time = 0
        self.size = 0
        self._file = file
        self._sha256 = hashlib.sha256()
        self._upto = [-1] * nodes
        self._waiting: list[deque[Part]] = [deque() for _ in range(nodes)]
        union: Any = Union[tuple(tracepoints)]  # noqa: UP007 - the types are known at run time only
        self._tracepoint: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(union)

    def begin(self) -> None:
        """Write the header of the trace."""
        self.put(encode_record(self.header))

    def add(self, node: int, upto: int, parts: Sequence[Part]) -> None:
        """Records of a node. upto: it has ended all rounds up to this one. A part that is here already is dropped."""
        known = max(self._upto[node], self.round)
        self._waiting[node].extend(part for part in parts if part.round > known and part.places)
        self._upto[node] = max(self._upto[node], upto)

    def advance(self) -> int:
        """Pass on what is complete; the last complete round."""
        upto = min(self._upto)
        waiting = self._waiting
        while True:
            number = min((box[0].round for box in waiting if box), default=upto + 1)
            if number > upto:
                break
            self._round([box.popleft() for box in waiting if box and box[0].round == number])
        self.round = max(self.round, upto)
        return self.round

    def behind(self) -> list[int]:
        """The nodes that the others wait for: those whose rounds are fewest."""
        least = min(self._upto)
        return [node for node, upto in enumerate(self._upto) if upto == least]

    def end(self, time: int, decided: Iterable[str] = ()) -> str:
        """Write the end mark; the digest of the trace. time: of the last event (ns). decided: rules that decided
        something."""
        self.time = time
        self.put(encode_record(End(time, self.deliveries, tuple(sorted(decided)))))
        return self._sha256.hexdigest()

    def put(self, encoded: bytes) -> None:
        """Some bytes of the trace."""
        self._sha256.update(encoded)
        self.size += len(encoded)
        if self._file is not None:
            left = memoryview(encoded)
            while left:
                left = left[self._file.write(left) :]

    def open(self, file: BinaryIO) -> None:
        """Write the trace here, from where the file stands."""
        self._file = file

    def reread(self, encoded: bytes) -> None:
        """Bytes that are in the file already."""
        self._sha256.update(encoded)
        self.size += len(encoded)

    def resume(self, rounds: int) -> None:
        """All rounds up to this one have been read again."""
        self.round = rounds
        self._upto = [rounds] * len(self._upto)

    def saw_delivery(self, time: int) -> None:
        """Count a delivery of the trace. time: ns."""
        self.deliveries += 1
        self.time = time

    def saw(self, event: Event) -> None:
        """Let the readers have an event of the trace."""
        self.points = event.index + 1
        for reader in self.readers:
            reader(event)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _round(self, parts: list[Part]) -> None:
        places = array("q")
        points: list[int] = []
        for part in parts:
            points += [len(places) + place for place in memoryview(part.points).cast("I")]
            places.frombytes(part.places)
        count = len(places)
        if not count:
            return
        deliveries = sum(part.deliveries for part in parts)
        try:
            if len(parts) == 1 and not (points and self.readers):
                encoded = bytes(parts[0].records)
            else:
                records = [record for part in parts for record in _raws.decode(part.records)]
                if len(parts) > 1:
                    # The parts are sorted in themselves: this sort finds that out and merges them.
                    order = sorted(range(count), key=places.__getitem__)
                    wanted = set(points)
                    points = [new for new, old in enumerate(order) if old in wanted]
                    records = [records[old] for old in order]
                encoded = _encoder.encode(records)
                self._see(records, points)
            last = max(places) >> RANK_BITS
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, IndexError) as error:
            raise ClusterError(f"a node sent records that are none: {error}") from None
        self.deliveries += deliveries
        self.time = max(self.time, last)
        if not self.readers:
            self.points += len(points)
        self.put(encoded[1 if count < 16 else 3 if count < 65536 else 5 :])

    def _see(self, records: list[msgspec.Raw], points: list[int]) -> None:
        if not self.readers:
            return
        names = self.header.actors
        for place in points:
            record = _point.decode(records[place])
            delivery = (names[record.src] if record.src >= 0 else "", record.seq)
            point = self._tracepoint.decode(record.body)
            self.saw(Event(self.points, record.time, names[record.actor], delivery, record.context, point))
