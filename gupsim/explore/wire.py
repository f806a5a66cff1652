"""How parts of a search travel between processes: MessagePack, with names that mean the same everywhere.

Messages are named by who causes them, objects of footprints by actor, field and key; both are listed once in the
`Tables` of a message and referred to by their place there.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from gupsim.engine.errors import EngineError
from gupsim.explore.seen import Outcomes
from gupsim.explore.subject import Subject
from gupsim.search.access import NOTHING, Access
from gupsim.search.names import ANSWER, OUTSIDE, TIMER, Names
from gupsim.search.order import Order, members

VERSION = 1
OBSERVED = -1
"""The place of what observed tracepoints are about."""
NAMED_BY_MESSAGE = ("token", "context", "join")
"""Fields whose key is a message of the search and has another number in every process."""


class Tables(msgspec.Struct, array_like=True):
    """names: (place of the cause in this table, counted from 1, or 0 for the outside world; step) of each message.
    objects: encoded names. accesses: numbers of the bits of `Access.where`; then places of the objects that are only
    read, only added to, written; and of the written ones that were not looked at."""

    names: list[tuple[int, int]] = []
    objects: list[bytes] = []
    accesses: list[tuple[list[int], list[int], list[int], list[int], list[int]]] = []


class TreeNode(msgspec.Struct, array_like=True):
    """A node of the exploration tree; the nodes of a tree are listed in preorder. done: explored, with all below."""

    name: int
    access: int
    children: int
    done: bool = False


class Job(msgspec.Struct, array_like=True):
    """Explore below some leaves of a tree. leaves: places in `tree`. budget: executions after which to stop. wanted:
    stop earlier when these kinds were found; [] never."""

    subject: Subject
    tables: Tables
    tree: list[TreeNode]
    leaves: list[int]
    budget: int
    wanted: list[str] = []


class Draw(msgspec.Struct, array_like=True):
    """Run so many executions of a random strategy. number: of this draw in the search, which has `seed`."""

    subject: Subject
    strategy: str
    seed: int
    number: int
    executions: int
    wanted: list[str] = []


class Planned(msgspec.Struct, array_like=True):
    """A reversal to be planned outside the leaf that shows it: after which event of the leaf's path, what then.

    events: (name, access, mask of the positions of those before it in this list, as `mask_words`); the last one is
    that of the race's second message."""

    first: int
    events: list[tuple[int, int, list[int]]]


class Found(msgspec.Struct, array_like=True):
    """Violations of one kind in a part. first: the execution of the part, from 0, that showed it; count: how many."""

    kind: str
    message: str
    actors: list[str]
    first: int
    count: int
    schedule: list[int]


class Part(msgspec.Struct, array_like=True):
    """What came of one leaf, or of a draw. traces: of each execution, as `NamedTraces` encodes it. rest: what is left
    below the leaf, None if nothing; executions 0: nobody has begun with it."""

    executions: int = 0
    events: int = 0
    depth: int = 0
    blocked: int = 0
    cut: int = 0
    traces: bytes = b""
    found: list[Found] = []
    planned: list[Planned] = []
    rest: list[TreeNode] | None = None
    outcomes: Outcomes = msgspec.field(default_factory=Outcomes)


class Answer(msgspec.Struct, array_like=True):
    """What came of a job: a part for each leaf; or why it failed."""

    tables: Tables
    parts: list[Part]
    error: str = ""
    promise: str = ""


class Objects(Protocol):
    """Numbers for the objects of footprints."""

    def name(self, number: int) -> bytes: ...
    def bit(self, name: bytes) -> int: ...


class OrderObjects:
    """The objects of a search that runs in this process."""

    def __init__(self, order: Order, names: Names) -> None:
        self._order = order
        self._names = names
        self._encoded: dict[int, bytes] = {}

    def name(self, number: int) -> bytes:
        """The same in every process."""
        encoded = self._encoded.get(number)
        if encoded is None:
            place, key = self._order.objects[number]
            encoded = self._encoded[number] = self._encode(place, key)
        return encoded

    def bit(self, name: bytes) -> int:
        """The bit in this process."""
        place, key = _tuples(msgspec.msgpack.decode(name))
        if place != OBSERVED and key[0] in NAMED_BY_MESSAGE:
            key = (key[0], self._names.at(key[1]))
        return self._order.bit_of(place, key)

    def _encode(self, place: int, key: Any) -> bytes:
        if place != OBSERVED and key[0] in NAMED_BY_MESSAGE:
            key = (key[0], self._names.path(key[1]))
        encoded = msgspec.msgpack.encode((place, key))
        if _tuples(msgspec.msgpack.decode(encoded)) != (place, key):
            raise EngineError(f"the object {key!r} in a footprint has no name that another process understands")
        return encoded


class PlainObjects:
    """Numbers by themselves, for whoever runs no executions."""

    def __init__(self) -> None:
        self._names: list[bytes] = []
        self._bits: dict[bytes, int] = {}

    def name(self, number: int) -> bytes:
        """The name with this number."""
        return self._names[number]

    def bit(self, name: bytes) -> int:
        """A new number for a new name."""
        bit = self._bits.get(name)
        if bit is None:
            bit = self._bits[name] = 1 << len(self._names)
            self._names.append(name)
        return bit


class Packer:
    """Fills the tables of a message."""

    def __init__(self, names: Names, objects: Objects) -> None:
        self.tables = Tables([], [], [])
        self._names = names
        self._objects = objects
        self._of_mid: dict[int, int] = {OUTSIDE: 0}
        self._of_object: dict[int, int] = {}
        self._of_access: dict[tuple[int, int, int, int, int], int] = {}

    def name(self, mid: int) -> int:
        """The place of a message."""
        above = []
        while mid not in self._of_mid:
            above.append(mid)
            mid = self._names.parents[mid]
        place = self._of_mid[mid]
        for named in reversed(above):
            self.tables.names.append((place, self._names.step(named)))
            place = self._of_mid[named] = len(self.tables.names)
        return place

    def access(self, access: Access) -> int:
        """The place of what an event touched."""
        key = (access.where, access.reads, access.adds, access.writes, access.blind)
        place = self._of_access.get(key)
        if place is None:
            where, *masks = key
            reads, adds, writes, blind = map(self._objects_of, masks)
            place = self._of_access[key] = len(self.tables.accesses)
            self.tables.accesses.append((list(members(where)), reads, adds, writes, blind))
        return place

    def _objects_of(self, mask: int) -> list[int]:
        places = []
        while mask:
            low = mask & -mask
            mask ^= low
            number = low.bit_length() - 1
            place = self._of_object.get(number)
            if place is None:
                place = self._of_object[number] = len(self.tables.objects)
                self.tables.objects.append(self._objects.name(number))
            places.append(place)
        return places


class Unpacker:
    """Reads the tables of a message: mids and accesses by their places."""

    def __init__(self, tables: Tables, names: Names, objects: Objects) -> None:
        self.mids = [OUTSIDE]
        for cause, step in tables.names:
            self.mids.append(_child(names, self.mids[cause], step))
        bits = [objects.bit(name) for name in tables.objects]
        self.accesses = [_access(parts, bits) for parts in tables.accesses]


def _child(names: Names, mid: int, step: int) -> int:
    if step == ANSWER:
        return names.answer(mid)
    if step == TIMER:
        return names.timer(mid)
    row = names.children[mid]
    while len(row) <= step:
        names.next_child(mid)
    return row[step]


def _access(parts: tuple[list[int], ...], bits: list[int]) -> Access:
    wheres, *objects = parts
    if not wheres:
        return NOTHING
    where = 0
    for number in wheres:
        where |= 1 << number
    masks = []
    for places in objects:
        mask = 0
        for place in places:
            mask |= bits[place]
        masks.append(mask)
    return Access(where, *masks)


def _tuples(value: Any) -> Any:
    """MessagePack knows arrays only."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def mask_words(mask: int) -> list[int]:
    """A mask in numbers of 63 bits, as many as MessagePack holds."""
    words = []
    while mask:
        words.append(mask & (1 << 63) - 1)
        mask >>= 63
    return words


def mask_of(words: list[int]) -> int:
    """The mask again."""
    mask = 0
    for word in reversed(words):
        mask = mask << 63 | word
    return mask
