"""A search in parts explores what a search in one piece explores: each trace once, in whatever order parts come."""

import inspect
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gupsim.explore.subject import ProgramSubject
from gupsim.explore.wire import NAMED_BY_MESSAGE
from gupsim.search import port
from tests.explore.in_parts import number_of_traces, program, traces_in_parts


@pytest.mark.parametrize(
    ("subject", "traces"),
    [
        (program("readers", 6), 64),
        (program("lastzero", 5), 64),
        (program("popl14"), 5),
        (program("chain", 3, 3), 216),
        (program("mailbox_rw", 3, 2), 54),
        (program("increments", 3), 36),
        (program("store_buffer_ring", 3), 7),
        (program("pingers", 4), 24),
        (program("fifo", 3, 3), 20),
    ],
    ids=lambda value: value.maker.rpartition(":")[2] if isinstance(value, ProgramSubject) else str(value),
)
@pytest.mark.parametrize("budget", [1, 5])
def test_each_trace_is_explored_once_in_parts_too(subject: ProgramSubject, traces: int, budget: int) -> None:
    found = traces_in_parts(subject, budget=budget, seed=1)
    assert len(found) == traces
    assert set(found.values()) == {1}


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, 100_000), budget=st.integers(1, 8), order=st.integers(0, 1_000))
def test_no_order_of_parts_loses_or_repeats_a_trace_of_a_random_program(number: int, budget: int, order: int) -> None:
    subject = ProgramSubject("tests.explore.many_programs:random_program", ("parts", number))
    traces = number_of_traces(subject, limit=60)
    if traces <= 60:
        found = traces_in_parts(subject, budget=budget, seed=order)
        assert len(found) == traces
        assert set(found.values()) == {1}


def test_every_field_of_the_engine_is_known_to_be_named_by_a_message() -> None:
    fields = set(re.findall(r'\bnote\("(\w+)"', inspect.getsource(port)))
    assert fields == set(NAMED_BY_MESSAGE)
