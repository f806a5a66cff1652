"""Another driver needs `push`, `route` and a loop of its own, and no change to any actor."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gupsim.actors.base import TicketLock
from gupsim.engine import Core, Item
from tests.engine.programs import Answer, Go, Question, Script, Service


class NoTime:
    """A route of a world in which latencies do not matter."""

    def __init__(self, src: int, dst: int) -> None:
        self.rank = dst

    def due(self, now: int) -> int:
        return now


class AnyOrder:
    """Delivers whatever is under way in an order drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.pending: list[Item] = []
        self.core = Core(self.pending.append, NoTime)
        self._random = Random(seed)

    def run(self) -> int:
        events = 0
        while self.pending:
            item = self.pending.pop(self._random.randrange(len(self.pending)))
            events += self.core.deliver((self.core.now, *item[1:]))
        return events


def play(seed: int) -> tuple[int, int, int]:
    """Three clients add to a counter under a lock; (counter, events, sum of the answers)."""
    driver = AnyOrder(seed)
    core = driver.core
    counted = [0]

    async def reply(service: Service, number: int) -> Answer:
        async with lock:
            before = counted[0]
            await service.sleep(5)
            counted[0] = before + number
        return Answer(number)

    async def body(actor: Script) -> int:
        answers = await actor.ask_all([("h0/service", Question(1)), ("h0/service", Question(2))])
        return sum(answer.number for answer in answers)

    port = core.port("h0/service")
    service = Service("h0/service", port, reply)
    core.add(service, port)
    lock = TicketLock(service, "lock")
    scripts = []
    for number in range(3):
        port = core.port(f"h0/script/{number}")
        scripts.append(Script(port.address, port, body))
        core.add(scripts[-1], port)
    core.seal()
    for script in scripts:
        core.post(script.address, Go())
    events = driver.run()
    return counted[0], events, sum(script.result for script in scripts)


@given(seed=st.integers(0, 10**6))
def test_the_same_actors_run_under_any_order_of_delivery(seed: int) -> None:
    assert play(seed) == (9, play(0)[1], 9)
