"""Requests, their answers, time-outs and joins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.actors.base import AskTimeout
from gupsim.engine import ActorFailed, TimedWorld
from tests.engine.programs import (
    FIXED,
    Answer,
    Go,
    Log,
    Note,
    Question,
    Script,
    Service,
    echo,
    play,
    slow_echo,
)


async def never(service: Service, number: int) -> Answer:
    """A reply that does not come."""
    await service.sleep(10**9)
    return Answer(number)


def test_an_ask_gives_the_answer() -> None:
    async def body(actor: Script) -> int:
        return (await actor.ask("h0/service", Question(7))).number

    assert play(body).result == 7


def test_an_ask_takes_the_way_there_and_back() -> None:
    async def body(actor: Script) -> int:
        await actor.ask("h0/service", Question(7))
        return actor.now

    assert play(body).result == 20


def test_an_answer_may_come_after_the_service_has_waited_itself() -> None:
    async def body(actor: Script) -> tuple[int, int]:
        return (await actor.ask("h0/service", Question(7))).number, actor.now

    assert play(body, slow_echo(100)).result == (7, 120)


def test_an_async_reply_that_does_not_wait_answers_at_once() -> None:
    async def reply(service: Service, number: int) -> Answer:
        return Answer(number)

    async def body(actor: Script) -> int:
        await actor.ask("h0/service", Question(7))
        return actor.now

    assert play(body, reply).result == 20


def test_while_a_handler_waits_its_actor_takes_other_messages() -> None:
    order: list[str] = []

    async def reply(service: Service, number: int) -> Answer:
        order.append(f"begin {number}")
        await service.sleep(100 - number)
        order.append(f"end {number}")
        return Answer(number)

    async def body(actor: Script) -> None:
        await actor.ask_all([("h0/service", Question(1)), ("h0/service", Question(2))])

    play(body, reply)
    assert order == ["begin 1", "begin 2", "end 2", "end 1"]


def test_between_two_awaits_nobody_comes_between() -> None:
    order: list[int] = []

    async def reply(service: Service, number: int) -> Answer:
        for _ in range(2):
            order.append(number)
            order.append(number)
            await service.sleep(5)
        return Answer(number)

    async def body(actor: Script) -> None:
        await actor.ask_all([("h0/service", Question(number)) for number in range(3)])

    play(body, reply)
    assert order[::2] == order[1::2]


def test_a_question_may_be_asked_now_and_awaited_later() -> None:
    async def body(actor: Script) -> tuple[int, int]:
        answer = actor.ask("h0/service", Question(7))
        await actor.sleep(500)
        return (await answer).number, actor.now

    assert play(body).result == (7, 500)


def test_questions_asked_together_may_be_awaited_in_any_order() -> None:
    async def body(actor: Script) -> list[int]:
        first = actor.ask("h0/service", Question(1))
        second = actor.ask("h0/service", Question(2))
        third = actor.ask("h0/service", Question(3))
        return [(await third).number, (await first).number, (await second).number]

    assert play(body, slow_echo(100)).result == [3, 1, 2]


def test_an_answer_in_time_ends_the_time_out() -> None:
    async def body(actor: Script) -> tuple[int, int]:
        return (await actor.ask_within(100, "h0/service", Question(7))).number, actor.now

    assert play(body).result == (7, 20)


def test_no_answer_in_time_raises_ask_timeout_at_its_time() -> None:
    async def body(actor: Script) -> tuple[str, int]:
        try:
            await actor.ask_within(50, "h0/service", Question(7))
        except AskTimeout as error:
            return str(error), actor.now
        return "", 0

    assert play(body, never).result == ("no answer of h0/service within 50 ns", 50)


def test_a_late_answer_is_dropped_and_is_no_event() -> None:
    world = TimedWorld(speeds=FIXED)

    async def body(actor: Script) -> None:
        with pytest.raises(AskTimeout):
            await actor.ask_within(50, "h0/service", Question(7))

    world.add("h0/script", Script, body)
    world.add("h0/service", Service, slow_echo(100))
    log = Log(world)
    world.post("h0/script", Go())
    assert world.run()
    assert Answer(7) not in [line[4] for line in log.lines]
    assert world.events == len(log.lines) == 4  # Go, Question, the time-out, the end of the service's sleep
    assert world.now == 110


def test_a_late_answer_does_not_answer_the_next_question() -> None:
    async def body(actor: Script) -> int:
        with pytest.raises(AskTimeout):
            await actor.ask_within(50, "h0/service", Question(1))
        return (await actor.ask("h0/service", Question(2))).number

    assert play(body, slow_echo(100)).result == 2


def test_a_dead_timer_is_no_event_and_does_not_move_the_clock() -> None:
    world = TimedWorld(speeds=FIXED)

    async def body(actor: Script) -> None:
        await actor.ask_within(1_000_000, "h0/service", Question(7))

    world.add("h0/script", Script, body)
    world.add("h0/service", Service, echo)
    log = Log(world)
    world.post("h0/script", Go())
    assert world.run()
    assert world.now == 20
    assert world.events == len(log.lines) == 3


def test_a_run_has_ended_when_only_dead_timers_are_left() -> None:
    async def body(actor: Script) -> None:
        await actor.ask_within(1_000_000, "h0/service", Question(7))

    for options in ({"limit": 3}, {"until": 100}):
        world = TimedWorld(speeds=FIXED)
        world.add("h0/script", Script, body)
        world.add("h0/service", Service, echo)
        world.post("h0/script", Go())
        assert world.run(**options)


def test_an_answer_within_its_time_out_may_be_awaited_after_it() -> None:
    async def body(actor: Script) -> tuple[int, int]:
        answer = actor.ask_within(50, "h0/service", Question(7))
        await actor.sleep(500)
        return (await answer).number, actor.now

    assert play(body).result == (7, 500)


def test_a_time_out_that_passed_before_the_await_is_raised_by_it() -> None:
    async def body(actor: Script) -> int:
        answer = actor.ask_within(50, "h0/service", Question(7))
        await actor.sleep(500)
        with pytest.raises(AskTimeout):
            await answer
        return actor.now

    assert play(body, slow_echo(100)).result == 500


@given(delays=st.lists(st.integers(0, 50), max_size=8))
def test_a_join_gives_the_answers_in_the_order_asked_whatever_order_they_came_in(delays: list[int]) -> None:
    async def reply(service: Service, number: int) -> Answer:
        await service.sleep(delays[number])
        return Answer(number)

    async def body(actor: Script) -> tuple[tuple[int, ...], int]:
        answers = await actor.ask_all([("h0/service", Question(number)) for number in range(len(delays))])
        return tuple(answer.number for answer in answers), actor.now

    numbers, ended = play(body, reply).result
    assert numbers == tuple(range(len(delays)))
    assert ended == (20 + max(delays) if delays else 0)


def test_a_join_resumes_its_asker_once() -> None:
    resumed: list[int] = []

    async def body(actor: Script) -> None:
        await actor.ask_all([("h0/service", Question(number)) for number in range(5)])
        resumed.append(actor.now)

    play(body)
    assert resumed == [20]


def test_two_joins_of_one_actor_do_not_mix() -> None:
    results: list[tuple[int, ...]] = []

    async def one(actor: Script, first: int) -> None:
        answers = await actor.ask_all([("h0/service", Question(first)), ("h0/service", Question(first + 1))])
        results.append(tuple(answer.number for answer in answers))

    async def body(actor: Script) -> None:
        for first in (0, 10, 20):
            actor.start(one(actor, first))

    play(body, lambda service, number: slow_echo(30 - number)(service, number))
    assert results == [(20, 21), (10, 11), (0, 1)]


def test_a_sleep_ends_at_its_time() -> None:
    async def body(actor: Script) -> list[int]:
        times = []
        for pause in (5, 0, 7):
            await actor.sleep(pause)
            times.append(actor.now)
        return times

    assert play(body).result == [5, 5, 12]


def test_a_message_is_sent_while_its_sender_goes_on() -> None:
    async def body(actor: Script) -> int:
        actor.send("h0/script", Note(1), 3)
        return actor.now

    script = play(body)
    assert script.result == 0
    assert script.notes == [(3, 1)]


def test_the_answer_to_a_message_that_was_sent_and_not_asked_goes_nowhere() -> None:
    async def body(actor: Script) -> None:
        actor.send("h0/service", Question(1))

    assert play(body).result is None


def test_a_chain_of_asks_answers_in_turn() -> None:
    world = TimedWorld(speeds=FIXED)

    async def forward(service: Service, number: int) -> Answer:
        if number == 0:
            return Answer(0)
        inner = await service.ask(service.address.replace(str(number), str(number - 1)), Question(number - 1))
        return Answer(inner.number + number)

    async def body(actor: Script) -> int:
        return (await actor.ask("h0/service/4", Question(4))).number

    script = world.add("h0/script", Script, body)
    for number in range(5):
        world.add(f"h0/service/{number}", Service, forward)
    world.post("h0/script", Go())
    assert world.run(limit=100)
    assert script.result == 10
    assert world.now == 100


def test_an_ask_time_out_that_nobody_catches_names_actor_and_handler() -> None:
    async def body(actor: Script) -> None:
        await actor.ask_within(50, "h0/service", Question(7))

    with pytest.raises(ActorFailed, match=r"h0/script: Script\.go raised AskTimeout: no answer of h0/service"):
        play(body, never)
