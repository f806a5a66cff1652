"""Random schedules: every pending delivery is as likely as any other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from gupsim.engine.fence import fence
from gupsim.search.execution import Execution
from gupsim.search.runs import Runs


class RandomWalk:
    """Chooses uniformly at each step. seed: of all executions; the n-th is the same whatever came before."""

    name = "random"
    exhaustive = False
    replays = 0
    blocked = 0

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def executions(self, runs: Runs) -> Iterator[Execution]:
        limit = runs.program.max_events
        for number in count():
            random = Random(f"{self.seed}/{number}")
            run = runs.open()
            core = run.core
            schedule: list[int] = []
            with fence(core.running):
                while core.count < limit and (core.pending or runs.go_on(run)):
                    mid = random.choice(list(core.pending))
                    schedule.append(mid)
                    runs.pass_by(run, mid)
            yield runs.end(run, schedule)

    def promise(self) -> str:
        return "random schedules: no guarantee"
