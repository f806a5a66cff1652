"""The promise on which the whole search rests: what the containers call independent commutes.

Two events are run in both orders after the same history. If their footprints do not conflict, all answers, all later
answers and all footprints must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gupsim.actors.base import Bits, Column, Entity, Field, Map, Refs
from gupsim.actors.base.footprint import Footprint, conflict
from tests.base.owner import RecordingOwner


class Inode(Entity):
    """An object with two fields."""

    size = Field(0)
    nlink = Field(0)


class Store:
    """One container of each kind, small enough that events meet."""

    def __init__(self) -> None:
        self.owner = RecordingOwner()
        self.column = Column(self.owner, "column", "i", 2)
        self.bits = Bits(self.owner, "bits", 1)
        self.map: Map[int, int] = Map(self.owner, "map")
        self.inode = Inode(self.owner, "inode")
        self.refs = Refs(self.owner, "refs", 2)

    def play(self, operations: list[Operation]) -> tuple[list[Any], Footprint]:
        """One event: its answers and its footprint."""
        self.owner.recorder.take()
        answers = [operation(self) for _, operation in operations]
        return answers, self.owner.recorder.take()

    def content(self) -> tuple[Any, ...]:
        """All that is in the containers."""
        inode = (self.inode.size, self.inode.nlink)
        return list(self.column.data), self.bits.data[0], self.map.items(), inode, list(self.refs.counts)


Operation = tuple[str, Callable[[Store], Any]]

rows = st.integers(0, 1)
keys = st.integers(0, 2)
amounts = st.integers(1, 2)
values = st.integers(0, 3)
masks = st.integers(0, 7)


def drawn(name: str, make: Callable[..., Callable[[Store], Any]], *parts: st.SearchStrategy[Any]) -> Any:
    """An operation with drawn arguments."""
    return st.tuples(*parts).map(lambda arguments: (f"{name}{arguments}", make(*arguments)))


OPERATIONS: dict[str, st.SearchStrategy[Operation]] = {
    "column": st.one_of(
        drawn("read", lambda row: lambda s: s.column[row], rows),
        drawn("write", lambda row, value: lambda s: s.column.__setitem__(row, value), rows, values),
        drawn("add", lambda row, value: lambda s: s.column.add(row, value), rows, values),
    ),
    "bits": st.one_of(
        drawn("test", lambda mask: lambda s: s.bits.test(0, mask), masks),
        drawn("change", lambda up, down: lambda s: s.bits.change(0, up, down), masks, masks),
    ),
    "map": st.one_of(
        drawn("get", lambda key: lambda s: s.map.get(key), keys),
        drawn("contains", lambda key: lambda s: key in s.map, keys),
        drawn("set", lambda key, value: lambda s: s.map.__setitem__(key, value), keys, values),
        drawn("pop", lambda key: lambda s: s.map.pop(key), keys),
        drawn("len", lambda: lambda s: len(s.map)),
        drawn("keys", lambda: lambda s: list(s.map)),
        drawn("items", lambda: lambda s: s.map.items()),
    ),
    "entity": st.one_of(
        drawn("read", lambda: lambda s: s.inode.size),
        drawn("write", lambda value: lambda s: setattr(s.inode, "size", value), values),
        drawn("add", lambda value: lambda s: Inode.size.add(s.inode, value), values),
        drawn("write other", lambda value: lambda s: setattr(s.inode, "nlink", value), values),
    ),
}


def references(*ledgers: str) -> st.SearchStrategy[Operation]:
    """Any operation on references in the name of one of the ledgers."""
    names = st.sampled_from(ledgers)
    return st.one_of(
        drawn("refs read", lambda row: lambda s: s.refs.read(row), rows),
        drawn("refs set", lambda row, value: lambda s: s.refs.set(row, value), rows, values),
        drawn("refs get", lambda row, n, name: lambda s: s.refs.get(row, n, name), rows, amounts, names),
        drawn("refs put", lambda row, n, name: lambda s: s.refs.put(row, n, name), rows, amounts, names),
    )


def check(history: list[Operation], first: list[Operation], second: list[Operation], later: list[Operation]) -> None:
    """Both orders of two events, after one history and before one future."""

    def play(*order: list[Operation]) -> tuple[list[Any], list[Any], Footprint, Footprint, Any]:
        store = Store()
        store.play(history)
        (answers, footprint), (other_answers, other_footprint) = (store.play(operations) for operations in order)
        return answers, other_answers, footprint, other_footprint, (store.play(later), store.content())

    for one, other in ((first, second), (second, first)):
        answers, other_answers, footprint, other_footprint, future = play(one, other)
        if conflict(footprint, other_footprint):
            event("dependent")
            continue
        event("independent")
        assert play(other, one) == (other_answers, answers, other_footprint, footprint, future)


def a_few(operations: st.SearchStrategy[Operation], most: int) -> st.SearchStrategy[list[Operation]]:
    return st.lists(operations, min_size=1, max_size=most)


@pytest.mark.parametrize("container", OPERATIONS)
@settings(max_examples=200)
@given(data=st.data())
def test_independent_events_on_one_container_commute(container: str, data: st.DataObject) -> None:
    some = OPERATIONS[container]
    check(*(data.draw(a_few(some, most)) for most in (6, 2, 2, 4)))


# A ledger is one kernel thread, or one mapping, whose gets and puts its page-table entry orders: a ledger's own
# operations never race with each other.


@settings(max_examples=200)
@given(
    history=a_few(st.one_of(*OPERATIONS.values(), references("", "a", "b", "c")), 8),
    first=a_few(st.one_of(*OPERATIONS.values(), references("", "a")), 3),
    second=a_few(st.one_of(*OPERATIONS.values(), references("", "b")), 3),
    later=a_few(st.one_of(*OPERATIONS.values(), references("", "a", "b", "c")), 8),
)
def test_independent_events_on_all_containers_commute(
    history: list[Operation], first: list[Operation], second: list[Operation], later: list[Operation]
) -> None:
    check(history, first, second, later)


def counting(ledger: str) -> st.SearchStrategy[Operation]:
    """A get or a put of one reference by one ledger."""
    return st.sampled_from(
        [
            (f"get by {ledger}", lambda s: s.refs.get(0, 1, ledger)),
            (f"put by {ledger}", lambda s: s.refs.put(0, 1, ledger)),
        ]
    )


@settings(max_examples=1000)
@given(
    standing=st.integers(0, 2),
    history=st.lists(st.one_of(*map(counting, "abc")), max_size=5),
    first=a_few(counting("a"), 2),
    second=a_few(counting("b") | counting(""), 2),
    later=a_few(st.one_of(*map(counting, ["", *"abc"])), 5),
)
def test_independent_gets_and_puts_commute(
    standing: int,
    history: list[Operation],
    first: list[Operation],
    second: list[Operation],
    later: list[Operation],
) -> None:
    check([("alloc", lambda s: s.refs.set(0, standing)), *history], first, second, later)
