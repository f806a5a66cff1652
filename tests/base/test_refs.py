"""Reference counts: the same answers as a plain counter, and the ledger rule at its edges."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.actors.base import Recorder, Refs
from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from tests.base.owner import RecordingOwner

AT = ("page.refs", 0)

steps = st.tuples(
    st.sampled_from(["get", "put", "set", "read"]),
    st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3),
    st.sampled_from(["", "a", "b"]),
)


def wrapped(value: int) -> int:
    """As C does it."""
    return array("i", array("I", [value & 0xFFFF_FFFF]).tobytes())[0]


@pytest.mark.parametrize("enabled", [True, False])
@given(program=st.lists(steps, max_size=20))
def test_references_count_as_a_plain_int32_does_read_modified_and_written(
    enabled: bool, program: list[tuple[str, int, str]]
) -> None:
    owner = RecordingOwner()
    owner.recorder = Recorder(enabled=enabled)
    refs = Refs(owner, "page.refs", 1)
    count = 0
    for step, amount, ledger in program:
        if step == "get":
            count = wrapped(count + amount)
            refs.get(0, amount, ledger)
        elif step == "put":
            count = wrapped(count - amount)
            assert refs.put(0, amount, ledger) is (count == 0)
        elif step == "set":
            count = amount
            refs.set(0, amount)
        assert refs.read(0) == count


def mode_of_put(standing: int, held: int, amount: int, ledger: str = "a") -> int:
    """How a put is recorded: `held` references of ledger "a" beside `standing` ones."""
    owner = RecordingOwner()
    refs = Refs(owner, "page.refs", 1)
    refs.set(0, standing)
    if held:
        refs.get(0, held, "a")
    owner.recorder.take()
    refs.put(0, amount, ledger)
    return owner.recorder.take()[AT]


def test_a_put_is_an_addition_if_its_ledger_holds_it_and_a_standing_reference_remains() -> None:
    assert mode_of_put(standing=1, held=2, amount=2) == COMMUTE


def test_a_put_without_a_standing_reference_looks_at_the_result() -> None:
    assert mode_of_put(standing=0, held=2, amount=1) == READ | WRITE


def test_a_put_of_more_than_its_ledger_holds_looks_at_the_result() -> None:
    assert mode_of_put(standing=5, held=1, amount=2) == READ | WRITE


def test_a_put_of_a_standing_reference_looks_at_the_result() -> None:
    assert mode_of_put(standing=5, held=1, amount=1, ledger="") == READ | WRITE


def test_a_put_by_another_ledger_looks_at_the_result() -> None:
    assert mode_of_put(standing=5, held=1, amount=1, ledger="b") == READ | WRITE


def test_a_get_within_reach_of_the_sign_bit_is_no_mere_addition() -> None:
    owner = RecordingOwner()
    refs = Refs(owner, "page.refs", 1)
    refs.set(0, 1 << 30)
    owner.recorder.take()
    refs.get(0, 1, "a")
    assert owner.recorder.take()[AT] == WRITE


def test_references_of_other_ledgers_are_not_standing_ones() -> None:
    owner = RecordingOwner()
    refs = Refs(owner, "page.refs", 1)
    refs.get(0, 1, "a")
    refs.get(0, 1, "b")
    owner.recorder.take()
    refs.put(0, 1, "a")
    assert owner.recorder.take()[AT] == READ | WRITE


def test_a_count_that_was_set_to_zero_has_no_holders_any_more() -> None:
    owner = RecordingOwner()
    refs = Refs(owner, "page.refs", 1)
    refs.set(0, 1)
    refs.get(0, 1, "a")
    refs.set(0, 0)
    refs.set(0, 5)
    owner.recorder.take()
    refs.put(0, 1, "a")
    assert owner.recorder.take()[AT] == READ | WRITE


def test_each_row_has_a_ledger_of_its_own() -> None:
    owner = RecordingOwner()
    refs = Refs(owner, "page.refs", 2)
    refs.set(1, 5)
    refs.get(0, 1, "a")
    owner.recorder.take()
    refs.put(1, 1, "a")
    assert owner.recorder.take() == {("page.refs", 1): READ | WRITE}
