"""Plain attributes count for the order of events."""

from typing import Any

import pytest

from gupsim.actors.base import Actor, Column, Port, handles
from gupsim.protocol.message import Message
from gupsim.search import Unrecorded
from gupsim.testing import InterleavingFailed, Settings, Stage, prove


class Do(Message, frozen=True):
    """Do what method `name` does."""

    name: str
    number: int = 0


class Subject(Actor):
    """Does small things to its attributes."""

    first = 0
    shared: list[int] = []  # noqa: RUF012 - the mistake that is tested

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.count = 0
        self.items: dict[int, int] = {}
        self.pair = (1, (2, "three"))
        self.lists = ([1], 2)
        self.cells = Column(self, "cell", "q", 8)

    @property
    def double(self) -> int:
        return 2 * self.count

    @handles(Do)
    def do(self, msg: Do) -> None:
        getattr(self, msg.name)(msg.number)

    def read(self, _: int) -> None:
        assert self.count >= 0

    def read_property(self, _: int) -> None:
        assert self.double >= 0

    def write(self, number: int) -> None:
        self.count = number

    def change_first(self, number: int) -> None:
        self.first = number

    def read_first(self, _: int) -> None:
        assert self.first >= 0

    def put(self, number: int) -> None:
        self.items[number] = number

    def append_to_class(self, number: int) -> None:
        if number not in self.shared:
            self.shared.append(number)

    def look_at_pair(self, _: int) -> None:
        assert self.pair

    def look_at_lists(self, _: int) -> None:
        assert self.lists

    def look_for(self, _: int) -> None:
        hasattr(self, "later")

    def make_later(self, number: int) -> None:
        self.later = number

    def set_cell(self, number: int) -> None:
        self.cells[number] = 1

    def draw(self, _: int) -> None:
        self.random.random()


def executions(*names: str, **options: Any) -> int:
    def body(world: Stage) -> None:
        world.add("subject", Subject)
        for number, name in enumerate(names):
            world.post("subject", Do(name, number))

    return prove(body, Settings(**options)).executions


@pytest.mark.parametrize(
    ("names", "orders"),
    [
        (("read", "read"), 1),
        (("read", "write"), 2),
        (("read_property", "write"), 2),
        (("write", "write", "write"), 6),
        (("write", "change_first"), 1),
        (("read_first", "change_first"), 2),
        (("put", "put"), 2),
        (("put", "write"), 1),
        (("append_to_class", "append_to_class"), 2),
        (("look_at_pair", "look_at_pair"), 1),
        (("look_at_lists", "look_at_lists"), 2),
        (("look_for", "make_later"), 2),
        (("set_cell", "set_cell"), 1),
        (("draw", "draw"), 1),
    ],
)
def test_two_events_are_reordered_exactly_if_they_touch_one_attribute(names: tuple[str, ...], orders: int) -> None:
    assert executions(*names) == orders


def test_what_is_shared_behind_the_searchs_back_is_found_by_the_strict_strategy() -> None:
    def body(world: Stage) -> Any:
        said: list[str] = []

        async def say(client: Any) -> None:
            said.append(client.address)

        world.start("a", say)
        world.start("b", say)
        yield
        assert said == ["a", "b"]

    assert prove(body, Settings()).complete  # wrongly
    with pytest.raises(Unrecorded, match="end differently"):
        prove(body, Settings(strategy="strict"))


def test_unwatched_actors_are_trusted() -> None:
    assert executions("write", "write", watched=False) == 1


def test_the_actor_of_a_test_is_still_of_its_class() -> None:
    def body(world: Stage) -> Any:
        subject = world.add("subject", Subject)
        world.post("subject", Do("write", 3))
        yield
        assert isinstance(subject, Subject)
        assert type(subject).__name__ == "Subject"
        assert subject.count == 3

    assert prove(body, Settings()).complete


def test_a_failure_is_found_in_plain_attributes_alone() -> None:
    def body(world: Stage) -> Any:
        subject = world.add("subject", Subject)
        world.post("subject", Do("write", 1))
        world.post("subject", Do("write", 2))
        yield
        assert subject.count == 2

    with pytest.raises(InterleavingFailed, match=r"0 interruptions") as caught:
        prove(body, Settings())
    assert caught.value.kind == "assertion"
