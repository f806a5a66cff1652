"""The shortest schedule, against brute force."""

from collections.abc import Callable
from typing import Any

import pytest

from gupsim.actors.base import Actor, Port, handles
from gupsim.protocol.message import DONE, Done, Message, Request
from gupsim.search import Dfs, Runs
from gupsim.testing import InterleavingFailed, Settings, Stage, StaleToken, prove
from gupsim.testing.body import program_of
from gupsim.testing.player import following, play
from gupsim.testing.search import belongs, replay
from gupsim.testing.token import Token, read


class Add(Request[Done], frozen=True):
    """Not atomic."""

    amount: int


class Set(Message, frozen=True):
    """Overwrite."""

    amount: int


class Cell(Actor):
    """Keeps a number."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.value = 0

    @handles(Add)
    async def add(self, msg: Add) -> Done:
        before = self.value
        await self.sleep(1)
        self.value = before + msg.amount
        return DONE

    @handles(Set)
    def set(self, msg: Set) -> None:
        self.value = msg.amount


async def add(client: Any, times: int) -> None:
    for _ in range(times):
        await client.ask("cell", Add(1))


def two_adders(world: Stage) -> Any:
    cell = world.add("cell", Cell)
    world.start("a", add, 1)
    world.start("b", add, 1)
    yield
    assert cell.value == 2


def both_lost(world: Stage) -> Any:
    cell = world.add("cell", Cell)
    world.start("a", add, 2)
    world.start("b", add, 1)
    yield
    assert cell.value != 1


def set_between(world: Stage) -> Any:
    cell = world.add("cell", Cell)
    world.start("a", add, 1)
    world.post("cell", Set(10), context="b")
    yield
    assert cell.value != 1


def failure(body: Callable[[Stage], Any], **options: Any) -> InterleavingFailed:
    with pytest.raises(InterleavingFailed) as caught:
        prove(body, Settings(**options), name="me")
    return caught.value


@pytest.mark.parametrize("body", [two_adders, both_lost, set_between])
def test_no_failing_interleaving_has_fewer_context_switches(body: Callable[[Stage], Any]) -> None:
    runs = Runs(program_of(body, Settings(), []))
    failing = [list(execution.schedule) for execution in Dfs().executions(runs) if execution.violations]
    best = min(play(runs, following(schedule, -1)).cost for schedule in failing)
    assert f"{best[2]} events, {best[1]} context switch" in str(failure(body))
    assert f"{best[0]} interruption" in str(failure(body))


@pytest.mark.parametrize("body", [two_adders, both_lost, set_between])
def test_the_shortest_schedule_does_not_depend_on_how_the_failure_was_found(body: Callable[[Stage], Any]) -> None:
    tokens = {failure(body, strategy=strategy).token for strategy in ("dpor", "dfs", "random", "pos")}
    assert len(tokens) == 1


def test_an_endless_execution_is_shown_from_both_ends() -> None:
    async def for_ever(client: Any) -> None:
        while True:
            await client.sleep(1)

    def body(world: Stage) -> None:
        world.start("a", for_ever)

    failed = failure(body, max_events=1_000)
    assert failed.kind == "starvation"
    lines = str(failed).splitlines()
    assert "       ... 940 events ..." in lines
    assert len(lines) < 70


@pytest.mark.parametrize("body", [two_adders, both_lost, set_between])
def test_a_token_brings_back_the_failure(body: Callable[[Stage], Any]) -> None:
    token = failure(body).token
    with pytest.raises(InterleavingFailed) as caught:
        replay(body, Settings(), token, name="me")
    assert caught.value.token == token
    assert belongs(token, "me")
    assert not belongs(token, "you")


def test_a_token_survives_reading_and_writing() -> None:
    token = Token("abcdef", "01234567", 12, {3: (0, 1, -1), 7: (2, -2)})
    assert token.text() == "1-abcdef-01234567-12-3:0.1.a-7:2.t"
    assert read(token.text()) == token


@pytest.mark.parametrize(
    "text", ["", "1", "2-abcdef-01234567-0", "1-abcdef-01234567-0-1:x", "1-abcdef-01234567-0-1:1..2"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(StaleToken):
        read(text)
