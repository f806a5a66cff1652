"""Who waits for whom: deadlocks, from the tracepoints of contended locks alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from gupsim.protocol.engine import LockContended, LockGranted, LockReleased, Stuck
from gupsim.protocol.message import Tracepoint


class Edge(msgspec.Struct, frozen=True, order=True):
    """Context `waiter` cannot go on before context `holder` gives back `lock` of `actor`, or its place in the queue."""

    waiter: str
    holder: str
    lock: str
    actor: str

    def say(self) -> str:
        """One line for a person."""
        return f"{self.waiter} waits for {self.lock} ({self.actor}), which {self.holder} holds or gets before"


class Wait(msgspec.Struct, frozen=True):
    """Context `context` waits for `awaits` in `handler` of `actor` since `since` (ns), and nothing is left to happen.

    holders: the contexts that stand in its way, if `awaits` is a lock.
    """

    context: str
    actor: str
    handler: str
    awaits: str
    since: int
    holders: tuple[str, ...]


class _Contended:
    """A lock with a queue. Of a lock without one nothing is reported, so nothing is kept: edges are never stale."""

    __slots__ = ("holders", "queue")

    def __init__(self) -> None:
        self.holders: list[str] = []
        self.queue: list[str] = []


class WaitGraph:
    """The wait-for graph of a world, between contexts: what one context holds in several actors counts as one.

    A request that waits for its answer gives no edge: both ends run in the same context. A context with two handlers
    at work (ask_all) waits in one while the other may go on; for such, only a cycle that lasts is a deadlock.
    """

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], _Contended] = {}
        self._stuck: list[tuple[str, Stuck]] = []
        self._reported: set[tuple[Edge, ...]] = set()

    def feed(self, actor: str, point: Tracepoint) -> tuple[Edge, ...]:
        """Take the next tracepoint, emitted by `actor`; returns the cycle that it closes, or ()."""
        if isinstance(point, Stuck):
            self._stuck.append((actor, point))
            return ()
        if not isinstance(point, (LockContended, LockGranted, LockReleased)):
            return ()
        key = (actor, point.lock)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = _Contended()
        if isinstance(point, LockContended):
            lock.holders = list(point.holders)
            lock.queue.append(point.waiter)
        elif isinstance(point, LockGranted):
            _drop(lock.queue, point.holder)
            lock.holders.append(point.holder)
        elif point.holder in lock.holders:
            lock.holders.remove(point.holder)
        else:
            _drop(lock.queue, point.holder)  # cancelled while it waited
        if not lock.queue:
            del self._locks[key]
        return self._new_cycle(lock)

    def edges(self, context: str) -> list[Edge]:
        """Whom `context` waits for: all before it in the queue, and the holders."""
        found = []
        for (actor, name), lock in self._locks.items():
            if context not in lock.queue:
                continue
            before = [*lock.queue[: lock.queue.index(context)], *lock.holders]
            # A reader that asks again waits for the writer between; only who meets nobody else waits for himself.
            others = [holder for holder in before if holder != context] or before
            found += [Edge(context, holder, name, actor) for holder in dict.fromkeys(others)]
        return found

    def cycles(self) -> list[tuple[Edge, ...]]:
        """The deadlocks of this moment: for each context in one, the shortest; each once, smallest name first."""
        waiters = sorted({waiter for lock in self._locks.values() for waiter in lock.queue})
        return sorted({cycle for waiter in waiters if (cycle := self._cycle(waiter))})

    def waits(self) -> list[Wait]:
        """Who waits for what at the end of the run, in the order in which that was reported."""
        return [
            Wait(
                context=stuck.context,
                actor=actor,
                handler=stuck.handler,
                awaits=stuck.awaits,
                since=stuck.since,
                holders=tuple(
                    edge.holder
                    for edge in self.edges(stuck.context)
                    if (edge.actor, edge.lock) == (actor, stuck.awaits)
                ),
            )
            for actor, stuck in self._stuck
        ]

    def _new_cycle(self, lock: _Contended) -> tuple[Edge, ...]:
        if len(self._locks) == 1 and not any(holder in lock.queue for holder in lock.holders):
            return ()  # nobody waits who is waited for, except in one queue, and that has an order
        for waiter in lock.queue:
            cycle = self._cycle(waiter)
            if cycle and cycle not in self._reported:
                self._reported.add(cycle)
                return cycle
        return ()

    def _cycle(self, start: str) -> tuple[Edge, ...]:
        """The shortest way from `start` back to it, or ()."""
        came: dict[str, Edge] = {}
        todo = deque([start])
        while todo:
            for edge in self.edges(todo.popleft()):
                if edge.holder == start:
                    return _smallest_first((*reversed(list(_way(came, start, edge.waiter))), edge))
                if edge.holder not in came:
                    came[edge.holder] = edge
                    todo.append(edge.holder)
        return ()


def _way(came: dict[str, Edge], start: str, context: str) -> Iterator[Edge]:
    """The edges from `context` back to `start`."""
    while context != start:
        edge = came[context]
        yield edge
        context = edge.waiter


def _smallest_first(cycle: tuple[Edge, ...]) -> tuple[Edge, ...]:
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


def _drop(contexts: list[str], context: str) -> None:
    if context in contexts:
        contexts.remove(context)
