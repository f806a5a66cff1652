"""Contestants that take turns: CPU time swings by a tenth within a minute, ratios of neighbours do not."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

import msgspec

Turn = Callable[[int], int]
"""Does about so many units of work (deliveries, round trips) and returns how many they were."""

cpu_clock = time.process_time
"""Bound here: while actors run, the engine keeps its fence around `time`."""


class Ratio(msgspec.Struct, frozen=True):
    """How many times as fast one contestant was as another, over all rounds."""

    median: float
    least: float
    most: float


class Contest:
    """Times of contestants that did their work in turns.

    portion: units of work in each turn. seconds: per contestant, the CPU time of one unit in each round.
    """

    def __init__(self, contestants: Mapping[str, Turn], rounds: int, portion: int) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in contestants}
        names = list(contestants)
        for turn in contestants.values():
            turn(portion)  # imports, adaptive bytecode, the steady state of a heap: none of that is measured
        for number in range(rounds):
            gc.collect()
            # Another one begins each time, so that nobody always follows the same neighbour.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                turn = contestants[name]
                turn(portion // 5)  # the others have filled the caches of the processor
                begin = cpu_clock()
                units = turn(portion)
                self.seconds[name].append((cpu_clock() - begin) / units)

    def ratio(self, name: str, base: str) -> Ratio:
        """Speed of `name` in units of the speed of `base`."""
        ratios = [slow / fast for slow, fast in zip(self.seconds[base], self.seconds[name], strict=True)]
        return Ratio(median(ratios), min(ratios), max(ratios))

    def rate(self, name: str) -> float:
        """Units in a second of CPU time."""
        return 1 / median(self.seconds[name])
