"""When two events of one actor depend on each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.actors.base import Recorder
from gupsim.actors.base.footprint import COMMUTE, READ, WRITE, conflict

modes = st.integers(1, READ | WRITE | COMMUTE)
footprints = st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), modes, max_size=5)


@pytest.mark.parametrize(
    ("first", "second", "dependent"),
    [
        (READ, READ, False),
        (COMMUTE, COMMUTE, False),
        (READ, COMMUTE, True),
        (READ, WRITE, True),
        (COMMUTE, WRITE, True),
        (WRITE, WRITE, True),
        (READ | WRITE, READ, True),
        (READ | COMMUTE, READ, True),
        (READ | COMMUTE, COMMUTE, True),
        (READ | COMMUTE, READ | COMMUTE, True),
    ],
)
def test_two_accesses_to_one_object_conflict_unless_both_read_or_both_add(
    first: int, second: int, dependent: bool
) -> None:
    at = ("page.refs", 7)
    assert conflict({at: first}, {at: second}) is dependent
    assert conflict({at: second}, {at: first}) is dependent


def test_accesses_to_different_objects_never_conflict() -> None:
    assert not conflict({("page.refs", 7): WRITE}, {("page.refs", 8): WRITE, ("page.flags", 7): WRITE})


def test_one_conflicting_object_among_many_is_enough() -> None:
    many = {("page.refs", number): READ for number in range(9)}
    assert conflict(many, {("page.refs", 3): READ, ("page.refs", 4): WRITE})


def test_nothing_conflicts_with_nothing() -> None:
    assert not conflict({}, {("page.refs", 7): WRITE})


@given(first=footprints, second=footprints)
def test_it_does_not_matter_which_event_is_named_first(
    first: dict[tuple[str, int], int], second: dict[tuple[str, int], int]
) -> None:
    assert conflict(first, second) == conflict(second, first)  # type: ignore[arg-type]


def test_a_recorder_collects_all_modes_of_an_object() -> None:
    recorder = Recorder(enabled=True)
    recorder.note("page.refs", 7, READ)
    recorder.note("page.refs", 7, WRITE)
    recorder.note("page.refs", 8, COMMUTE)
    assert recorder.take() == {("page.refs", 7): READ | WRITE, ("page.refs", 8): COMMUTE}


def test_taking_a_footprint_begins_a_new_one() -> None:
    recorder = Recorder(enabled=True)
    recorder.note("page.refs", 7, READ)
    recorder.take()
    assert recorder.take() == {}


def test_a_recorder_that_nobody_needs_records_nothing() -> None:
    recorder = Recorder()
    recorder.note("page.refs", 7, READ)
    assert recorder.take() == {}
