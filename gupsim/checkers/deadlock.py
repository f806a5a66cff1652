"""deadlock: contexts that wait for each other, or for ever: nothing can run, but somebody waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from gupsim.checkers.orders import Orders
from gupsim.checkers.violation import Violation
from gupsim.engine.waitgraph import Edge, Wait, WaitGraph
from gupsim.protocol.director import DIRECTOR
from gupsim.protocol.engine import ContextLost, LockContended, LockGranted, LockReleased, Stuck
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event

_NAMED = 3
"""Contexts named in one message; of the others the number is given."""


class Deadlocks:
    """Cycles of lock waits that last to the end, and contexts that nothing will wake.

    Who died in a BUG() waits no more; who waits for what he took with him is told so. As long as the director of
    a script holds somebody back, the history is not over, and a wait for no lock in particular proves nothing.
    """

    kind: ClassVar[str] = "deadlock"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        LockContended,
        LockGranted,
        LockReleased,
        Stuck,
        ContextLost,
        KernelBug,
    )
    relates: ClassVar[Orders] = {}

    def __init__(self) -> None:
        self._graph = WaitGraph()
        self._closed: dict[tuple[Edge, ...], Event] = {}
        self._contended: dict[tuple[str, str, str], Event] = {}
        self._stuck: dict[tuple[str, str], Event] = {}
        self._lost: dict[str, Event] = {}
        self._bugs: dict[str, Event] = {}

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event. A cycle is reported at the end, if it is still there."""
        point = event.point
        kind = type(point)
        if kind is ContextLost:
            self._lost[point.context] = event
            return ()
        if kind is KernelBug:
            self._bugs[event.context] = event
            return ()
        cycle = self._graph.feed(event.actor, point)
        if cycle:
            self._closed.setdefault(cycle, event)
        if kind is LockContended:
            self._contended[event.actor, point.lock, point.waiter] = event
        elif kind is LockGranted:
            self._contended.pop((event.actor, point.lock, point.holder), None)
        elif kind is Stuck:
            self._stuck[event.actor, point.context] = event
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """The deadlocks that are there now."""
        cycles = self._graph.cycles()
        for cycle in cycles:
            yield self._cycle(cycle, end_time)
        explained = {edge.waiter for cycle in cycles for edge in cycle} | set(self._lost)
        waits = [wait for wait in self._graph.waits() if wait.context not in explained]
        script_goes_on = any(wait.actor == DIRECTOR for wait in waits)
        for group in _grouped(waits):
            if group[0].actor == DIRECTOR:
                continue
            waiting = {wait.context for wait in group}
            holders = dict.fromkeys(holder for wait in group for holder in wait.holders if holder not in waiting)
            dead = [holder for holder in holders if holder in self._lost]
            if dead or not script_goes_on:
                yield self._wait(group, list(holders), dead)

    def _cycle(self, cycle: tuple[Edge, ...], end_time: int) -> Violation:
        closed = self._closed.get(cycle)
        waits = "; ".join(f"{edge.waiter} waits for {edge.lock}, held by {edge.holder}" for edge in cycle)
        found = (self._contended.get((edge.actor, edge.lock, edge.waiter)) for edge in cycle)
        return Violation(
            kind=self.kind,
            time_ns=closed.time if closed is not None else end_time,
            message=f"deadlock of {len({edge.waiter for edge in cycle})} contexts: {waits}",
            actors=tuple(dict.fromkeys(edge.actor for edge in cycle)),
            event=closed,
            chain=_in_order(event for event in found if event is not None),
        )

    def _wait(self, group: list[Wait], holders: list[str], dead: list[str]) -> Violation:
        first = group[0]
        names = ", ".join(wait.context for wait in group[:_NAMED])
        more = f" and {len(group) - _NAMED} more" if len(group) > _NAMED else ""
        verb = "wait" if len(group) > 1 else "waits"
        held = f", held by {', '.join(holders)}" if holders else ""
        if dead:
            who = "which" if len(holders) == 1 else dead[0]
            bug = self._bugs.get(dead[0])
            held += f", {who} died in " + (bug.point.where if bug is not None else "a BUG()") + " and keeps it"
        event = self._stuck[first.actor, first.context]
        return Violation(
            kind=self.kind,
            time_ns=event.time,
            message=f"{names}{more} {verb} for ever for {first.awaits}{held}",
            actors=(first.actor,),
            event=event,
            chain=_in_order(self._leading_to(group, dead)),
        )

    def _leading_to(self, group: list[Wait], dead: list[str]) -> Iterator[Event]:
        for holder in dead:
            yield from (events[holder] for events in (self._bugs, self._lost) if holder in events)
        for wait in group:
            contended = self._contended.get((wait.actor, wait.awaits, wait.context))
            if contended is not None:
                yield contended
            yield self._stuck[wait.actor, wait.context]


def _grouped(waits: list[Wait]) -> Iterator[list[Wait]]:
    """Those who wait for the same thing at the same place, together."""
    groups: dict[tuple[str, str], list[Wait]] = {}
    for wait in waits:
        groups.setdefault((wait.actor, wait.awaits), []).append(wait)
    yield from groups.values()


def _in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: event.index))
