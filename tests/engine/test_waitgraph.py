"""The wait-for graph: deadlocks are found from tracepoints alone, and only deadlocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.actors.base import Actor, Port, TicketLock, WaitQueue, handles
from gupsim.engine import TimedWorld
from gupsim.engine.waitgraph import Edge, Wait, WaitGraph
from gupsim.protocol.engine import LockContended, LockGranted, LockReleased
from gupsim.protocol.message import DONE, Done, Request
from tests.engine.programs import FIXED, Go, Script

A, B, C = "thread a", "thread b", "thread c"


class Take(Request[Done], frozen=True):
    """Lock one of the owner's locks, on behalf of the asker."""

    lock: str
    shared: bool = False


class Give(Request[Done], frozen=True):
    """Unlock it."""

    lock: str


class Owner(Actor):
    """An actor whose locks others take by message."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.locks: dict[str, TicketLock] = {}

    @handles(Take)
    async def take(self, msg: Take) -> Done:
        await self.locks.setdefault(msg.lock, TicketLock(self, msg.lock)).acquire(shared=msg.shared)
        return DONE

    @handles(Give)
    def give(self, msg: Give) -> Done:
        self.locks[msg.lock].release()
        return DONE


def graph_of(**bodies: Callable[[Script], Any]) -> tuple[WaitGraph, list[tuple[Edge, ...]]]:
    """Run one script for each context, beside two owners of locks; the graph, and the cycles that it reported."""
    world = TimedWorld(speeds=FIXED)
    world.add("h0/mm", Owner)
    world.add("h0/memmap", Owner)
    for name, body in bodies.items():
        world.add(f"h0/process/{name}", Script, body)
    graph = WaitGraph()
    reported: list[tuple[Edge, ...]] = []
    world.on_tracepoint(lambda port, point: reported.append(graph.feed(port.address, point)))
    for name in bodies:
        world.post(f"h0/process/{name}", Go(), context=f"thread {name}")
    assert world.run(limit=10_000)
    world.report_stuck()
    world.close()
    return graph, [cycle for cycle in reported if cycle]


def locking(*steps: tuple[str, str] | int) -> Callable[[Script], Awaitable[None]]:
    """A script that takes locks, (owner, lock), and sleeps for so many ns in between; it keeps all."""

    async def body(actor: Script) -> None:
        for step in steps:
            if isinstance(step, int):
                await actor.sleep(step)
            else:
                await actor.ask(f"h0/{step[0]}", Take(step[1]))

    return body


MMAP = ("mm", "mmap_lock")
PAGE = ("memmap", "page lock 7")
OTHER = ("memmap", "page lock 8")


def test_two_contexts_that_lock_in_opposite_order_are_a_deadlock() -> None:
    graph, reported = graph_of(a=locking(MMAP, 100, PAGE), b=locking(PAGE, 100, MMAP))
    cycle = (Edge(A, B, "page lock 7", "h0/memmap"), Edge(B, A, "mmap_lock", "h0/mm"))
    assert reported == [cycle]
    assert graph.cycles() == [cycle]


def test_a_deadlock_of_three_is_one_cycle_of_three() -> None:
    graph, reported = graph_of(a=locking(MMAP, 100, PAGE), b=locking(PAGE, 100, OTHER), c=locking(OTHER, 100, MMAP))
    assert [[edge.waiter for edge in cycle] for cycle in reported] == [[A, B, C]]
    assert graph.cycles() == reported


def test_a_context_that_locks_twice_waits_for_itself() -> None:
    _, reported = graph_of(a=locking(PAGE, PAGE))
    assert reported == [(Edge(A, A, "page lock 7", "h0/memmap"),)]


def test_locking_in_one_order_is_no_deadlock() -> None:
    async def body(actor: Script) -> None:
        for _ in range(3):
            await actor.ask("h0/mm", Take("mmap_lock"))
            await actor.ask("h0/memmap", Take("page lock 7"))
            await actor.ask("h0/memmap", Give("page lock 7"))
            await actor.ask("h0/mm", Give("mmap_lock"))

    graph, reported = graph_of(a=body, b=body, c=body)
    assert reported == []
    assert graph.cycles() == graph.waits() == []


def test_a_reader_that_asks_again_behind_a_writer_is_a_deadlock_of_both() -> None:
    async def reader(actor: Script) -> None:
        await actor.ask("h0/mm", Take("mmap_lock", shared=True))
        await actor.sleep(100)
        await actor.ask("h0/mm", Take("mmap_lock", shared=True))

    graph, _ = graph_of(a=reader, b=locking(50, MMAP))
    assert graph.cycles() == [(Edge(A, B, "mmap_lock", "h0/mm"), Edge(B, A, "mmap_lock", "h0/mm"))]


def test_a_reader_that_wants_to_write_waits_for_itself_once_the_others_are_gone() -> None:
    async def upgrader(actor: Script) -> None:
        await actor.ask("h0/mm", Take("mmap_lock", shared=True))
        await actor.sleep(100)
        await actor.ask("h0/mm", Take("mmap_lock"))

    async def reader(actor: Script) -> None:
        await actor.ask("h0/mm", Take("mmap_lock", shared=True))
        await actor.sleep(500)
        await actor.ask("h0/mm", Give("mmap_lock"))

    _, reported = graph_of(a=upgrader, b=reader)
    assert reported == [(Edge(A, A, "mmap_lock", "h0/mm"),)]


def test_a_context_behind_a_deadlock_is_not_part_of_it_but_waits() -> None:
    graph, reported = graph_of(a=locking(MMAP, 100, PAGE), b=locking(PAGE, 100, MMAP), c=locking(500, MMAP))
    assert [[edge.waiter for edge in cycle] for cycle in reported] == [[A, B]]
    assert [wait.context for wait in graph.waits()] == [A, B, C]


def test_a_deadlock_is_reported_once() -> None:
    _, reported = graph_of(a=locking(MMAP, 100, PAGE), b=locking(PAGE, 100, MMAP), c=locking(500, PAGE))
    assert len(reported) == 1


def test_at_the_end_everyone_who_waits_is_listed_with_lock_and_holders() -> None:
    graph, _ = graph_of(a=locking(PAGE), b=locking(100, PAGE))
    assert graph.waits() == [
        Wait(context=B, actor="h0/memmap", handler="Owner.take", awaits="page lock 7", since=110, holders=(A,))
    ]


def test_who_waits_for_no_lock_is_listed_without_holders() -> None:
    async def body(actor: Script) -> None:
        await WaitQueue(actor, "gate").sleep()

    graph, _ = graph_of(a=body)
    assert [(wait.awaits, wait.holders) for wait in graph.waits()] == [("gate", ())]


def test_locks_of_one_name_in_two_actors_are_two_locks() -> None:
    graph, reported = graph_of(
        a=locking(("mm", "lock"), 100, ("mm", "other")), b=locking(("memmap", "other"), 100, ("memmap", "lock"))
    )
    assert reported == []
    assert graph.cycles() == []


def test_a_cancelled_waiter_leaves_no_edge() -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "page lock 7")

        async def hold() -> None:
            async with lock:
                await actor.sleep(100)

        actor.start(hold(), "holder")
        doomed = actor.start(hold(), "doomed")
        await actor.sleep(1)
        doomed.cancel()

    graph, _ = graph_of(a=body)
    assert graph.edges("doomed") == []


def test_a_lock_that_was_granted_leaves_no_edge() -> None:
    graph = WaitGraph()
    graph.feed("h0/mm", LockContended(lock="l", waiter=B, holders=(A,)))
    assert graph.edges(B) == [Edge(B, A, "l", "h0/mm")]
    graph.feed("h0/mm", LockReleased(lock="l", holder=A))
    graph.feed("h0/mm", LockGranted(lock="l", holder=B))
    assert graph.edges(B) == []


def test_readers_that_came_and_went_unseen_leave_no_edge() -> None:
    # Nothing is reported of a lock for which nobody waits: B got it, gave it back, and C took it, all unseen.
    graph = WaitGraph()
    graph.feed("h0/mm", LockContended(lock="l", waiter=B, holders=(A,)))
    graph.feed("h0/mm", LockReleased(lock="l", holder=A))
    graph.feed("h0/mm", LockGranted(lock="l", holder=B))
    graph.feed("h0/mm", LockContended(lock="l", waiter=A, holders=(C,)))
    assert graph.edges(A) == [Edge(A, C, "l", "h0/mm")]


def test_the_edges_of_a_writer_shrink_with_every_reader_that_leaves() -> None:
    graph = WaitGraph()
    graph.feed("h0/mm", LockContended(lock="l", waiter=C, holders=(A, B)))
    graph.feed("h0/mm", LockReleased(lock="l", holder=A))
    assert [edge.holder for edge in graph.edges(C)] == [B]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_graph_that_joins_late_does_not_fail(missing: int) -> None:
    points = [
        LockContended(lock="l", waiter=B, holders=(A,)),
        LockReleased(lock="l", holder=A),
        LockGranted(lock="l", holder=B),
        LockReleased(lock="l", holder=B),
    ]
    graph = WaitGraph()
    for point in points[missing:]:
        graph.feed("h0/mm", point)
    assert graph.cycles() == []


programs = st.lists(st.lists(st.sampled_from([MMAP, PAGE, OTHER]), max_size=3, unique=True), min_size=1, max_size=4)


@given(orders=programs)
def test_there_is_a_cycle_exactly_if_somebody_is_stuck(orders: list[list[tuple[str, str]]]) -> None:
    async def body(actor: Script, order: list[tuple[str, str]]) -> None:
        for owner, lock in order:
            await actor.ask(f"h0/{owner}", Take(lock))
            await actor.sleep(7)
        for owner, lock in order:
            await actor.ask(f"h0/{owner}", Give(lock))

    names = ("a", "b", "c", "d")
    bodies = {
        name: lambda actor, order=order: body(actor, order)  # type: ignore[misc]
        for name, order in zip(names, orders, strict=False)
    }
    graph, reported = graph_of(**bodies)
    assert bool(graph.waits()) == bool(graph.cycles()) == bool(reported)
