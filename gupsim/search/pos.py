"""Partial order sampling: random schedules that are fair to orders of racing events, not to interleavings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from gupsim.engine.fence import fence
from gupsim.search.access import Access
from gupsim.search.execution import Execution
from gupsim.search.runs import Runs


class PartialOrderSampling:
    """Yuan, Yang, Gu: Partial order aware concurrency sampling (CAV 2018).

    Every pending message has a random priority; the highest comes next, and the priorities of those that race with
    it are drawn again. What a message will touch is taken from when it was last delivered; one that never was races
    with everything at its actor.
    """

    name = "pos"
    exhaustive = False
    replays = 0
    blocked = 0

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._touched: dict[int, Access] = {}

    def executions(self, runs: Runs) -> Iterator[Execution]:
        limit, touched = runs.program.max_events, self._touched
        for number in count():
            random = Random(f"{self.seed}/{number}")
            runs.shrink(0)
            run = runs.open()
            core = run.core
            priorities: dict[int, float] = {}
            with fence(core.running):
                while core.count < limit and (core.pending or runs.go_on(run)):
                    for mid in core.pending:
                        if mid not in priorities:
                            priorities[mid] = random.random()
                    best = max(core.pending, key=priorities.__getitem__)
                    rank = core.pending[best][0][1]
                    access = touched[best] = runs.follow(run, best)
                    for mid, (item, _) in core.pending.items():
                        expected = touched.get(mid)
                        if item[1] == rank and (expected is None or expected.clashes(access)):
                            priorities.pop(mid, None)
            yield runs.end(run, runs.order.mids, trace=True)

    def promise(self) -> str:
        return "partial order sampling: no guarantee"
