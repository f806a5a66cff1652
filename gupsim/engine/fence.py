"""Keeps real time, real sleep, threads and unseeded randomness out of actors."""

from __future__ import annotations

import asyncio
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
_RANDOM = (
    "random",
    "randint",
    "randrange",
    "choice",
    "choices",
    "shuffle",
    "sample",
    "uniform",
    "expovariate",
    "getrandbits",
    "gauss",
    "seed",
    "randbytes",
)

_inside: dict[int, Callable[[], str]] = {}
"""Threads that are running actors at this moment, and how to learn which actor."""


def _guard(module: ModuleType | type, name: str, label: str, instead: str) -> None:
    real: Callable[..., Any] = getattr(module, name)

    @functools.wraps(real)
    def guarded(*args: Any, **options: Any) -> Any:
        who = _inside.get(threading.get_ident())
        if who is not None:
            raise Refused(f"{who()}: an actor may not call {label}(); use {instead}")
        return real(*args, **options)

    setattr(module, name, guarded)


# Out of its reach: what was imported by name before the first run (`from time import sleep`), and `random.Random()`
# without a seed. tests/base/test_imports.py keeps the first out of the actors.


@functools.cache
def _install() -> None:
    # Once for the process and never undone: undoing under a second world in another thread would race.
    for name in _TIME:
        instead = "self.sleep(ns)" if name == "sleep" else "self.now"
        _guard(time, name, f"time.{name}", instead)
    for name in _RANDOM:
        _guard(random, name, f"random.{name}", "self.random")
    _guard(os, "urandom", "os.urandom", "self.random")
    _guard(random, "_urandom", "random.SystemRandom", "self.random")
    _guard(threading.Thread, "start", "threading.Thread.start", "self.start(coroutine)")
    _guard(asyncio, "sleep", "asyncio.sleep", "self.sleep(ns)")


@contextmanager
def fence(who: Callable[[], str]) -> Iterator[None]:
    """While the block runs, this thread may not reach for what would break determinism.

    who: names the actor that runs now, for the error.
    """
    _install()
    ident = threading.get_ident()
    outer = _inside.get(ident)
    _inside[ident] = who
    try:
        yield
    finally:
        if outer is None:
            del _inside[ident]
        else:
            _inside[ident] = outer
