"""Ticket locks and wait queues, as contexts meet them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.actors.base import TicketLock, WaitQueue
from gupsim.engine import ActorFailed, TimedWorld
from gupsim.protocol.engine import LockContended, LockGranted, LockReleased
from tests.engine.programs import FIXED, Go, Log, Points, Script, play

plans = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans()), max_size=12)
"""Contexts of a lock: (when it asks, how long it holds, shared)."""


class Held:
    """Checks from within what a lock promises."""

    def __init__(self, actor: Script) -> None:
        self.lock = TicketLock(actor, "mmap_lock")
        self.order: list[int] = []
        self.inside: list[bool] = []
        self.clashes = 0
        self.most = 0

    async def use(self, actor: Script, number: int, at: int, held: int, *, shared: bool) -> None:
        await actor.sleep(at)
        async with self.lock.shared() if shared else self.lock:
            self.order.append(number)
            self.clashes += bool(self.inside) and not (shared and all(self.inside))
            self.inside.append(shared)
            self.most = max(self.most, len(self.inside))
            await actor.sleep(held)
            self.inside.remove(shared)


def contend(plan: list[tuple[int, int, bool]]) -> Held:
    """Play a plan to its end."""

    async def body(actor: Script) -> Held:
        held = Held(actor)
        for number, (at, how_long, shared) in enumerate(plan):
            actor.start(held.use(actor, number, at, how_long, shared=shared), f"context {number}")
        return held

    held: Held = play(body).result
    assert held.lock.idle
    return held


@given(plan=plans)
def test_an_exclusive_holder_is_alone(plan: list[tuple[int, int, bool]]) -> None:
    assert contend(plan).clashes == 0


@given(plan=plans)
def test_who_asks_first_gets_it_first(plan: list[tuple[int, int, bool]]) -> None:
    # Those that ask at the same moment ask in the order in which their sleeps were begun.
    asked = sorted(range(len(plan)), key=lambda number: plan[number][0])
    assert contend(plan).order == asked


def test_readers_share() -> None:
    assert contend([(0, 10, True)] * 4).most == 4


def test_a_reader_does_not_overtake_a_writer() -> None:
    assert contend([(0, 10, True), (1, 10, False), (2, 10, True)]).order == [0, 1, 2]


def test_readers_behind_a_writer_get_it_together() -> None:
    assert contend([(0, 10, False), (1, 10, True), (2, 10, True), (3, 10, False), (4, 10, True)]).most == 2


def test_the_grant_of_a_free_lock_is_a_delivery_of_its_own_and_takes_no_time() -> None:
    async def body(actor: Script) -> int:
        await TicketLock(actor, "page lock 7").acquire()
        return actor.now

    world = TimedWorld(speeds=FIXED)
    script = world.add("h0/script", Script, body)
    log = Log(world)
    world.post("h0/script", Go())
    world.run()
    assert script.result == 0
    assert [line[4] for line in log.lines] == [Go(), None]


def test_a_ticket_is_taken_at_acquire_and_not_at_the_await() -> None:
    async def body(actor: Script) -> list[str]:
        lock = TicketLock(actor, "page lock 7")
        order: list[str] = []

        async def other() -> None:
            async with lock:
                order.append("other")

        ticket = lock.acquire()
        actor.start(other(), "other")
        await actor.sleep(5)
        await ticket
        order.append("first")
        lock.release()
        await actor.sleep(5)
        return order

    assert play(body).result == ["first", "other"]


def test_a_lock_is_given_back_when_an_exception_leaves_the_block() -> None:
    async def body(actor: Script) -> bool:
        lock = TicketLock(actor, "page lock 7")
        with pytest.raises(KeyError):
            async with lock:
                raise KeyError
        with pytest.raises(KeyError):
            async with lock.shared():
                raise KeyError
        return lock.idle

    assert play(body).result


def test_a_holder_may_be_released_by_another_context() -> None:
    async def body(actor: Script) -> bool:
        lock = TicketLock(actor, "page lock 7")

        async def end_of_io() -> None:
            lock.release()

        await lock.acquire()
        actor.start(end_of_io(), "irq")
        return lock.idle

    assert play(body).result


def test_a_reader_may_be_released_by_name() -> None:
    async def body(actor: Script) -> bool:
        lock = TicketLock(actor, "mmap_lock")
        context = actor.port.context
        await lock.acquire(shared=True)

        async def end_of_io() -> None:
            lock.release(context)

        actor.start(end_of_io(), "irq")
        return lock.idle

    assert play(body).result


@pytest.mark.parametrize(
    ("taken", "shared", "wrong"),
    [(False, False, "nobody holds it"), (True, True, "released by irq, held by")],
)
def test_releasing_a_lock_that_one_does_not_hold_is_a_bug_of_the_program(taken: bool, shared: bool, wrong: str) -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "mmap_lock")
        if taken:
            await lock.acquire(shared=shared)

        async def other() -> None:
            lock.release()

        actor.start(other(), "irq")

    with pytest.raises(ActorFailed, match=f"LockError.*mmap_lock.*{wrong}"):
        play(body)


async def _free(actor: Script, lock: TicketLock) -> None:
    pass


async def _held(actor: Script, lock: TicketLock) -> None:
    await lock.acquire()


async def _shared(actor: Script, lock: TicketLock) -> None:
    await lock.acquire(shared=True)


async def _shared_and_wanted(actor: Script, lock: TicketLock) -> None:
    async def writer() -> None:
        await lock.acquire()

    await lock.acquire(shared=True)
    actor.start(writer(), "writer")


@pytest.mark.parametrize(
    ("state", "exclusive", "shared"),
    [(_free, True, True), (_held, False, False), (_shared, False, True), (_shared_and_wanted, False, False)],
)
def test_a_trylock_succeeds_only_if_it_need_not_wait(
    state: Callable[[Script, TicketLock], Awaitable[None]], exclusive: bool, shared: bool
) -> None:
    async def body(actor: Script) -> tuple[bool, bool]:
        one, two = TicketLock(actor, "one"), TicketLock(actor, "two")
        await state(actor, one)
        await state(actor, two)
        return one.try_acquire(), two.try_acquire(shared=True)

    assert play(body).result == (exclusive, shared)


def test_a_lock_taken_by_trylock_is_held() -> None:
    async def body(actor: Script) -> tuple[bool, bool, bool]:
        lock = TicketLock(actor, "page lock 7")
        before = lock.held
        lock.try_acquire()
        during = lock.held
        lock.release()
        return before, during, lock.held

    assert play(body).result == (False, True, False)


def test_only_contended_locks_are_reported() -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "page lock 7")
        for _ in range(2):
            async with lock:
                await actor.sleep(1)

    assert _points(body).seen == []


def test_a_contended_lock_reports_who_waits_who_gets_and_who_gives_it() -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "page lock 7")

        async def other() -> None:
            async with lock:
                await actor.sleep(1)

        async with lock:
            actor.start(other(), "other")

    assert [point for _, point in _points(body).seen] == [
        LockContended(lock="page lock 7", waiter="other", holders=("main",)),
        LockReleased(lock="page lock 7", holder="main"),
        LockGranted(lock="page lock 7", holder="other"),
    ]


def test_a_release_for_another_names_the_holder() -> None:
    async def body(actor: Script) -> None:
        lock = TicketLock(actor, "page lock 7")

        async def end_of_io() -> None:
            lock.release()

        async def other() -> None:
            await lock.acquire()

        await lock.acquire()
        actor.start(other(), "other")
        actor.start(end_of_io(), "irq")

    assert _points(body).of(LockReleased) == [LockReleased(lock="page lock 7", holder="main")]


def _points(body: Callable[[Script], Any]) -> Points:
    world = TimedWorld(speeds=FIXED)
    world.add("h0/script", Script, body)
    points = Points(world)
    world.post("h0/script", Go(), context="main")
    world.run()
    return points


def test_wake_all_wakes_everyone_who_sleeps_and_nobody_who_comes_later() -> None:
    async def body(actor: Script) -> list[str]:
        queue = WaitQueue(actor, "writeback of page 7")
        woken: list[str] = []

        async def wait(name: str) -> None:
            await queue.sleep()
            woken.append(name)

        for name in ("first", "second"):
            actor.start(wait(name))
        queue.wake_all()
        actor.start(wait("late"))
        await actor.sleep(10)
        return woken

    assert play(body).result == ["first", "second"]


def test_a_wait_queue_is_empty_when_nobody_sleeps_there() -> None:
    async def body(actor: Script) -> list[bool]:
        queue = WaitQueue(actor, "writeback of page 7")
        seen = [queue.empty]

        async def wait() -> None:
            await queue.sleep()

        actor.start(wait())
        seen.append(queue.empty)
        queue.wake_all()
        seen.append(queue.empty)
        return seen

    assert play(body).result == [True, False, True]


def test_a_wake_up_between_the_test_and_the_await_is_not_lost() -> None:
    async def body(actor: Script) -> str:
        queue = WaitQueue(actor, "writeback of page 7")
        sleeping = queue.sleep()
        queue.wake_all()
        await actor.sleep(5)
        await sleeping
        return "awake"

    assert play(body).result == "awake"
