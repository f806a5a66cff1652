"""Footprints of plain attributes, so that an actor that keeps its state in ``self.balance`` is searched correctly."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import msgspec

from gupsim.actors.base import Actor, Bits, Column, Entity, Map, Recorder, Refs, TicketLock, WaitQueue
from gupsim.actors.base.footprint import READ, WRITE

_ENGINE: Final = frozenset({"address", "host", "port", "send", "trace", "now", "random", "recorder", "methods"})
"""Of `Actor` itself: they do not change, or the engine knows what they do to the order."""

_HIDDEN: Final = frozenset({"__class__", "__dict__"})

_RECORDED: Final = (Bits, Column, Entity, Map, Recorder, Refs, TicketLock, WaitQueue)
"""Record themselves."""

_IMMUTABLE: Final = (
    int, float, complex, str, bytes, type(None), range, Enum, type,
    FunctionType, BuiltinFunctionType, MethodType, functools.partial, ModuleType,
)  # fmt: skip

_MUTABLE: Final = frozenset({list, dict, set, bytearray, deque})

_TRUSTED: Final = "gupsim.actors."
"""Actors of the kernel keep their state in recorded containers; a fuzzer holds them to it."""


def watch(actor: Actor) -> None:
    """From now on, reads and writes of the actor's attributes count for the order of events.

    An attribute with a mutable value (a list, a dict, an object) counts as written whenever it is read, because
    nobody sees what is then done with it: correct, but more interleavings than with `Map`, `Column` or `Field`.
    """
    kind = type(actor)
    if not kind.__module__.startswith(_TRUSTED):
        actor.__class__ = _watched(kind)


def mode_of(value: object) -> int:
    """How reading an attribute with this value counts: 0, READ, or READ | WRITE."""
    kind = type(value)
    if kind in _MUTABLE:
        return READ | WRITE
    if isinstance(value, _IMMUTABLE):
        return READ
    if isinstance(value, _RECORDED):
        return 0
    if isinstance(value, tuple | frozenset):
        return READ | WRITE if any(mode_of(item) & WRITE for item in value) else READ
    if isinstance(value, msgspec.Struct) and value.__struct_config__.frozen:
        return READ
    return READ | WRITE


_kinds: Final[dict[type[Actor], type[Actor]]] = {}
"""Made once for each class: making one takes longer than a short execution."""


def _watched(kind: type[Actor]) -> type[Actor]:
    made = _kinds.get(kind)
    if made is None:
        made = _kinds[kind] = _make(kind)
    return made


def _make(kind: type[Actor]) -> type[Actor]:
    outer_get: Callable[[Any, str], Any] = kind.__getattribute__
    plain_get = object.__getattribute__
    # Methods and properties are code: what they look at, they note themselves. A class attribute is a first value.
    code = frozenset(name for name in dir(kind) if hasattr(inspect.getattr_static(kind, name), "__get__"))

    def __getattribute__(self: Any, name: str) -> Any:  # noqa: N807 - becomes the method of that name
        if name in _ENGINE or name in _HIDDEN or (name in code and name not in plain_get(self, "__dict__")):
            return outer_get(self, name)
        mode = READ
        try:
            value = outer_get(self, name)
            mode = mode_of(value)
            return value
        finally:  # also if there is none yet
            if mode:
                plain_get(self, "port").recorder.note(f"self.{name}", "", mode)

    def __setattr__(self: Any, name: str, value: object) -> None:  # noqa: N807 - as above
        plain_get(self, "port").recorder.note(f"self.{name}", "", WRITE)
        kind.__setattr__(self, name, value)

    def __delattr__(self: Any, name: str) -> None:  # noqa: N807 - as above
        plain_get(self, "port").recorder.note(f"self.{name}", "", READ | WRITE)
        kind.__delattr__(self, name)

    members = {
        "__getattribute__": __getattribute__,
        "__setattr__": __setattr__,
        "__delattr__": __delattr__,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    return type(kind.__name__, (kind,), members)
