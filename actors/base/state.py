"""State containers: where an actor keeps what it owns, so that footprints record themselves."""

# ruff: noqa: SLF001 - an Entity and its Fields are one thing in two classes
from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator
from typing import Any, Generic, Protocol, TypeVar, overload

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE, Recorder

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Owner(Protocol):
    """Whoever owns state: an actor, for its recorder."""

    @property
    def recorder(self) -> Recorder: ...


class Column:
    """One field of many like objects (struct page), a machine integer each: no Python object per row.

    field: its name in footprints, as "page.flags"; typecode and size as for `array.array`.
    """

    __slots__ = ("_recorder", "data", "field")

    def __init__(self, owner: Owner, field: str, typecode: str, size: int) -> None:
        self._recorder = owner.recorder
        self.field = field
        self.data = array(typecode, bytes(array(typecode).itemsize * size))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> int:
        if self._recorder.looking:
            self._recorder.note(self.field, row, READ)
        return int(self.data[row])

    def __setitem__(self, row: int, value: int) -> None:
        if self._recorder.looking:
            self._recorder.note(self.field, row, WRITE)
        self.data[row] = value

    def add(self, row: int, amount: int) -> None:
        """Add without looking at the result."""
        if self._recorder.looking:
            self._recorder.note(self.field, row, COMMUTE)
        self.data[row] += amount


class Bits:
    """A column of flag words in which each bit is an object of its own in footprints."""

    __slots__ = ("_recorder", "data", "field")

    def __init__(self, owner: Owner, field: str, size: int) -> None:
        self._recorder = owner.recorder
        self.field = field
        self.data = array("L", bytes(array("L").itemsize * size))

    def test(self, row: int, mask: int) -> int:
        """The bits of `mask` that are set."""
        self._note(row, mask, READ)
        return int(self.data[row] & mask)

    def change(self, row: int, set_mask: int, clear_mask: int) -> int:
        """Atomically set and clear bits; returns what those bits were before."""
        touched = set_mask | clear_mask
        self._note(row, touched, READ | WRITE)
        before = self.data[row]
        self.data[row] = (before & ~clear_mask) | set_mask
        return int(before & touched)

    def _note(self, row: int, mask: int, mode: int) -> None:
        if not self._recorder.looking:
            return
        while mask:
            bit = mask & -mask
            self._recorder.note(self.field, (row, bit), mode)
            mask ^= bit


class Map(Generic[K, V]):
    """A dictionary whose keys are separate objects in footprints; iterating reads all of them, in the order of keys.

    So it does not matter in which order two keys come or go. Where it does, use a `Fifo`.
    """

    __slots__ = ("_data", "_recorder", "field")

    _ALL = "*"
    _MEMBERSHIP = COMMUTE

    def __init__(self, owner: Owner, field: str) -> None:
        self._recorder = owner.recorder
        self.field = field
        self._data: dict[K, V] = {}

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: V) -> V: ...
    def get(self, key: K, default: V | None = None) -> V | None:
        if self._recorder.looking:
            self._recorder.note(self.field, key, READ)
        return self._data.get(key, default)

    def __getitem__(self, key: K) -> V:
        if self._recorder.looking:
            self._recorder.note(self.field, key, READ)
        return self._data[key]

    def __contains__(self, key: K) -> bool:
        if self._recorder.looking:
            self._recorder.note(self.field, key, READ)
        return key in self._data

    def __setitem__(self, key: K, value: V) -> None:
        recorder = self._recorder
        if recorder.looking:
            recorder.note(self.field, key, WRITE)
            recorder.aside(self.field, key, READ)
            if key not in self._data:
                recorder.note(self.field, self._ALL, self._MEMBERSHIP)
        self._data[key] = value

    def pop(self, key: K) -> V | None:
        """Remove and return, or None if it is not there."""
        self._recorder.note(self.field, key, READ | WRITE)
        if key not in self._data:
            return None
        self._recorder.note(self.field, self._ALL, self._MEMBERSHIP)
        return self._data.pop(key)

    def __len__(self) -> int:
        self._recorder.note(self.field, self._ALL, READ)
        return len(self._data)

    def __iter__(self) -> Iterator[K]:
        self._recorder.note(self.field, self._ALL, READ)
        return iter(self._keys())

    def values(self) -> list[V]:
        """All values, in the order of iteration."""
        return [value for _, value in self.items()]

    def items(self) -> list[tuple[K, V]]:
        """All pairs, in the order of iteration."""
        self._recorder.note(self.field, self._ALL, READ)
        for key in self._data:
            self._recorder.note(self.field, key, READ)
        return [(key, self._data[key]) for key in self._keys()]

    def _keys(self) -> list[K]:
        return sorted(self._data)  # type: ignore[type-var]  # keys of one map are of one comparable type


class Fifo(Map[K, V]):
    """A map that is iterated in the order in which its keys came: a list of things that wait (LRU, dirty inodes)."""

    __slots__ = ()

    _MEMBERSHIP = WRITE

    def _keys(self) -> list[K]:
        return list(self._data)


class Entity:
    """An object with recorded fields: declare them with `Field` in the class body.

    name: what it is called in footprints, as "inode 12".
    """

    __slots__ = ("_recorder", "_values", "name")

    def __init__(self, owner: Owner, name: str) -> None:
        self._recorder = owner.recorder
        self.name = name
        self._values: dict[str, Any] = {}


class Field(Generic[V]):
    """One recorded field of an `Entity`. The default must be immutable: it is shared."""

    def __init__(self, default: V) -> None:
        self.default = default
        self.name = ""

    def __set_name__(self, owner: type[Entity], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, entity: None, owner: type[Entity]) -> Field[V]: ...
    @overload
    def __get__(self, entity: Entity, owner: type[Entity]) -> V: ...
    def __get__(self, entity: Entity | None, owner: type[Entity]) -> Any:
        if entity is None:
            return self
        if entity._recorder.looking:
            entity._recorder.note(entity.name, self.name, READ)
        return entity._values.get(self.name, self.default)

    def __set__(self, entity: Entity, value: V) -> None:
        if entity._recorder.looking:
            entity._recorder.note(entity.name, self.name, WRITE)
        entity._values[self.name] = value

    def add(self, entity: Entity, amount: Any) -> None:
        """Add without looking at the result."""
        if entity._recorder.looking:
            entity._recorder.note(entity.name, self.name, COMMUTE)
        entity._values[self.name] = entity._values.get(self.name, self.default) + amount
