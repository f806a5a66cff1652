"""Random programs: the reduction shows what all interleavings show, and commuting accesses hide nothing.

The long run is ``python -m tests.search.fuzz --minutes N --seed S``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gupsim.search import Dpor
from gupsim.search.runs import Runs
from tests.search.compare import compare_with_all, compare_with_plain
from tests.search.random_programs import Spec, program, random_spec

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


def test_an_execution_that_ran_ahead_is_entered_only_as_it_was_run() -> None:
    """Two executions ran ahead from the same past; the first to be entered told what touches nothing at other places
    in it. Found by the fuzzer (seed 20261120, program 1269)."""
    spec = Spec(
        1,
        [
            (("send", 0, 2), ("lock", 0), ("cancel",), ("where",)),
            (("lock", 0), ("ask_within", 0, 3), ("fulfil", 1)),
            (("ask_within", 0, 3), ("expect",)),
            (("promise", 0), ("get", 0), ("get", 0), ("put", 0, 3)),
            (("unlock",),),
        ],
        [(0, 0, "t0"), (0, 1, ""), (0, 0, "t2")],
    )
    outcome = compare_with_plain(program(spec), 400)
    assert outcome is not None
    assert (outcome.first, outcome.second) == (1280, 288)


def told(spec: Spec, limit: int) -> list[list[str]]:
    """Each execution of a search, delivery by delivery."""
    runs = Runs(program(spec))
    return [
        [runs.names.text(mid) for mid in execution.schedule] for execution in islice(Dpor().executions(runs), limit)
    ]


@MODEST
@given(st.data())
def test_an_execution_is_told_the_same_whether_it_ran_ahead_or_not(data: st.DataObject) -> None:
    """Else a search in parts, where other executions run ahead, would hand over other schedules."""
    spec = random_spec(drawer(data))
    ahead = told(spec, 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gupsim.search.dpor.MOST_EVENTS_AHEAD", 0)
        assert told(spec, 60) == ahead
