"""All interleavings, with no reduction: what `dpor` is tested against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gupsim.engine.fence import fence
from gupsim.search.execution import Execution
from gupsim.search.runs import Run, Runs


class Dfs:
    """Depth first through every order in which the messages can be delivered.

    traces: tell executions apart by their trace, which takes footprints; without, nothing of the reduction is used.
    """

    name = "dfs"
    exhaustive = True
    replays = 0
    blocked = 0

    def __init__(self, *, traces: bool = False) -> None:
        self.traces = traces

    def executions(self, runs: Runs) -> Iterator[Execution]:
        limit = runs.program.max_events
        step: Callable[[Run[Any], int], object] = runs.take if self.traces else runs.pass_by
        schedule: list[int] = []
        guide = runs.program.first() if runs.program.first is not None else None
        left: list[list[int]] = []
        """At each event, the other messages that could have come in its place and have not yet."""
        while True:
            run = runs.open(schedule[:-1])
            core = run.core
            with fence(core.running):
                if schedule:
                    step(run, schedule[-1])
                while core.count < limit and (core.pending or runs.go_on(run)):
                    chosen = guide.choose(core) if guide is not None else None
                    mid = next(iter(core.pending)) if chosen is None else chosen
                    others = [other for other in core.pending if other != mid]
                    schedule.append(mid)
                    left.append(others)
                    step(run, mid)
            guide = None
            yield runs.end(run, schedule, trace=self.traces)
            while left and not left[-1]:
                left.pop()
                schedule.pop()
            if not left:
                return
            schedule[-1] = left[-1].pop(0)
            if self.traces:
                runs.rewind(len(schedule) - 1)

    def promise(self) -> str:
        return "every interleaving: what was not found does not exist"
