"""What is minimised still goes wrong in the same way, and no side of it has grown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gupsim.replay import Case, Minimiser, Recording, Sought, minimised, replay, sought
from gupsim.replay.case import smaller
from gupsim.replay.guide import Strict
from gupsim.replay.history import play
from gupsim.search.runs import Runs
from tests.replay.worlds import Draws, bank, failing, replayed_on, torn_recording
from tests.search.random_programs import program, random_spec


def drawer(data: st.DataObject) -> Callable[[int], int]:
    return lambda bound: data.draw(st.integers(0, bound - 1))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_minimised_random_program_goes_wrong_as_before_and_is_not_longer(data: st.DataObject) -> None:
    random = program(random_spec(drawer(data)))
    runs = Runs(random)
    history = play(runs, Draws(data.draw(st.integers(0, 50)), events=20))
    assume(history.violations)
    target = sought(history.violations[0])
    first = replayed_on(runs, history, target)
    result = Minimiser(target, limit=60).shrink(Case(random), runs, first)
    assert result.after == result.before or result.after.within(result.before)
    # Once more, among names of its own: exactly what is left shows it.
    others = Runs(random)
    mids = [others.names.at(runs.names.path(mid)) for mid in result.history.mids]
    assert _plays(others, mids, target)


def _plays(runs: Runs, mids: list[int], target: Sought) -> bool:
    history = play(runs, Strict(mids), target)
    return history.found is not None and len(history) == len(mids)


@pytest.mark.parametrize("deposits", [2, 3, 4])
def test_a_lost_update_shrinks_to_one_interruption(deposits: int) -> None:
    case, runs, history, target = failing(bank(*range(1, deposits + 1), looks=3), "lost-update")
    result = Minimiser(target).shrink(case, runs, history)
    # Two clerks overlap: one is interrupted, the other deposits, the first goes on; the others take their turns.
    assert result.after.switches <= deposits + 3 + 1
    assert not result.limited


def test_a_deadlock_shrinks_to_the_two_that_block_each_other() -> None:
    case, runs, history, target = failing(bank(transfers=((0, 1), (1, 0))), "deadlock")
    result = Minimiser(target).shrink(case, runs, history)
    assert result.after.switches <= 3
    assert result.after.events <= len(history)


def test_minimising_is_deterministic() -> None:
    sizes = set()
    for _ in range(2):
        case, runs, history, target = failing(bank(1, 2, 4, looks=2), "lost-update")
        result = Minimiser(target).shrink(case, runs, history)
        sizes.add((result.after, result.executions, tuple(runs.names.path(mid) for mid in result.history.mids)))
    assert len(sizes) == 1


def test_a_bound_on_executions_ends_it_with_what_there_is() -> None:
    case, runs, history, target = failing(bank(1, 2, 4, looks=3), "lost-update")
    minimiser = Minimiser(target, limit=2)
    result = minimiser.shrink(case, runs, history)
    assert result.executions == 2
    assert result.limited == "ended after 2 executions"
    assert result.history.found is not None


def test_it_can_be_stopped_from_outside_and_keeps_the_best() -> None:
    case, runs, history, target = failing(bank(1, 2, 4, looks=3), "lost-update")
    minimiser = Minimiser(target)
    minimiser.progress = lambda minimiser: minimiser.stop("was enough") if minimiser.executions == 3 else None
    result = minimiser.shrink(case, runs, history)
    assert (result.executions, result.limited) == (3, "was enough")
    assert result.history.found is not None


def test_no_time_at_all_leaves_the_execution_as_it_is() -> None:
    case, runs, history, target = failing(bank(1, 2), "lost-update")
    result = Minimiser(target, seconds=-1).shrink(case, runs, history)
    assert result.history is history
    assert result.limited == "ended after -1 seconds"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return torn_recording()


def test_a_kernel_scenario_loses_what_the_violation_does_not_need(recording: Recording) -> None:
    replayed = replay(recording)
    small, result = minimised(replayed)
    assert result.after.within(result.before)
    assert small.scenario is not None
    assert small.scenario.kept == {"app": (0, 2, 3), "flusher": (0,)}
    assert (result.after.threads, result.after.steps) == (2, 4)
    again = replay(small)
    assert again.found is not None
    assert sought(again.found) == sought(recording.expected)
    assert len(again.history) == result.after.events < len(replayed.history)


def test_minimising_twice_keeps_the_steps_in_the_numbers_of_the_file(recording: Recording) -> None:
    small, first = minimised(replay(recording))
    smaller_still, second = minimised(replay(small))
    assert small.scenario is not None
    assert smaller_still.scenario is not None
    assert smaller_still.scenario.kept == small.scenario.kept
    assert second.after == first.after


def test_a_cut_is_a_thread_or_a_step_less() -> None:
    kept = {"a": (0, 1), "b": (0,)}
    assert list(smaller(kept)) == [{"b": (0,)}, {"a": (0, 1)}, {"a": (0,), "b": (0,)}, {"a": (1,), "b": (0,)}]


def test_a_larger_execution_is_not_taken_for_a_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    case, runs, history, target = failing(bank(1, 2, 3, looks=3), "lost-update")
    small = Minimiser(target).shrink(case, runs, history)
    others = (play(runs, Draws(seed, events=40), target, stop=False) for seed in range(1, 400))
    restless = next(one for one in others if one.found is not None and one.switches > small.after.switches)
    # An order that is smoother by name alone.
    monkeypatch.setattr("gupsim.replay.minimise.smooth", lambda _: list(restless.mids))
    again = Minimiser(target).shrink(case, runs, history)
    assert again.after == small.after
