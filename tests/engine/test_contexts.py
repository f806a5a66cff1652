"""Kernel contexts: their names, their own tasks, cancellation, death, and who is stuck in the end."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from gupsim.actors.base import Cancelled, ContextDied, TicketLock, WaitQueue
from gupsim.engine import TimedWorld
from gupsim.protocol.engine import ContextLost, Stuck
from tests.engine.programs import (
    FIXED,
    Answer,
    Go,
    Log,
    Note,
    Plain,
    Points,
    Question,
    Script,
    Service,
    Told,
    echo,
    play,
    slow_echo,
)


def die(service: Service, number: int) -> Answer:
    """A reply that runs into a BUG()."""
    raise ContextDied


async def die_later(service: Service, number: int) -> Answer:
    """The same after a wait."""
    await service.sleep(5)
    raise ContextDied


def report(
    body: Callable[[Script], Any], reply: Callable[[Service, int], Any] = echo
) -> tuple[TimedWorld, list[Stuck], Points]:
    """Run to the end; who is stuck then."""
    world = TimedWorld(speeds=FIXED)
    world.add("h0/script", Script, body)
    world.add("h0/service", Service, reply)
    points = Points(world)
    world.post("h0/script", Go(), context="thread t")
    assert world.run(limit=10_000)
    count = world.report_stuck()
    stuck = points.of(Stuck)
    assert len(stuck) == count
    return world, stuck, points


def test_a_request_runs_in_the_context_of_its_asker() -> None:
    contexts: list[str] = []

    async def reply(service: Service, number: int) -> Answer:
        contexts.append(service.port.context)
        await service.sleep(1)
        contexts.append(service.port.context)
        return Answer(number)

    async def body(actor: Script) -> None:
        contexts.append(actor.port.context)
        await actor.ask("h0/service", Question(1))
        contexts.append(actor.port.context)

    world = TimedWorld()
    world.add("h0/script", Script, body)
    world.add("h0/service", Service, reply)
    world.post("h0/script", Go(), context="thread t")
    world.run()
    assert contexts == ["thread t"] * 4


def test_a_message_without_a_context_runs_in_one_named_after_it() -> None:
    contexts: list[str] = []
    world = TimedWorld()
    world.add("h0/source", Plain, lambda actor: [actor.send("h0/sink", Go()) for _ in range(2)] and None)
    world.add("h0/sink", Plain, lambda actor: contexts.append(actor.port.context))
    world.post("h0/source", Go())
    world.run()
    assert contexts == ["h0/sink<h0/source.1", "h0/sink<h0/source.2"]


def test_a_message_may_name_the_context_that_it_starts() -> None:
    contexts: list[str] = []
    world = TimedWorld()
    world.add("h0/source", Plain, lambda actor: actor.send("h0/sink", Go(), context="irq 7"))
    world.add("h0/sink", Plain, lambda actor: contexts.append(actor.port.context))
    world.post("h0/source", Go())
    world.run()
    assert contexts == ["irq 7"]


def test_a_started_context_runs_at_once_up_to_its_first_wait_and_then_beside_its_starter() -> None:
    order: list[str] = []

    async def worker(actor: Script) -> None:
        order.append(f"{actor.port.context} begins")
        await actor.sleep(5)
        order.append(f"{actor.port.context} ends")

    async def body(actor: Script) -> None:
        actor.start(worker(actor), "kworker")
        order.append("starter goes on")
        await actor.sleep(3)
        order.append("starter ends")

    play(body)
    assert order == ["kworker begins", "starter goes on", "starter ends", "kworker ends"]


def test_starting_a_context_does_not_change_the_starters_own() -> None:
    async def worker(actor: Script) -> None:
        await actor.sleep(5)

    async def body(actor: Script) -> tuple[str, str]:
        before = actor.port.context
        actor.start(worker(actor), "kworker")
        return before, actor.port.context

    before, after = play(body).result
    assert before == after


def test_a_context_is_done_when_it_has_returned() -> None:
    async def worker(actor: Script) -> None:
        await actor.sleep(5)

    async def body(actor: Script) -> tuple[bool, bool]:
        task = actor.start(worker(actor))
        before = task.done
        await actor.sleep(6)
        return before, task.done

    assert play(body).result == (False, True)


def test_a_cancelled_context_gets_cancelled_where_it_waits_and_cleans_up() -> None:
    order: list[str] = []

    async def worker(actor: Script) -> None:
        try:
            await actor.sleep(100)
        except Cancelled:
            order.append("cancelled")
            raise
        finally:
            order.append("cleaned up")

    async def body(actor: Script) -> bool:
        task = actor.start(worker(actor))
        await actor.sleep(1)
        task.cancel()
        order.append("canceller goes on")
        return task.done

    assert play(body).result
    assert order == ["cancelled", "cleaned up", "canceller goes on"]


def test_a_cancelled_sleep_is_no_event_and_does_not_move_the_clock() -> None:
    async def worker(actor: Script) -> None:
        await actor.sleep(10**9)

    async def body(actor: Script) -> None:
        task = actor.start(worker(actor))
        await actor.sleep(1)
        task.cancel()

    world = TimedWorld()
    world.add("h0/script", Script, body)
    log = Log(world)
    world.post("h0/script", Go())
    assert world.run()
    assert world.now == 1
    assert world.events == len(log.lines) == 2


@pytest.mark.parametrize("within", [None, 50, 5000])
def test_the_answer_for_a_cancelled_context_is_dropped(within: int | None) -> None:
    async def worker(actor: Script) -> None:
        if within is None:
            await actor.ask("h0/service", Question(1))
        else:
            await actor.ask_within(within, "h0/service", Question(1))

    async def body(actor: Script) -> None:
        task = actor.start(worker(actor))
        await actor.sleep(1)
        task.cancel()

    world = TimedWorld(speeds=FIXED)
    world.add("h0/script", Script, body)
    world.add("h0/service", Service, slow_echo(100))
    world.post("h0/script", Go())
    assert world.run()
    assert world.now == 110
    assert world.events == 4  # Go, the starter's sleep, Question, the service's sleep


def test_a_cancelled_context_may_wait_while_it_cleans_up() -> None:
    async def worker(actor: Script) -> None:
        try:
            await actor.sleep(1000)
        finally:
            await actor.sleep(10)
            actor.send("h0/script", Note(actor.now), 1)

    async def body(actor: Script) -> tuple[bool, bool]:
        task = actor.start(worker(actor))
        await actor.sleep(5)
        task.cancel()
        before = task.done
        await actor.sleep(100)
        return before, task.done

    script = play(body)
    assert script.result == (False, True)
    assert script.notes == [(16, 15)]


def test_cancelling_twice_or_after_the_end_does_nothing() -> None:
    async def worker(actor: Script) -> None:
        await actor.sleep(5)

    async def body(actor: Script) -> str:
        task = actor.start(worker(actor))
        await actor.sleep(10)
        task.cancel()
        other = actor.start(worker(actor))
        other.cancel()
        other.cancel()
        return "fine"

    assert play(body).result == "fine"


def test_a_context_that_cancels_itself_goes_on() -> None:
    async def body(actor: Script) -> str:
        async def worker() -> str:
            await actor.sleep(1)
            task.cancel()
            actor.send("h0/script", Note(1), 1)
            return "fine"

        task = actor.start(worker())
        await actor.sleep(100)
        return "fine"

    assert play(body).notes


def test_a_cancelled_waiter_leaves_its_place_in_the_queue_of_a_lock() -> None:
    async def body(actor: Script) -> int:
        lock = TicketLock(actor, "page lock 7")

        async def hold(ns: int) -> None:
            async with lock:
                await actor.sleep(ns)

        actor.start(hold(10), "first")
        doomed = actor.start(hold(1000), "second")
        actor.start(hold(10), "third")
        await actor.sleep(1)
        doomed.cancel()
        async with lock:
            return actor.now

    assert play(body).result == 20


def test_a_waiter_that_is_cancelled_after_its_turn_came_gives_the_lock_back() -> None:
    async def body(actor: Script) -> bool:
        lock = TicketLock(actor, "page lock 7")

        async def hold() -> None:
            async with lock:
                await actor.sleep(1000)

        doomed = actor.start(hold(), "doomed")  # the lock is free, its grant under way
        doomed.cancel()
        return lock.idle

    assert play(body).result


def test_a_cancelled_reader_behind_a_writer_lets_nobody_overtake() -> None:
    async def body(actor: Script) -> list[str]:
        lock = TicketLock(actor, "mmap_lock")
        order: list[str] = []

        async def read(name: str) -> None:
            async with lock.shared():
                order.append(name)
                await actor.sleep(10)

        async def write(name: str) -> None:
            async with lock:
                order.append(name)
                await actor.sleep(10)

        actor.start(read("r1"), "r1")
        doomed = actor.start(write("w1"), "w1")
        actor.start(read("r2"), "r2")
        actor.start(write("w2"), "w2")
        await actor.sleep(1)
        doomed.cancel()
        await actor.sleep(100)
        return order

    assert play(body).result == ["r1", "r2", "w2"]


def test_a_cancelled_sleeper_leaves_its_wait_queue() -> None:
    async def body(actor: Script) -> bool:
        queue = WaitQueue(actor, "writeback of page 7")

        async def wait() -> None:
            await queue.sleep()

        actor.start(wait()).cancel()
        return queue.empty

    assert play(body).result


@pytest.mark.parametrize("reply", [die, die_later])
def test_a_context_that_dies_answers_nobody_and_is_reported(reply: Callable[[Service, int], Any]) -> None:
    async def body(actor: Script) -> None:
        await actor.ask("h0/service", Question(1))

    _, stuck, points = report(body, reply)
    assert [lost.context for lost in points.of(ContextLost)] == ["thread t"]
    (only,) = stuck
    assert only.context == "thread t"
    assert only.awaits.startswith("an answer of h0/service, where ")


def test_a_context_that_dies_keeps_its_locks() -> None:
    async def body(actor: Script) -> bool:
        lock = TicketLock(actor, "page lock 7")

        async def doomed() -> None:
            async with lock:
                raise ContextDied

        async def doomed_reader() -> None:
            async with lock.shared():
                raise ContextDied

        task = actor.start(doomed(), "doomed")
        actor.start(doomed_reader(), "behind")
        await actor.sleep(1)
        return task.done and lock.held

    assert play(body).result


def test_a_context_that_dies_takes_nobody_with_it() -> None:
    async def doomed() -> None:
        raise ContextDied

    async def body(actor: Script) -> str:
        actor.start(doomed())
        await actor.sleep(1)
        return "alive"

    assert play(body).result == "alive"


def test_nobody_is_stuck_when_all_have_returned() -> None:
    async def body(actor: Script) -> None:
        await actor.ask("h0/service", Question(1))

    assert report(body)[1] == []


def test_who_waits_for_a_lock_for_ever_is_reported_with_the_lock_and_since_when() -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "page lock 7")
        await lock.acquire()
        await actor.sleep(30)
        await lock.acquire()

    _, stuck, _ = report(body)
    assert stuck == [Stuck(context="thread t", handler="Script.go", awaits="page lock 7", since=30)]


def test_who_sleeps_in_a_wait_queue_for_ever_is_reported() -> None:
    async def body(actor: Script) -> None:
        await WaitQueue(actor, "writeback of page 7").sleep()

    assert [found.awaits for found in report(body)[1]] == ["writeback of page 7"]


def test_a_context_that_waits_through_several_actors_is_reported_once_at_the_innermost_place() -> None:
    async def reply(service: Service, number: int) -> Answer:
        await WaitQueue(service, "gate").sleep()
        return Answer(number)

    async def body(actor: Script) -> None:
        await actor.ask("h0/service", Question(1))

    _, stuck, _ = report(body, reply)
    assert [(found.context, found.awaits) for found in stuck] == [("thread t", "gate")]


def test_a_context_that_waits_for_a_join_is_reported_where_its_parts_wait() -> None:
    async def reply(service: Service, number: int) -> Answer:
        if number:
            await WaitQueue(service, f"gate {number}").sleep()
        return Answer(number)

    async def body(actor: Script) -> None:
        await actor.ask_all([("h0/service", Question(number)) for number in range(3)])

    assert [found.awaits for found in report(body, reply)[1]] == ["gate 1", "gate 2"]


def test_nobody_is_called_stuck_while_something_is_under_way() -> None:
    async def body(actor: Script) -> None:
        await actor.sleep(100)

    world = TimedWorld()
    world.add("h0/script", Script, body)
    world.post("h0/script", Go())
    world.run(limit=1)
    assert world.report_stuck() == 0


def test_what_was_awaited_in_time_leaves_no_trace_in_the_port() -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "page lock 7")

        async def hold() -> None:
            async with lock:
                await actor.sleep(5)

        for _ in range(10):
            actor.start(hold())
            await actor.ask_within(1000, "h0/service", Question(1))
            await actor.ask_all([("h0/service", Question(1))] * 3)

    script = play(body)
    port = script.port
    assert not any((port.waiting, port.early, port.timed, port.spent, port.reasons))  # type: ignore[attr-defined]


def test_closing_a_world_drops_what_waits_without_a_word() -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "page lock 7")
        async with lock.shared():
            try:
                await WaitQueue(actor, "gate").sleep()
            finally:
                actor.send("h0/service", Question(1))
                actor.trace(Told(number=1))

    world, stuck, points = report(body)
    assert len(stuck) == 1
    seen = len(points.seen)
    world.close()
    gc.collect()
    assert len(points.seen) == seen
    assert world.report_stuck() == 0


def test_a_world_that_is_dropped_unclosed_makes_no_noise() -> None:
    async def body(actor: Script) -> None:
        async with TicketLock(actor, "mmap_lock").shared():
            await WaitQueue(actor, "gate").sleep()

    world, _, _ = report(body)
    del world
    gc.collect()  # an unraisable exception would be a warning, and a warning is a failure
