"""Keeps real time, real sleep, threads and unseeded randomness out of actors."""

from __future__ import annotations

import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from gupsim.engine.errors import Refused

_TIME = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "sleep")
_RANDOM = ("random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "expovariate",
           "getrandbits", "gauss", "seed", "randbytes")

_inside: set[int] = set()
"""Threads that are running actors at this moment."""


def _guard(module: ModuleType | type, name: str, label: str, instead: str) -> None:
    real: Callable[..., Any] = getattr(module, name)

    @functools.wraps(real)
    def guarded(*args: Any, **options: Any) -> Any:
        if threading.get_ident() in _inside:
            raise Refused(f"an actor called {label}(); use {instead}")
        return real(*args, **options)

    setattr(module, name, guarded)


@functools.cache
def _install() -> None:
    # Once for the process and never undone: undoing under a second world in another thread would race.
    for name in _TIME:
        instead = "self.sleep(ns)" if name == "sleep" else "self.now"
        _guard(time, name, f"time.{name}", instead)
    for name in _RANDOM:
        _guard(random, name, f"random.{name}", "self.random")
    _guard(os, "urandom", "os.urandom", "self.random")
    _guard(threading.Thread, "start", "threading.Thread.start", "self.start(coroutine)")


@contextmanager
def fence() -> Iterator[None]:
    """While the block runs, this thread may not reach for what would break determinism."""
    _install()
    ident = threading.get_ident()
    nested = ident in _inside
    _inside.add(ident)
    try:
        yield
    finally:
        if not nested:
            _inside.discard(ident)
