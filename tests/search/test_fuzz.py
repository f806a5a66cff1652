"""Random programs: the reduction shows what all interleavings show, and commuting accesses hide nothing.

The long run is ``python -m tests.search.fuzz --minutes N --seed S``.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.search.compare import compare_with_all, compare_with_plain
from tests.search.random_programs import program, random_spec

MODEST = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def drawer(data: st.DataObject) -> Callable[[int], int]:
    return lambda below: data.draw(st.integers(0, below - 1))


@MODEST
@given(st.data())
def test_the_reduction_finds_each_trace_once_and_ends_as_all_interleavings_do(data: st.DataObject) -> None:
    compare_with_all(program(random_spec(drawer(data))), 300)


@MODEST
@given(st.data())
def test_what_commutes_ends_as_plain_reads_and_writes_do(data: st.DataObject) -> None:
    compare_with_plain(program(random_spec(drawer(data))), 60)
