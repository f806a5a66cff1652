"""Strategies that sample: repeatable by seed, and as good as they promise."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import pytest

from gupsim.search import (
    ChainPriorities,
    Dfs,
    Dpor,
    Finding,
    PartialOrderSampling,
    Program,
    RandomWalk,
    Runs,
    Strategy,
    search,
)
from gupsim.search import programs as p
from tests.search.contexts import Go, Place, program


def schedules(strategy: Strategy, number: int) -> list[list[tuple[int, ...]]]:
    runs = Runs(p.lastzero(3))
    return [
        [runs.names.path(mid) for mid in execution.schedule] for execution in islice(strategy.executions(runs), number)
    ]


@pytest.mark.parametrize("kind", [RandomWalk, PartialOrderSampling, ChainPriorities])
def test_a_seed_repeats_every_schedule_and_another_seed_gives_others(kind: type[Strategy]) -> None:
    assert schedules(kind(seed=1), 30) == schedules(kind(seed=1), 30)  # type: ignore[call-arg]
    assert schedules(kind(seed=1), 30) != schedules(kind(seed=2), 30)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [RandomWalk, PartialOrderSampling, ChainPriorities])
def test_sampling_meets_all_final_states_of_a_small_program_and_no_others(kind: type[Strategy]) -> None:
    every: set[object] = set()
    search(p.increments(3), Dfs(), each=lambda execution: every.add(execution.state))
    met: set[object] = set()
    report = search(p.increments(3), kind(), limit=400, each=lambda execution: met.add(execution.state))
    assert met == every
    assert not report.complete
    assert report.why == "the limit of 400 executions"


def late_reader(steps: int) -> Program[list[Place]]:
    """The bug: a long context has not begun when a short one is over. Uniform choice hardly ever shows it."""

    async def long_way(place: Place) -> None:
        for _ in range(steps):
            await place.sleep(1)
        place.send("p/0", Go(2))

    async def look(place: Place) -> None:
        place.log.append(place.cells[0])

    async def write(place: Place) -> None:
        place.cells[0] = 1

    made = program(long_way, look, write, start=[(0, 0), (0, 1)])
    return Program(
        made.build, check=lambda _, places: [Finding("late", "written before the look")] if places[0].log == [1] else []
    )


def test_chain_priorities_hit_a_shallow_bug_at_least_as_often_as_they_promise() -> None:
    strategy = ChainPriorities(depth=1)
    report = search(late_reader(20), strategy, limit=600)
    assert report.promise == (
        "each execution hits a bug of depth 1 with probability at least 1/2 = 1/(2 chains x 23 steps^0)"
    )
    hits = report.found["late"].executions
    # Three standard deviations below the promised half.
    assert hits >= 600 * Fraction(1, 2) - 3 * (600 / 4) ** 0.5
    unguided = search(late_reader(20), RandomWalk(), limit=600)
    assert "late" not in unguided.found


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth 0"):
        ChainPriorities(depth=0)


def test_a_search_stops_where_it_is_told_to() -> None:
    report = search(p.writers(5), Dpor(), limit=7)
    assert (report.executions, report.complete, report.why) == (7, False, "the limit of 7 executions")
    report = search(late_reader(3), Dpor(), stop=lambda report: "late" in report.found)
    assert report.why == "stopped at what was found"
    assert report.found["late"].executions_until_found == report.executions


def test_what_was_found_comes_with_the_schedule_that_shows_it() -> None:
    report = search(late_reader(3), Dpor())
    runs = Runs(late_reader(3))
    run = runs.open([runs.names.at(path) for path in report.found["late"].schedule])
    assert [found.kind for found in runs.end(run, ()).violations] == ["late"]


def test_chain_priorities_do_not_stick_to_the_few_schedules_that_their_first_change_points_allow() -> None:
    """The change points themselves decide how many choices there are, so that counting choices got stuck."""
    met: set[object] = set()
    search(p.writers(3), ChainPriorities(depth=3), limit=300, each=lambda execution: met.add(execution.schedule))
    assert len(met) == 6
