"""The kernel itself: how fast a workload runs with its trace on, and what a page of memory costs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Final

from benchmarks.contest import cpu_clock
from benchmarks.table import Row, measured, skipped
from gupsim.engine import TimedWorld

FRAMES: Final = 1 << 20
"""4 GiB of memory in pages of 4 KiB."""

SCENARIO: Final = "S01-under-pressure"
ERA: Final = "v6.12"
"""In which nothing ends the workload early."""

WORKLOAD = "kernel workload, traced"
MEMORY = "memory of a million pages"


def workload(rounds: int) -> Row:
    """Deliveries in a second of CPU time, as `gupsim run` does them: MessagePack, trace, checkers, metrics."""
    try:
        play = _player()
    except ImportError as error:
        return skipped(WORKLOAD, f"not there yet: {error}")
    play()
    return measured(WORKLOAD, "deliveries/s", [play() for _ in range(rounds)])


def _player() -> Callable[[], float]:
    from gupsim.run import Run
    from gupsim.scenario.choices import kernel
    from gupsim.scenario.load import load

    loaded = load(SCENARIO)

    def play() -> float:
        run = Run(loaded, kernel(ERA))
        begin = cpu_clock()
        outcome = run.play().outcome
        return outcome.events / (cpu_clock() - begin)

    return play


def page_cost() -> Row:
    """Bytes for each page, as the allocator of Python sees them."""
    try:
        from gupsim.actors.memmap import Memmap
        from gupsim.actors.rules import ERAS
    except ImportError as error:
        return skipped(MEMORY, f"not there yet: {error}")
    rules = next(iter(ERAS.values()))[0]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        world = TimedWorld()
        world.add("h0/memmap", Memmap, rules=rules, frames=FRAMES)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return measured(MEMORY, "bytes/page", [used / FRAMES])
