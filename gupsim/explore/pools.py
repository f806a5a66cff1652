"""Where jobs run: in this process, in a pool of processes, or on a Dask cluster; and what is done if one dies."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, Final, Generic, TypeVar

from gupsim.explore.errors import ExploreError, ExploreFailed
from gupsim.explore.jobs import run_job

T = TypeVar("T")

TICK: Final = 0.2
"""Seconds between two looks at the keyboard while a job runs elsewhere."""

_TRIES: Final = 2
"""Times that one job may lose its worker."""


class Here(Executor):
    """Runs a job when its result is asked for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is still to be worked for."""
        return _Later(fn, args)


class _Later(Future[Any]):
    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        super().__init__()
        self._work = (fn, args)

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            fn, args = self._work
            self.set_result(fn(*args))
        return super().result(timeout)


def processes(workers: int) -> Executor:
    """Worker processes on this machine; one needs no other process."""
    if workers == 1:
        return Here()
    # Spawned: a fork would copy whatever threads and locks the caller has.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts)


def dask(address: str) -> Executor:
    """The workers of a Dask cluster; ExploreError if there is none at the address, or Dask is not installed."""
    try:
        from distributed import Client
    except ImportError:
        raise ExploreError("--dask needs the package distributed: pip install 'gupsim[dask]'") from None
    try:
        client: Any = Client(address, timeout="3s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ExploreError(f"--dask: no scheduler answers at {address}: {error}") from None
    return _OnDask(client)


class _OnDask(Executor):
    """The cluster does the work of a lost worker again by itself. Each job is one of its own: pure=False."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._executor = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)
        self._client.close()


class Pool:
    """An executor that is made anew when it broke. make: makes it. replaced: how often that happened."""

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._executor = make()
        self.replaced = 0

    def submit(self, job: bytes) -> Future[bytes]:
        """Give out a job."""
        try:
            return self._executor.submit(run_job, job)
        except BrokenExecutor as error:
            # Found out when its answer is taken.
            broken: Future[bytes] = Future()
            broken.set_exception(error)
            return broken

    def replace(self) -> None:
        """New workers."""
        self.replaced += 1
        _end(self._executor)
        self._executor = self._make()

    def close(self) -> None:
        """No more jobs; what is under way is given up."""
        _end(self._executor)


class Window(Generic[T]):
    """Jobs under way, whose answers are taken in the order in which they were given out, whoever is done first.

    So a search goes the same way whatever the number of workers. A worker that dies takes its jobs with it; they are
    given out again, and as an answer is taken only once, nothing is counted twice.

    size: jobs under way. It must not depend on the workers.
    """

    def __init__(self, pool: Pool, size: int) -> None:
        self._pool = pool
        self.size = size
        self._under_way: deque[tuple[T, bytes, Future[bytes]]] = deque()
        self._lost = 0

    @property
    def room(self) -> int:
        """Jobs that may be added."""
        return self.size - len(self._under_way)

    @property
    def empty(self) -> bool:
        """True if nothing is under way."""
        return not self._under_way

    def add(self, ticket: T, job: bytes) -> None:
        """Give out one more job."""
        self._under_way.append((ticket, job, self._pool.submit(job)))

    def take(self, tick: Callable[[], None]) -> tuple[T, bytes]:
        """The answer of the oldest job. tick: called every now and then; what it raises ends the wait."""
        while True:
            ticket, _, future = self._under_way[0]
            tick()
            try:
                answer = future.result(TICK)
            except TimeoutError:
                continue
            except BrokenExecutor:
                self._again()
                continue
            self._under_way.popleft()
            self._lost = 0
            return ticket, answer

    def close(self) -> None:
        """What is still under way is given up."""
        for _, _, future in self._under_way:
            future.cancel()
        self._under_way.clear()

    def _again(self) -> None:
        """New workers get all jobs whose answers are not there."""
        self._lost += 1
        if self._lost > _TRIES:
            raise ExploreFailed(f"the worker processes died {self._lost} times over the same job; giving up")
        self._pool.replace()
        for place, (ticket, job, future) in enumerate(self._under_way):
            if not future.done() or future.cancelled() or future.exception() is not None:
                self._under_way[place] = (ticket, job, self._pool.submit(job))


def _end(executor: Executor) -> None:
    """Shut an executor down, and its workers with it.

    A worker that was killed may have held the lock of the queue of answers: another one then waits for it for ever, and
    the interpreter, at its end, for that one. (Seen once in some dozens of runs of the test that kills workers.)
    """
    pool = isinstance(executor, ProcessPoolExecutor)
    workers = list((getattr(executor, "_processes", None) or {}).values()) if pool else []
    executor.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.kill()


def _ignore_interrupts() -> None:
    # Ctrl-C goes to the whole group of processes; the one that owns the search ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
