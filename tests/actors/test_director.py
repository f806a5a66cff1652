"""The director holds back whoever waits for what was not seen yet."""

from gupsim.actors.base import Actor, Port, handles
from gupsim.actors.director import Director
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.director import DIRECTOR, Seen, WaitFor
from gupsim.protocol.kernel import Boot


class Waiter(Actor):
    """Waits for names as soon as it is started, and notes when it may go on."""

    def __init__(self, address: str, port: Port, names: tuple[str, ...]) -> None:
        super().__init__(address, port)
        self.names = names
        self.went_on = -1

    @handles(Boot)
    async def boot(self, msg: Boot) -> None:
        await self.ask(DIRECTOR, WaitFor(self.names))
        self.went_on = self.now


def waited(*names: str, seen: dict[int, str], start: int = 0) -> int:
    """When a waiter for `names` goes on, rounded down to microseconds. seen: names by their time in us."""
    world = TimedWorld()
    world.add(DIRECTOR, Director)
    waiter = world.add("h0/waiter", Waiter, names)
    world.post("h0/waiter", Boot(), start * 1_000)
    for time, name in seen.items():
        world.post(DIRECTOR, Seen(name), time * 1_000)
    world.run_all(1_000)
    return waiter.went_on // 1_000 if waiter.went_on >= 0 else -1


def test_what_was_seen_before_is_not_waited_for() -> None:
    assert waited("a", seen={1: "a"}, start=5) == 5


def test_all_names_must_be_seen_in_whatever_order() -> None:
    assert waited("a", "b", seen={10: "b", 20: "a"}) == 20
    assert waited("a", "b", seen={10: "a", 20: "b"}) == 20


def test_a_number_waits_for_that_many_times() -> None:
    assert waited("dma:end#2", seen={10: "dma:end", 20: "other", 30: "dma:end"}) == 30


def test_nobody_goes_on_for_a_name_that_is_never_seen() -> None:
    assert waited("a", seen={10: "b"}) == -1


def test_no_names_are_no_wait() -> None:
    assert waited(seen={}, start=5) == 5
