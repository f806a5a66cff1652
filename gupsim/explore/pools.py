"""Where jobs run: in this process, in a pool of processes, or on a Dask cluster; and what is done if one dies."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, Final, Generic, TypeVar

from gupsim.explore.errors import ExploreError, ExploreFailed, WorkersGone
from gupsim.explore.garbage import collect_less
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
    # Spawned: a fork would copy whatever threads and locks the caller has, and the fork server of Python 3.11 imports
    # from another path than the caller, so that it may find another gupsim.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin)


def dask(address: str) -> Executor:
    """The workers of a Dask cluster; ExploreError if there is none at the address, or Dask is not installed."""
    try:
        from distributed import Client
    except ImportError:
        raise ExploreError("--dask needs the package distributed: pip install 'gupsim[dask]'") from None
    if not re.search(r":\d+$", address):
        raise ExploreError(f"--dask: {address!r} is not the address of a scheduler, as tcp://host:8786")
    try:
        client: Any = Client(address, timeout="3s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ExploreError(f"--dask: no scheduler answers at {address}: {error}") from None
    # If the scheduler dies they would say so with tracebacks, as many as were at work; `Window` says it in a line.
    for talker in ("distributed", "distributed.client", "tornado", "tornado.application"):
        logging.getLogger(talker).setLevel(logging.CRITICAL)
    return _OnDask(client)


class _OnDask(Executor):
    """The cluster does the work of a lost worker again by itself. Each job is one of its own: pure=False."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._executor = client.get_executor(pure=False)

    @property
    def gone(self) -> bool:
        """True if the scheduler is: what is given out then would never be answered."""
        return bool(self._client.status != "running")

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

    @property
    def gone(self) -> bool:
        """True if nobody will answer any more."""
        return isinstance(self._executor, _OnDask) and self._executor.gone

    def submit(self, job: bytes) -> Future[bytes]:
        """Give out a job."""
        try:
            return self._executor.submit(run_job, job)
        except Exception as error:  # noqa: BLE001 - found out when its answer is taken
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
        """The answer of the oldest job. tick: called every now and then; what it raises ends the wait.

        WorkersGone if the executor gives up: a job itself never raises anything.
        """
        while True:
            ticket, _, future = self._under_way[0]
            tick()
            try:
                answer = future.result(TICK)
            except TimeoutError:
                if self._pool.gone:
                    raise WorkersGone("the workers are gone: the scheduler does not answer any more") from None
                continue
            except BrokenExecutor:
                self._again()
                continue
            except Exception as error:
                # A job that is lost has no message: Dask cancels those of a scheduler that died.
                why = f"{type(error).__name__}: {error}" if str(error) else "what was under way is lost"
                raise WorkersGone(f"the workers are gone: {why}") from error
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


def _begin() -> None:
    """What a worker process does first."""
    # Ctrl-C goes to the whole group of processes; the one that owns the search ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # That one may be killed; then nobody is left to say that there is no more work.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    collect_less()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
