"""Deliveries and tracepoints as bytes of the trace: many at a time, because one at a time costs twice as much."""

from __future__ import annotations

from typing import Any

import msgspec

from gupsim.engine.core import Item
from gupsim.protocol.message import Message, Tracepoint
from gupsim.trace.records import End, Header

_encoder = msgspec.msgpack.Encoder()


class _TypeNames(dict[type, str]):
    """Class name of a message; "" for what an actor tells itself (a lock granted, a timer, a join)."""

    def __missing__(self, kind: type) -> str:
        name = self[kind] = kind.__name__ if issubclass(kind, Message) else ""
        return name


_names = _TypeNames()

PointRow = tuple[str, int, int, int, int, str, Tracepoint]
"""A Point before it is encoded: "t", time, actor, src, seq, context, tracepoint."""


def encode_record(record: Header | End) -> bytes:
    """The bytes of the first or the last record."""
    return _encoder.encode(record)


def encode_batch(batch: list[Any]) -> bytes:
    """The bytes of many records, one after the other. batch: Items and PointRows in the order of the trace."""
    rows = [
        row
        if len(row) == 7
        else ("d", row[0], row[2], row[1], row[3], _names[type(row[4])], row[5], row[7], row[8], row[9])
        for row in batch
    ]
    return encode_rows(rows)


def encode_rows(rows: list[Any]) -> bytes:
    """The same for records that are rows already: PointRows, and deliveries with the fields of `Delivery`."""
    return _without_array_header(_encoder.encode(rows), len(rows))


def encode_deliveries(batch: list[Item]) -> bytes:
    """As `encode_batch`, for Items alone: a third faster."""
    names = _names
    rows = [
        ("d", due, src, dst, seq, names[type(message)], reply_to, context, cause_src, cause_seq)
        for due, dst, src, seq, message, reply_to, _, context, cause_src, cause_seq in batch
    ]
    return encode_rows(rows)


def _without_array_header(encoded: bytes, count: int) -> bytes:
    # A list of n records is their concatenation behind an array header of 1, 3 or 5 bytes.
    return encoded[1 if count < 16 else 3 if count < 65536 else 5 :]
