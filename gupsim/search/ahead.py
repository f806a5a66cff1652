"""Executions that run ahead of their turn."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from gupsim.actors.base.footprint import Footprint
from gupsim.engine.fence import fence
from gupsim.search.access import Access
from gupsim.search.execution import Execution
from gupsim.search.order import Told
from gupsim.search.runs import Runs


class Happened(NamedTuple):
    """A delivery, as `Order.add` takes it."""

    mid: int
    rank: int
    hard: int
    footprint: Footprint
    observed: dict[Hashable, int]

    @property
    def quiet(self) -> bool:
        """True if it touched nothing."""
        return not (self.footprint or self.observed)


class Ahead:
    """An execution that has been run and waits for its turn.

    first: events in common with the execution that showed it. past: what was delivered for them; rest: all that
    follows.
    """

    __slots__ = ("__weakref__", "execution", "first", "past", "rest")

    def __init__(self, first: int, past: list[Told], rest: list[Happened], execution: Execution) -> None:
        self.first = first
        self.past = past
        self.rest = rest
        self.execution = execution


class Trial:
    """A run to learn what an event touches in another place than where it was seen.

    If that place turns out to be worth exploring, the run goes on to its end, and nothing was in vain.
    first: the event of the current execution before which it branches off.
    """

    def __init__(self, runs: Runs, first: int) -> None:
        self._runs = runs
        self._first = first
        self._run, self._past = runs.open_at(runs.order.mids[:first])
        self._rest: list[Happened] = []
        self._run.world.recorder.looking = True

    def play(self, mids: Iterable[int]) -> Access:
        """Deliver these, and what touches nothing but leads to them; what the event of the last touches."""
        runs, run = self._runs, self._run
        pending = run.core.pending
        with fence(run.core.running):
            for mid in mids:
                while runs.go_on(run) and mid not in pending:
                    self._deliver(run.core.on_the_way_to(mid))
                    if not self._rest[-1].quiet:
                        raise run.core.not_pending(mid)
                self._deliver(mid)
        last = self._rest[-1]
        return runs.order.access(last.rank, last.footprint, last.observed)

    def drop(self) -> None:
        """That was all."""
        self._runs.events += len(self._rest)
        self._run.world.close()
        self._run.core.scrap()

    def finish(self) -> Ahead:
        """Go on until nothing is left, always with the message that waits longest."""
        runs, run = self._runs, self._run
        core, limit = run.core, runs.program.max_events
        with fence(core.running):
            while core.count < limit and (core.pending or runs.go_on(run)):
                self._deliver(next(iter(core.pending)))
        runs.events += len(self._rest)
        schedule = [mid for mid, _, _ in self._past] + [delivery.mid for delivery in self._rest]
        length = self._first + sum(not delivery.quiet for delivery in self._rest)
        return Ahead(self._first, self._past, self._rest, runs.end(run, schedule, length=length))

    def _deliver(self, mid: int) -> None:
        run = self._run
        core = run.core
        if mid not in core.pending:
            raise core.not_pending(mid)
        rank = core.pending[mid][0][1]
        hard = core.step(mid)
        # Both reuse what is empty for the next event.
        footprint = run.world.recorder.taken() or {}
        self._rest.append(Happened(mid, rank, hard, footprint, core.observed or {}))
