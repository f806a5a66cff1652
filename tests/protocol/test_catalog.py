"""What all messages and tracepoints have in common."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from gupsim import protocol
from gupsim.protocol.catalog import ALL_MESSAGES, ALL_TRACEPOINTS
from gupsim.protocol.codec import Codec
from gupsim.protocol.message import Done, Message, Request, Tracepoint

IMMUTABLE = (
    inspect.IntType,
    inspect.FloatType,
    inspect.BoolType,
    inspect.StrType,
    inspect.BytesType,
    inspect.NoneType,
    inspect.EnumType,
    inspect.LiteralType,
)


def mutable_parts(info: inspect.Type, where: str) -> Iterator[str]:
    """Where in a type something sits that its owner could still change after sending it."""
    match info:
        case inspect.StructType():
            if not info.cls.__struct_config__.frozen:
                yield f"{where}: {info.cls.__name__} is not frozen"
            for field in info.fields:
                yield from mutable_parts(field.type, f"{where}.{field.name}")
        case inspect.VarTupleType():
            yield from mutable_parts(info.item_type, f"{where}[]")
        case inspect.TupleType():
            for number, item in enumerate(info.item_types):
                yield from mutable_parts(item, f"{where}[{number}]")
        case inspect.UnionType():
            for option in info.types:
                yield from mutable_parts(option, where)
        case _ if not isinstance(info, IMMUTABLE):
            yield f"{where}: {type(info).__name__}"


def classes_of_the_protocol(base: type) -> list[type]:
    """All subclasses that the modules of `protocol` define."""
    names = [module.name for module in pkgutil.iter_modules(protocol.__path__, "gupsim.protocol.")]
    members = [(name, member) for name in names for member in vars(importlib.import_module(name)).values()]
    return [
        member
        for name, member in members
        if isinstance(member, type) and issubclass(member, base) and member.__module__ == name
    ]


@pytest.mark.parametrize("cls", ALL_MESSAGES, ids=lambda cls: cls.__name__)
def test_no_field_of_a_message_can_be_changed_after_it_was_sent(cls: type[Message]) -> None:
    assert list(mutable_parts(inspect.type_info(cls), cls.__name__)) == []


def test_no_two_messages_share_a_tag() -> None:
    tags = Counter(cls.__struct_config__.tag for cls in ALL_MESSAGES)
    assert [tag for tag, times in tags.items() if times > 1] == []


def test_no_two_tracepoints_share_a_name() -> None:
    names = Counter(cls.__struct_config__.tag for cls in ALL_TRACEPOINTS)
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("cls", ALL_TRACEPOINTS, ids=lambda cls: cls.__name__)
def test_a_tracepoint_is_named_as_in_the_kernel_subsystem_colon_event(cls: type[Tracepoint]) -> None:
    subsystem, _, event = str(cls.__struct_config__.tag).partition(":")
    assert subsystem.isidentifier()
    assert event.isidentifier()


def test_every_message_that_the_protocol_defines_is_in_the_catalog() -> None:
    nested = {info.cls for cls in ALL_MESSAGES for info in structs_of(inspect.type_info(cls))}
    defined = set(classes_of_the_protocol(Message)) - {Message, Request}
    assert {cls.__name__ for cls in defined - nested - set(ALL_MESSAGES)} == set()


def test_every_tracepoint_that_the_protocol_defines_is_in_the_catalog() -> None:
    defined = set(classes_of_the_protocol(Tracepoint)) - {Tracepoint}
    assert {cls.__name__ for cls in defined - set(ALL_TRACEPOINTS)} == set()


def structs_of(info: inspect.Type) -> Iterator[inspect.StructType]:
    """All structs within a type."""
    match info:
        case inspect.StructType():
            yield info
            for field in info.fields:
                yield from structs_of(field.type)
        case inspect.VarTupleType():
            yield from structs_of(info.item_type)
        case inspect.TupleType():
            for item in info.item_types:
                yield from structs_of(item)
        case inspect.UnionType():
            for option in info.types:
                yield from structs_of(option)


def test_a_codec_refuses_two_messages_of_one_tag() -> None:
    impostor = msgspec.defstruct("Done", [], bases=(Message,), frozen=True)
    with pytest.raises(ValueError, match="'Done'"):
        Codec([Done, impostor])


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Done().error = 1  # type: ignore[attr-defined]
