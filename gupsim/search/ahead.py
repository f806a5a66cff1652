"""Executions that run ahead of their turn."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from actors.base.footprint import Footprint
from gupsim.engine.fence import fence
from gupsim.search.access import Access
from gupsim.search.execution import Execution
from gupsim.search.runs import Runs


class Happened(NamedTuple):
    """An event, as `Order.add` takes it."""

    mid: int
    rank: int
    hard: int
    footprint: Footprint
    observed: dict[Hashable, int]


class Ahead:
    """An execution that has been run and waits for its turn: its events from number `first` on."""

    __slots__ = ("__weakref__", "events", "execution", "first")

    def __init__(self, first: int, events: list[Happened], execution: Execution) -> None:
        self.first = first
        self.events = events
        self.execution = execution


class Trial:
    """A run to learn what an event touches in another place than where it was seen.

    If that place turns out to be worth exploring, the run goes on to its end, and nothing was in vain.
    """

    def __init__(self, runs: Runs, prefix: list[int]) -> None:
        self._runs = runs
        self._prefix = prefix
        self._run = runs.open(prefix)
        self._events: list[Happened] = []
        self._run.world.recorder.looking = True

    def play(self, mids: Iterable[int]) -> Access:
        """Deliver these; what the event of the last touches."""
        with fence(self._run.core.running):
            for mid in mids:
                self._deliver(mid)
        last = self._events[-1]
        return self._runs.order.access(last.rank, last.footprint, last.observed)

    def drop(self) -> None:
        """That was all."""
        self._runs.events += len(self._events)
        self._run.world.close()

    def finish(self) -> Ahead:
        """Go on until nothing is left, always with the message that waits longest."""
        runs, run = self._runs, self._run
        core, limit = run.core, runs.program.max_events
        with fence(core.running):
            while core.count < limit and (core.pending or runs.go_on(run)):
                self._deliver(next(iter(core.pending)))
        runs.events += len(self._events)
        schedule = self._prefix + [event.mid for event in self._events]
        return Ahead(len(self._prefix), self._events, runs.end(run, schedule))

    def _deliver(self, mid: int) -> None:
        run = self._run
        core = run.core
        if not self._runs.go_on(run) or mid not in core.pending:
            raise core.not_pending(mid)
        rank = core.pending[mid][0][1]
        hard = core.step(mid)
        # Both reuse what is empty for the next event.
        footprint = run.world.recorder.taken() or {}
        self._events.append(Happened(mid, rank, hard, footprint, core.observed or {}))
