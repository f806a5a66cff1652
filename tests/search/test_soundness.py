"""What the reduction takes for granted is checked, and what checkers look at counts."""

from __future__ import annotations

from typing import Any

import pytest

from gupsim.actors.base import Actor, Port, handles
from gupsim.actors.base.footprint import READ, WRITE
from gupsim.engine.port import ActorPort
from gupsim.protocol.message import Message, Tracepoint
from gupsim.search import Dfs, Dpor, Finding, Program, Strategy, Unrecorded, search
from gupsim.search import programs as p
from gupsim.search.strict import Strict
from gupsim.search.world import ExploredWorld


class Add(Message, frozen=True):
    """Add, and say so in two steps."""

    amount: int


class Careless(Actor):
    """Keeps its state in a plain attribute."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.total = 0

    @handles(Add)
    async def add(self, msg: Add) -> None:
        before = self.total
        await self.sleep(1)
        self.total = before + msg.amount


def careless(world: ExploredWorld) -> Careless:
    actor = world.add("careless", Careless)
    world.post("careless", Add(1))
    world.post("careless", Add(2))
    return actor


def test_state_that_is_not_recorded_is_invisible_and_a_strict_search_says_so() -> None:
    searched = Program(careless, state=lambda _, actor: actor.total)
    assert search(searched, Dpor()).executions == 1
    with pytest.raises(Unrecorded, match="end differently"):
        search(searched, Strict(Dpor()))


SOUND: dict[str, Program[Any]] = {
    "lastzero": p.lastzero(4),
    "shootdown": p.shootdown(3),
    "fifo": p.fifo(2, 2),
    "additions": p.adders(3, 1, 1),
    "pingers": p.pingers(3),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_strict_search_of_a_sound_program_finds_the_same(name: str) -> None:
    plain, strict = search(SOUND[name], Dpor()), search(SOUND[name], Strict(Dpor()))
    assert (strict.executions, strict.complete) == (plain.executions, True)


class Touched(Tracepoint, frozen=True, tag="test:touched"):
    """A device touched the page."""


class Freed(Tracepoint, frozen=True, tag="test:freed"):
    """The page was freed."""


class Device(Actor):
    """Touches the page at once."""

    @handles(Add)
    def touch(self, msg: Add) -> None:
        self.trace(Touched())


class Owner(Actor):
    """Frees the page at once."""

    @handles(Add)
    def free(self, msg: Add) -> None:
        self.trace(Freed())


def device_and_owner(*, related: bool) -> Program[list[str]]:
    """A checker over tracepoints of two actors that never exchange a message."""

    def build(world: ExploredWorld) -> list[str]:
        seen: list[str] = []
        world.add("device", Device)
        world.add("owner", Owner)
        world.on_tracepoint(lambda _, point: seen.append(type(point).__name__))
        if related:
            world.relate(page)
        world.post("device", Add(0))
        world.post("owner", Add(0))
        return seen

    return Program(
        build,
        check=lambda _, seen: [Finding("use-after-free", "the page")] if seen == ["Freed", "Touched"] else [],
    )


def page(_: ActorPort, point: Tracepoint) -> tuple[str, int] | None:
    """Every touch and every free is about the one page."""
    return ("page", READ if isinstance(point, Touched) else WRITE)


@pytest.mark.parametrize("strategy", [Dpor(), Dfs()])
def test_a_checker_that_names_what_it_relates_hides_nothing(strategy: Strategy) -> None:
    report = search(device_and_owner(related=True), strategy)
    assert report.executions == 2
    assert "use-after-free" in report.found


def test_a_checker_that_does_not_sees_one_order_only() -> None:
    assert search(device_and_owner(related=False), Dpor()).executions == 1
