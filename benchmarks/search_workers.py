"""What a second worker gives a search, on the clock and, whatever else this machine does, by CPU time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import Any, Final

from benchmarks.contest import cpu_clock
from benchmarks.table import Row, skipped
from gupsim.explore.conduct import Limits, TreeSearch, conduct
from gupsim.explore.pools import Here, Pool, processes
from gupsim.explore.subject import ProgramSubject, Subject, subject_of
from gupsim.scenario.choices import kernel
from gupsim.scenario.load import load

TARGET: Final = 1.7
TRANSIT: Final = 0.0005
"""Seconds from one process to another and back."""
AGAINST: Final = "one worker"


def rows(*, short: bool) -> list[Row]:
    """All of them. short: smaller programs."""
    clients, times = (2, 8) if short else (3, 4)
    race = ProgramSubject("benchmarks.search_programs:race", (clients, times))
    found = [_by_the_clock(f"two workers, race of {clients} clients x {times}", race)]
    subjects: dict[str, Subject] = {f"race of {clients} clients x {times}": race}
    if not short:
        subjects["S01 under v6.12"] = subject_of(load("S01"), kernel("v6.12"))
    return found + [_by_cpu(f"two workers by CPU time, {name}", subject) for name, subject in subjects.items()]


def _by_the_clock(what: str, subject: Subject) -> Row:
    """Wall time of one worker against that of two. Their start is not counted: it is the same for any search."""
    cores = os.cpu_count() or 1
    if cores < 2:
        return skipped(what, "this machine has one core", AGAINST)
    load_now = os.getloadavg()[0]
    if load_now > cores / 2:
        why = f"others are at work (load {load_now:.1f} on {cores} cores): wall time says nothing"
        return skipped(what, why, AGAINST)
    small = ProgramSubject("benchmarks.search_programs:race", (3, 2))
    spent = []
    for workers in (1, 2):
        pool = Pool(partial(processes, workers))
        try:
            _searched(small, pool)
            spent.append([_searched(subject, pool) for _ in range(3)])
        finally:
            pool.close()
    gains = [one / two for one, two in zip(*spent, strict=True)]
    return Row(what=what, against=AGAINST, value=median(gains), least=min(gains), most=max(gains), target=TARGET)


def _searched(subject: Subject, pool: Pool) -> float:
    begin = time.perf_counter()
    tally = conduct(TreeSearch(subject, []), pool, Limits(), wanted=[])
    spent = time.perf_counter() - begin
    if not tally.complete:
        raise RuntimeError(f"the search with workers did not end: {tally.why}")
    return spent


def _by_cpu(what: str, subject: Subject) -> Row:
    """Every job is timed by itself, and then played on two workers who share two cores with the one that gives out."""
    gains = []
    for _ in range(3):
        begin = cpu_clock()
        _searched(subject, Pool(Here))
        one = cpu_clock() - begin
        gains.append(one / _played(subject, 2))
    return Row(what=what, against=AGAINST, value=median(gains), least=min(gains), most=max(gains), target=TARGET)


def _played(subject: Subject, workers: int) -> float:
    """Seconds that so many workers would take."""
    played = Played(workers)
    try:
        _searched(subject, Pool(lambda: played))
        return played.finish()
    finally:
        played.shutdown()


class Played(Executor):
    """Workers in name only: a job is done at once, by the thread of whoever would be free first, on the CPU clock."""

    def __init__(self, workers: int) -> None:
        self._threads = [ThreadPoolExecutor(1) for _ in range(workers)]
        self._free = [0.0] * workers
        self._now = 0.0
        self._worked = self._given_out = 0.0
        self._began = cpu_clock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A job, done; its result is there when it would be."""
        self._get_on()
        worker = min(range(len(self._free)), key=self._free.__getitem__)
        # Each thread keeps what a worker process would keep from one job to the next.
        done = self._threads[worker].submit(fn, *args, **kwargs).result()
        spent = cpu_clock() - self._began
        self._began += spent
        self._worked += spent
        end = self._free[worker] = max(self._now, self._free[worker]) + spent + TRANSIT
        return _Answer(self, end, done)

    def arrive(self, end: float) -> None:
        """Whoever gives out has waited for an answer until `end`."""
        self._get_on()
        self._now = max(self._now, end)

    def finish(self) -> float:
        """Seconds until all was done: no less than the cores take for everybody's work."""
        self._get_on()
        return max(self._now, (self._worked + self._given_out) / len(self._free))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for thread in self._threads:
            thread.shutdown(wait, cancel_futures=cancel_futures)

    def _get_on(self) -> None:
        spent = cpu_clock() - self._began
        self._began += spent
        self._now += spent
        self._given_out += spent


class _Answer(Future[Any]):
    def __init__(self, played: Played, end: float, answer: Any) -> None:
        super().__init__()
        self._played = played
        self._end = end
        self.set_result(answer)

    def result(self, timeout: float | None = None) -> Any:
        self._played.arrive(self._end)
        return super().result(timeout)
