"""What a search says does not depend on who does the work, nor on who dies over it."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gupsim.explore.conduct import Limits, TreeSearch, conduct
from gupsim.explore.errors import ExploreFailed
from gupsim.explore.pools import Here, Pool, processes
from gupsim.explore.subject import ProgramSubject, subject_of
from gupsim.scenario.choices import kernel
from gupsim.scenario.load import load
from tests.explore.in_parts import program
from tests.explore.searching import interrupted_after, said, searched

CHAIN = program("chain", 3, 3)
SMALL = program("increments", 3)
TORN = subject_of(load("S03"), kernel("v6.12"))


class Shuffled(Executor):
    """As many workers as you like: jobs end in a random order, which is all that anybody sees of them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._open: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._open.append((future, fn, args))
        for _ in range(self._random.randrange(3)):
            self.finish_one()
        return future

    def finish_one(self) -> None:
        if self._open:
            future, fn, args = self._open.pop(self._random.randrange(len(self._open)))
            if future.set_running_or_notify_cancel():
                future.set_result(fn(*args))


class Kept(Executor):
    """A pool of processes for several searches: to start one takes longer than they do."""

    def __init__(self, workers: int) -> None:
        self._processes = processes(workers)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._processes.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        pass

    def end(self) -> None:
        self._processes.shutdown()


@pytest.fixture(scope="module", params=[2, 8])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    executor = Kept(request.param)
    yield executor
    executor.end()


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return searched(CHAIN, Here)


def test_two_and_eight_processes_say_what_one_says(kept: Kept, alone: dict[str, Any]) -> None:
    assert searched(CHAIN, lambda: kept) == alone
    assert searched(TORN, lambda: kept) == searched(TORN, Here)
    for strategy in ("random", "pos", "pct"):
        limits = Limits(executions=100)
        drawn = searched(SMALL, Here, limits=limits, strategy=strategy)
        assert drawn["executions"] == 100
        assert drawn["promise"]
        assert searched(SMALL, lambda: kept, limits=limits, strategy=strategy) == drawn


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(0, 10_000))
def test_the_order_in_which_jobs_end_changes_nothing(seed: int, number: int) -> None:
    subject = ProgramSubject("tests.explore.many_programs:random_program", ("workers", number))
    limits = Limits(executions=80)

    executor = Shuffled(seed)

    def get_on() -> None:
        # Whoever waits for an answer lets the others work.
        for _ in range(20):
            executor.finish_one()

    search = TreeSearch(subject, [])
    conduct(search, Pool(lambda: executor), limits, check=get_on, wanted=[])
    assert said(search) == searched(subject, Here, limits=limits)


def test_the_work_of_killed_workers_is_done_again_and_nothing_twice(alone: dict[str, Any]) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        if len(killed) < 2:
            victims = [child for child in multiprocessing.active_children() if child.pid not in killed]
            for victim in victims[:1]:
                assert victim.pid is not None
                killed.append(victim.pid)
                os.kill(victim.pid, signal.SIGKILL)

    assert searched(CHAIN, lambda: processes(2), each=kill_one) == alone
    assert len(killed) == 2


def test_workers_that_always_die_end_the_search_with_a_word() -> None:
    with pytest.raises(ExploreFailed, match="the worker processes died 3 times over the same job"):
        searched(ProgramSubject("os:_exit", (1,)), lambda: processes(2))


def test_a_failing_job_says_why() -> None:
    with pytest.raises(ExploreFailed, match="ModuleNotFoundError: No module named 'nowhere'"):
        searched(ProgramSubject("nowhere:nothing"), Here)


@pytest.mark.parametrize("answers", [0, 1, 3, 7])
def test_a_search_that_was_stopped_goes_on_and_misses_nothing(answers: int, alone: dict[str, Any]) -> None:
    search = interrupted_after(CHAIN, answers, Here)
    before = search.tally.executions
    tally = conduct(search, Pool(Here), Limits(), wanted=[])
    assert tally.complete
    assert tally.executions == tally.traces == alone["traces"] == 216
    assert before < 216


def test_a_limit_of_executions_is_kept_to_the_one() -> None:
    for executions in (1, 10, 99, 215):
        told = searched(CHAIN, Here, limits=Limits(executions=executions))
        assert told["executions"] == told["traces"] == executions
        assert not told["complete"]
        assert told["why"] == f"the limit of {executions} executions"
    assert searched(CHAIN, Here, limits=Limits(executions=216))["complete"]


def test_a_search_ends_at_the_first_of_each_wanted_kind() -> None:
    told = searched(TORN, Here, wanted=("torn-writeback",))
    assert told["why"] == "stopped at what was found"
    assert told["found"]["torn-writeback"]["executions_until_found"] == told["executions"]
