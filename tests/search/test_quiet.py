"""A delivery that touches nothing is no event of the reduction: as many traces, only shorter ones."""

from __future__ import annotations

from typing import Any

import pytest

from gupsim.actors.base.port import wait
from gupsim.search import Dfs, Dpor, Program, search
from gupsim.search import programs as p
from gupsim.search.runs import Runs
from gupsim.search.strict import latest_first
from tests.search.compare import compare_with_all, end_of
from tests.search.contexts import Go, Place, Serve, program


async def touch(place: Place) -> None:
    place.cells[0] = 2 * place.cells[0] + 1


async def through_two_places(place: Place) -> None:
    """Asks one that asks another: neither the asker nor the one between touches anything when it goes on."""
    await place.ask("p/1", Serve(2))
    place.cells[0] *= 3


async def pass_on(place: Place) -> None:
    await place.ask("p/2", Serve(0))


async def sleep_until_woken(place: Place) -> None:
    token = place.port.reserve()
    place.log.append(token)
    place.send("p/0", Go(2))
    await wait(token)
    place.cells[0] += 1


async def wake(place: Place) -> None:
    """Touches nothing but the sleep of another context."""
    token = place.log[0]
    assert isinstance(token, int)
    place.port.wake(token)


async def triple(place: Place) -> None:
    place.cells[0] = 3 * place.cells[0] + 1


PROGRAMS: list[tuple[str, Program[Any], int]] = [
    ("answers that lead on", program(touch, through_two_places, pass_on, places=3, start=[(0, 0), (0, 1)]), 2),
    ("a context that only wakes", program(sleep_until_woken, triple, wake, start=[(0, 0), (0, 1)]), 2),
    ("pingers", p.pingers(3), 6),
    ("chain", p.chain(3, 2), 8),
]


@pytest.mark.parametrize(("searched", "traces"), [case[1:] for case in PROGRAMS], ids=[case[0] for case in PROGRAMS])
def test_every_trace_is_found_without_them(searched: Program[Any], traces: int) -> None:
    outcome = compare_with_all(searched, 10_000)
    assert outcome is not None
    assert outcome.second == traces


def test_they_do_not_count_as_events() -> None:
    searched = PROGRAMS[0][1]
    deliveries = search(searched, Dfs()).depth
    assert search(searched, Dpor()).depth < deliveries


def test_a_schedule_has_all_deliveries() -> None:
    runs = Runs(PROGRAMS[0][1])
    for execution in Dpor().executions(runs):
        assert end_of(runs.end(runs.open(execution.schedule), ())) == end_of(execution)
        assert len(execution.schedule) > len(runs.order)


def test_independent_events_swap_around_them() -> None:
    runs = Runs(PROGRAMS[0][1])
    for execution in Dpor().executions(runs):
        swapped = latest_first(runs.order)
        assert sorted(swapped) == sorted(execution.schedule)
        assert end_of(runs.end(runs.open(swapped), ())) == end_of(execution)
