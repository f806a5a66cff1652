"""Probabilistic concurrency testing over causal chains: random schedules with a guarantee."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from gupsim.engine.core import Item
from gupsim.engine.fence import fence
from gupsim.search.execution import Execution
from gupsim.search.runs import Run, Runs


class ChainPriorities:
    """Burckhardt et al. (ASPLOS 2010), with causal chains for threads as in Ozkan et al. (OOPSLA 2018).

    Messages are partitioned on line into chains: a message continues the chain of the event that caused it, unless
    another one has already. Each chain has a random priority; the pending message of the highest comes next; at
    depth - 1 random steps the chain that would come next falls behind all others.

    depth: of the bugs looked for: so many ordering constraints suffice to show them.
    chains, steps: most of them in one execution so far. Every event is a step: counting only those with a choice to
    make gives too few, because the change points themselves decide how many there are, and the search gets stuck.
    """

    name = "pct"
    exhaustive = False
    replays = 0
    blocked = 0

    def __init__(self, seed: int = 0, depth: int = 3) -> None:
        if depth < 1:
            raise ValueError(f"depth {depth}: a bug has at least depth 1")
        self.seed = seed
        self.depth = depth
        self.chains = 1
        self.steps = 1

    def executions(self, runs: Runs) -> Iterator[Execution]:
        for number in count():
            run = runs.open()
            schedule: list[int] = []
            with fence(run.core.running):
                # The first, in the order of sending, only counts the steps.
                self._play(runs, run, Random(f"{self.seed}/{number}"), schedule, drawn=number > 0)
            yield runs.end(run, schedule)

    def promise(self) -> str:
        bound = self.chains * self.steps ** (self.depth - 1)
        return (
            f"each execution hits a bug of depth {self.depth} with probability at least 1/{bound}"
            f" = 1/({self.chains} chains x {self.steps} steps^{self.depth - 1})"
        )

    def _play(self, runs: Runs, run: Run[object], random: Random, schedule: list[int], *, drawn: bool) -> None:
        core, limit = run.core, runs.program.max_events
        falls = sorted(random.randrange(self.steps) for _ in range(self.depth - 1)) if drawn else []
        chain_of: dict[int, int] = {}
        last: list[int] = []
        priorities: list[float] = []
        steps = 0
        while core.count < limit and (core.pending or runs.go_on(run)):
            for mid, (item, _) in core.pending.items():
                if mid not in chain_of:
                    chain = chain_of[mid] = _continued(item, runs.names.parents[mid], chain_of, last)
                    if chain == len(last):
                        last.append(mid)
                        # Above all that have fallen: those are at -1, -2 and so on.
                        priorities.append(random.random() if drawn else 0.0)
                    last[chain] = mid
            best = max(core.pending, key=lambda mid: priorities[chain_of[mid]])
            while falls and steps == falls[0]:
                falls.pop(0)
                priorities[chain_of[best]] = -self.depth + len(falls)
                best = max(core.pending, key=lambda mid: priorities[chain_of[mid]])
            steps += 1
            schedule.append(best)
            runs.pass_by(run, best)
        self.steps = max(self.steps, steps)
        self.chains = max(self.chains, len(last))


def _continued(item: Item, parent: int, chain_of: dict[int, int], last: list[int]) -> int:
    """The chain that a new message continues, or the number of a new one."""
    for cause in (parent, item[9]):
        chain = chain_of.get(cause, -1)
        if chain >= 0 and last[chain] == cause:
            return chain
    return len(last)
