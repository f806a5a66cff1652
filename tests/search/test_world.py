"""The explored driver: the same builder, the same actors, any order that a kernel could show, names that stay."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gupsim.actors.base import Actor, AskTimeout, Map, Port, handles
from gupsim.engine.errors import EngineError
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.message import DONE, Done, Message, Request, Tracepoint
from gupsim.search import Dfs, Dpor, ExploredWorld, Names, Program, Runs, search
from gupsim.search.names import ANSWER, TIMER
from tests.search.compare import compare_with_all
from tests.search.contexts import Go, Place, Serve, program


class Deposit(Request[Done], frozen=True):
    """Add to the account."""

    amount: int


class Pay(Message, frozen=True):
    """Deposit at the bank."""

    amount: int


class Paid(Tracepoint, frozen=True, tag="test:paid"):
    """It was deposited."""

    amount: int


class Bank(Actor):
    """Reads, waits, writes: loses updates."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.accounts: Map[str, int] = Map(self, "account")

    @handles(Deposit)
    async def deposit(self, msg: Deposit) -> Done:
        before = self.accounts.get("all", 0)
        await self.sleep(100)
        self.accounts["all"] = before + msg.amount
        self.trace(Paid(msg.amount))
        return DONE


class Client(Actor):
    """Pays."""

    @handles(Pay)
    async def pay(self, msg: Pay) -> None:
        await self.ask("bank", Deposit(msg.amount))


def fill(world: Any) -> Bank:
    bank: Bank = world.add("bank", Bank)
    world.add("client/a", Client)
    world.add("client/b", Client)
    world.post("client/a", Pay(1))
    world.post("client/b", Pay(2))
    return bank


def test_one_builder_fills_a_timed_world_and_an_explored_one() -> None:
    timed = TimedWorld()
    paid: list[int] = []
    timed.on_tracepoint(lambda _, point: paid.append(point.amount))  # type: ignore[attr-defined]
    bank = fill(timed)
    timed.run_all(limit=100)
    assert bank.accounts["all"] in (1, 2, 3)
    states: set[object] = set()
    lost_updates = Program(fill, state=lambda _, bank: bank.accounts["all"])
    report = search(lost_updates, Dpor(), each=lambda execution: states.add(execution.state))
    assert states == {1, 2, 3}
    assert report.complete


def test_every_tracepoint_reaches_the_reader() -> None:
    world = ExploredWorld()
    paid: list[int] = []
    world.on_tracepoint(lambda _, point: paid.append(point.amount))  # type: ignore[attr-defined]
    fill(world)
    world.settle()
    assert sorted(paid) == [1, 2]


def test_a_schedule_by_paths_means_the_same_in_a_search_that_met_its_messages_in_another_order() -> None:
    lost_updates = Program(fill, state=lambda _, bank: bank.accounts["all"])
    runs = Runs(lost_updates)
    executions = list(Dpor().executions(runs))
    paths = [[runs.names.path(mid) for mid in execution.schedule] for execution in executions]
    other = Runs(lost_updates)
    for execution, path in reversed(list(zip(executions, paths, strict=True))):
        schedule = [other.names.at(step) for step in path]
        run = other.open(schedule)
        assert other.end(run, schedule).state == execution.state


def test_names_say_who_caused_a_message() -> None:
    names = Names()
    first = names.at((1,))
    assert names.text(names.at((1, 0, ANSWER, 2))) == "2.1.answer.3"
    assert names.text(names.at((1, TIMER))) == "2.timer"
    assert names.path(names.at((1, 0, ANSWER, 2))) == (1, 0, ANSWER, 2)
    assert names.at((1,)) == first
    with pytest.raises(EngineError, match="no step is called -7"):
        names.at((1, -7))


async def send_three(place: Place) -> None:
    for body in (1, 2, 3):
        place.send("p/1", Go(body))


async def note_1(place: Place) -> None:
    place.log.append(1)


async def note_2(place: Place) -> None:
    place.log.append(2)


async def note_3(place: Place) -> None:
    place.log.append(3)


def logs(searched: Program[list[Place]]) -> set[tuple[object, ...]]:
    """All orders in which place 1 logs things, with no reduction."""
    found: set[tuple[object, ...]] = set()
    seen = Program(searched.build, state=lambda _, places: tuple(places[1].log))
    search(seen, Dfs(), each=lambda execution: found.add(execution.state))  # type: ignore[arg-type]
    return found


def test_what_one_context_sends_to_one_actor_arrives_in_the_order_sent() -> None:
    assert logs(program(send_three, note_1, note_2, note_3, places=2, start=[(0, 0)])) == {(1, 2, 3)}


def test_that_holds_from_one_event_of_the_context_to_the_next() -> None:
    async def send_with_pauses(place: Place) -> None:
        place.send("p/1", Go(1))
        await place.sleep(1)
        place.send("p/1", Go(2))
        await place.ask("p/1", Serve(3))

    assert logs(program(send_with_pauses, note_1, note_2, note_3, places=2, start=[(0, 0)])) == {(1, 2, 3)}


def test_two_contexts_of_one_actor_are_not_ordered() -> None:
    async def send_1(place: Place) -> None:
        place.send("p/1", Go(2))

    async def send_2(place: Place) -> None:
        place.send("p/1", Go(3))

    assert logs(program(send_1, send_2, note_1, note_2, places=2, start=[(0, 0), (0, 1)])) == {(1, 2), (2, 1)}


def test_a_transit_time_of_its_own_takes_a_message_out_of_the_order() -> None:
    async def send_late(place: Place) -> None:
        place.send("p/1", Go(1), 50)
        place.send("p/1", Go(2))

    assert logs(program(send_late, note_1, note_2, places=2, start=[(0, 0)])) == {(1, 2), (2, 1)}


def test_requests_asked_together_are_not_ordered() -> None:
    async def ask_both(place: Place) -> None:
        await place.ask_all([("p/1", Serve(1)), ("p/1", Serve(2))])

    assert logs(program(ask_both, note_1, note_2, places=2, start=[(0, 0)])) == {(1, 2), (2, 1)}


def test_a_context_at_work_in_two_places_keeps_the_order_with_what_it_sent_before() -> None:
    async def send_then_ask_two(place: Place) -> None:
        place.send("p/1", Go(2))
        await place.ask_all([("p/0", Serve(1)), ("p/2", Serve(1))])

    async def send_more(place: Place) -> None:
        place.send("p/1", Go(3))

    made = program(send_then_ask_two, send_more, note_1, note_2, places=3, start=[(0, 0)])
    assert logs(made) == {(1, 2, 2)}
    seen = Program(made.build, state=lambda _, places: tuple(places[1].log))
    outcome = compare_with_all(seen, 10_000)
    assert outcome is not None
    assert outcome.second == 1


def test_an_answer_and_its_time_out_race() -> None:
    async def ask(place: Place) -> None:
        try:
            await place.ask_within(10, "p/1", Serve(1))
            place.cells[0] = 1
        except AskTimeout:
            place.cells[0] = 2

    states: set[object] = set()
    report = search(
        program(ask, note_1, places=2, start=[(0, 0)]), Dpor(), each=lambda execution: states.add(execution.state)
    )
    assert states == {((1, 0), (0, 0)), ((2, 0), (0, 0))}
    assert report.executions == 2


def test_time_and_random_numbers_depend_on_causes_and_not_on_the_order_of_independent_events() -> None:
    async def look(place: Place) -> None:
        await place.sleep(7)
        place.log.append((place.now, place.random.randrange(1_000_000), place.port.context))

    seen: set[object] = set()
    both = program(look, look)
    noted = Program(both.build, state=lambda _, places: tuple(sorted(map(str, places[0].log))))
    report = search(noted, Dfs(), each=lambda execution: seen.add(execution.state))
    assert report.executions == 6
    assert len(seen) == 1


def test_what_settles_before_the_search_is_the_same_in_every_execution() -> None:
    def build(world: ExploredWorld) -> Bank:
        bank = fill(world)
        world.settle()
        world.post("client/a", Pay(10))
        return bank

    report = search(Program(build, state=lambda _, bank: bank.accounts["all"]), Dfs())
    assert (report.executions, report.depth) == (1, 4)


def test_what_is_posted_last_comes_after_all_that_went_before() -> None:
    def build(world: ExploredWorld) -> Bank:
        return fill(world)

    def once_more(world: ExploredWorld, bank: Bank) -> bool:
        if bank.accounts["all"] >= 100:
            return False
        world.post("client/a", Pay(100))
        world.post("client/b", Pay(100))
        return True

    states: set[object] = set()
    searched = Program(build, then=once_more, state=lambda _, bank: bank.accounts["all"])
    report = search(searched, Dpor(), each=lambda execution: states.add(execution.state))
    assert states == {101, 102, 103, 201, 202, 203}
    # Four orders of the first two deposits, times four of the last two.
    assert (report.executions, report.redundant, report.blocked) == (16, 0, 0)


def test_a_token_may_be_answered_once_only() -> None:
    async def wake_twice(place: Place) -> None:
        token = place.port.reserve()
        place.port.wake(token)
        place.port.wake(token)

    with pytest.raises(EngineError, match="answered twice"):
        search(program(wake_twice), Dpor())


def test_an_actor_may_draw_numbers_but_not_reach_for_real_randomness() -> None:
    async def reach(place: Place) -> None:
        place.cells[0] = Random().randrange(2)
        import random

        random.random()

    with pytest.raises(EngineError, match=r"may not call random\.random"):
        search(program(reach), Dpor())
