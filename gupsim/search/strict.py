"""Does every actor keep all that it shares in recorded containers? A check, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gupsim.actors.base.footprint import Footprint
from gupsim.engine.fence import fence
from gupsim.search.errors import Unrecorded
from gupsim.search.execution import Execution
from gupsim.search.order import Order
from gupsim.search.runs import Runs
from gupsim.search.strategy import Strategy


class _Event(NamedTuple):
    """What must be the same in all equivalent executions."""

    rank: int
    message: Any
    footprint: Footprint


class Strict:
    """Another strategy, each of whose executions runs twice more: as it was, and with independent events swapped.

    Both must touch the same, send the same and end the same. If they do not, events that the search takes for
    independent are not: Unrecorded says where the difference shows first. A search without this check would miss
    executions then, and say nothing. It takes three times as long.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.name = strategy.name
        self.exhaustive = strategy.exhaustive

    @property
    def replays(self) -> int:
        return self._strategy.replays

    @property
    def blocked(self) -> int:
        return self._strategy.blocked

    def promise(self) -> str:
        return self._strategy.promise()

    def executions(self, runs: Runs) -> Iterator[Execution]:
        for execution in self._strategy.executions(runs):
            if not execution.cut and not execution.blocked:
                _compare(runs, execution)
            yield execution


def _compare(runs: Runs, execution: Execution) -> None:
    order = Order()
    events, end = _play(runs, list(execution.schedule), order)
    others, other_end = _play(runs, latest_first(order), None)
    for mid, event in events.items():
        other = others.get(mid)
        if other != event:
            port = runs.open().core.ports[event.rank]
            what = _difference(event, other)
            raise Unrecorded(
                f"{port.address}: {type(event.message).__name__} (message {runs.names.text(mid)}) {what} when events"
                " that touch nothing in common come in another order: some actor keeps state that is in no"
                " recorded container, or a container forgets to note an access"
            )
    if end != other_end:
        raise Unrecorded(
            f"the same events in another order of independent ones end differently: {end} and {other_end}: some actor"
            " keeps state that is in no recorded container"
        )


def latest_first(order: Order) -> list[int]:
    """The same events, each as late as those that must follow it allow: as many pairs swapped as can be."""
    left = set(range(len(order)))
    quiet = order.quiet()
    done = 0
    schedule = []
    while True:
        schedule += [mid for mid, before in quiet if not before & ~done]
        quiet = [(mid, before) for mid, before in quiet if before & ~done]
        if not left:
            return schedule
        number = max(number for number in left if not order.before[number] & ~done)
        left.remove(number)
        done |= 1 << number
        schedule.append(order.mids[number])


def _play(runs: Runs, schedule: list[int], order: Order | None) -> tuple[dict[int, _Event], object]:
    """Run a schedule once more. order: takes its events, if given."""
    run = runs.open()
    core, recorder = run.core, run.world.recorder
    recorder.looking = True
    events = {}
    with fence(core.running):
        for mid in schedule:
            if not runs.go_on(run) or mid not in core.pending:
                raise Unrecorded(f"message {runs.names.text(mid)} does not exist when independent events are swapped")
            item = core.pending[mid][0]
            hard = core.step(mid)
            footprint = recorder.taken()
            events[mid] = _Event(item[1], item[4], dict(footprint))
            if order is not None:
                order.add(mid, item[1], hard, footprint, core.observed)
    end = runs.end(run, schedule)
    return events, (end.state, end.violations)


def _difference(event: _Event, other: _Event | None) -> str:
    if other is None:
        return "does not happen"
    if other.rank != event.rank:
        return "goes to another actor"
    if other.message != event.message:
        return f"says {event.message!r} or {other.message!r}"
    keys = sorted(str(key) for key in event.footprint.keys() ^ other.footprint.keys())
    return f"touches {', '.join(keys)} or not" if keys else "touches the same otherwise"
