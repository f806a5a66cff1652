"""What a search says does not depend on who does the work, nor on who dies over it."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gupsim.explore.conduct import Limits, TreeSearch, conduct
from gupsim.explore.errors import ExploreFailed
from gupsim.explore.jobs import Work, run_job
from gupsim.explore.pools import Here, Pool, processes
from gupsim.explore.subject import ProgramSubject, subject_of
from gupsim.explore.wire import Answer
from gupsim.scenario.choices import kernel
from gupsim.scenario.load import load
from tests.cli.run_cli import ROOT
from tests.explore.in_parts import program
from tests.explore.searching import interrupted_after, said, searched

CHAIN = program("chain", 3, 3)
SMALL = program("increments", 3)
TORN = subject_of(load("S03"), kernel("v6.12"))

OWNER = """
import os, time
from gupsim.explore.pools import processes

if __name__ == "__main__":
    executor = processes(2)
    print(executor.submit(os.getpid).result(), flush=True)
    time.sleep(100)
"""


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


def test_workers_end_with_the_one_that_gave_them_work(tmp_path: Path) -> None:
    (tmp_path / "owner.py").write_text(OWNER)
    owner = subprocess.Popen(
        [sys.executable, "owner.py"], stdout=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert owner.stdout is not None
    assert owner.stdout.readline().strip().isdigit()
    owner.kill()
    # The pipe is closed when the last one that could write to it is gone.
    assert owner.communicate(timeout=30)[0] == b""


def test_a_failing_job_says_why() -> None:
    with pytest.raises(ExploreFailed, match="ModuleNotFoundError: No module named 'nowhere'"):
        searched(ProgramSubject("nowhere:nothing"), Here)


def test_a_failing_job_does_not_spoil_the_next(alone: dict[str, Any]) -> None:
    search = TreeSearch(CHAIN, [])
    job = search.tree.job(CHAIN, search.tree.planned(), 10, [])
    assert not msgspec.msgpack.decode(run_job(msgspec.msgpack.encode(Work(job=job))), type=Answer).error
    broken = msgspec.structs.replace(job, leaves=[99])
    assert msgspec.msgpack.decode(run_job(msgspec.msgpack.encode(Work(job=broken))), type=Answer).error
    assert searched(CHAIN, Here) == alone


def test_jobs_are_few_and_the_collector_is_left_as_it_was() -> None:
    jobs = []

    class Counted(Here):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            jobs.append(fn)
            return super().submit(fn, *args, **kwargs)

    before = gc.get_threshold(), gc.get_freeze_count()
    told = searched(program("chain", 4, 3), Counted)
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
    assert told["traces"] == 1296
    assert len(jobs) < 1296 / 15


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
