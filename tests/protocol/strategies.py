"""Hypothesis strategies for messages, made from their types."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from gupsim.protocol.envelope import PROTOCOL_VERSION, Envelope
from gupsim.protocol.message import Message

WORD = 2**63

addresses = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,9}(/[a-z0-9][a-z0-9_.-]{0,9}){0,3}", fullmatch=True)


@cache
def messages(cls: type[Message]) -> st.SearchStrategy[Message]:
    """Any value of one message class."""
    return _struct(inspect.type_info(cls))  # type: ignore[arg-type]


def envelopes(body: bytes) -> st.SearchStrategy[Envelope]:
    """Any envelope around a message that is encoded already."""
    numbers = st.integers(0, WORD - 1)
    return st.builds(
        Envelope,
        version=st.just(PROTOCOL_VERSION),
        src=addresses,
        dst=addresses,
        seq=numbers,
        sent=numbers,
        due=numbers,
        request=st.booleans(),
        reply_to=st.integers(-1, WORD - 1),
        context=st.text(max_size=20),
        cause=st.tuples(st.text(max_size=20), numbers),
        body=st.just(msgspec.Raw(body)),
    )


def _struct(info: inspect.StructType) -> st.SearchStrategy[Any]:
    return st.builds(info.cls, **{field.name: _values(field.type) for field in info.fields})


def _values(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.IntType():
            least = -WORD if info.ge is None else info.ge
            most = WORD - 1 if info.le is None else info.le
            return st.integers(least, most)
        case inspect.FloatType():
            return st.floats(allow_nan=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.StrType() if info.pattern:
            matching = st.from_regex(info.pattern)
            most = info.max_length
            return matching if most is None else matching.filter(lambda text: len(text) <= most)
        case inspect.StrType():
            return st.text(max_size=20)
        case inspect.BytesType():
            return st.binary(max_size=min(info.max_length or 64, 64))
        case inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.VarTupleType():
            return st.lists(_values(info.item_type), max_size=3).map(tuple)
        case inspect.TupleType():
            return st.tuples(*map(_values, info.item_types))
        case inspect.UnionType():
            return st.one_of(*map(_values, info.types))
        case inspect.StructType():
            return _struct(info)
        case _:
            raise NotImplementedError(f"no strategy for {info}: is it immutable?")
