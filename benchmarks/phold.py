"""PHOLD, the usual benchmark of discrete-event engines: messages that hop for ever between random actors.

1,024 actors with 16 messages each; every hop goes to a random actor after a random time. The work in an actor is two
draws of a random number, so what is compared is what an engine costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any, Final

from benchmarks.contest import Contest, Turn
from benchmarks.table import Row, compared, missing
from gupsim.actors.base import Actor, Port, handles
from gupsim.engine import TimedWorld
from gupsim.protocol.codec import Codec
from gupsim.protocol.message import Message

ACTORS: Final = 1_024
MESSAGES: Final = 16
MEAN: Final = 1_000
"""Twice the mean time of a hop (ns), which is uniform: a logarithm would only hide the engines behind itself."""

BARE = "bare heapq loop"
CALLBACKS = "SimPy callbacks"
STORES = "SimPy Process+Store"
REFERENCE = "by reference"
CODEC = "MessagePack on each hop"
TRACED = "by reference, traced"


class Job(Message, frozen=True):
    """What hops."""

    number: int


class Hopper(Actor):
    """One of the actors."""

    def __init__(self, address: str, port: Port, names: Sequence[str], number: int) -> None:
        super().__init__(address, port)
        self.names = names
        self.draw = Random(number).random

    @handles(Job)
    def hop(self, job: Job) -> None:
        draw = self.draw
        self.send(self.names[int(draw() * ACTORS)], job, 1 + int(draw() * MEAN))


def world(codec: Codec | None = None) -> TimedWorld:
    """All actors, with their first messages under way."""
    made = TimedWorld(codec=codec)
    names = [f"h0/hopper/{number}" for number in range(ACTORS)]
    for number, name in enumerate(names):
        made.add(name, Hopper, names, number)
    for number in range(ACTORS * MESSAGES):
        made.post(names[number % ACTORS], Job(number), at=number % MEAN)
    return made


def by_reference() -> Turn:
    """Messages are passed on as they are."""
    return _turn(world())


def with_codec() -> Turn:
    """Every message becomes a MessagePack frame and is decoded and validated again."""
    return _turn(world(Codec([Job])))


def traced() -> Turn:
    """A record of every delivery is encoded and goes into the SHA-256 of the trace."""
    from gupsim.trace.records import TRACE_VERSION, Header
    from gupsim.trace.writer import TraceWriter

    made = world()
    TraceWriter(made, Header(TRACE_VERSION, "PHOLD", "", {}, "", (), {}, 0, ()))
    return _turn(made)


def _turn(made: TimedWorld) -> Turn:
    def turn(portion: int) -> int:
        made.run(limit=portion)
        return portion

    return turn


class _BareHopper:
    """The same actor on a bare heapq loop: the floor for any engine written in Python."""

    __slots__ = ("draw", "hoppers", "loop")

    def __init__(self, loop: _BareLoop, hoppers: list[_BareHopper], number: int) -> None:
        self.loop = loop
        self.hoppers = hoppers
        self.draw = Random(number).random

    def hop(self, job: int) -> None:
        loop = self.loop
        draw = self.draw
        hop = self.hoppers[int(draw() * ACTORS)].hop
        loop.seq = seq = loop.seq + 1
        heappush(loop.heap, (loop.now + 1 + int(draw() * MEAN), seq, hop, job))


class _BareLoop:
    __slots__ = ("heap", "now", "seq")

    def __init__(self) -> None:
        hoppers: list[_BareHopper] = []
        hoppers += [_BareHopper(self, hoppers, number) for number in range(ACTORS)]
        self.now = 0
        self.seq = ACTORS * MESSAGES
        self.heap: list[tuple[int, int, Callable[[int], None], int]] = [
            (number % MEAN, number, hoppers[number % ACTORS].hop, number) for number in range(self.seq)
        ]
        heapify(self.heap)

    def run(self, limit: int) -> None:
        heap = self.heap
        for _ in range(limit):
            self.now, _, hop, job = heappop(heap)
            hop(job)


def bare() -> Turn:
    """heappop, call, heappush, and nothing else."""
    loop = _BareLoop()

    def turn(portion: int) -> int:
        loop.run(portion)
        return portion

    return turn


def simpy_callbacks() -> Turn:
    """SimPy without processes: each hop is a Timeout with one callback."""
    import simpy

    env = simpy.Environment()

    class Node:
        def __init__(self, number: int) -> None:
            self.draw = Random(number).random

        def hop(self, event: Any) -> None:
            draw = self.draw
            hop = nodes[int(draw() * ACTORS)].hop
            simpy.Timeout(env, 1 + int(draw() * MEAN), event.value).callbacks.append(hop)

    nodes = [Node(number) for number in range(ACTORS)]
    for number in range(ACTORS * MESSAGES):
        simpy.Timeout(env, number % MEAN, number).callbacks.append(nodes[number % ACTORS].hop)

    def turn(portion: int) -> int:
        step = env.step
        for _ in range(portion):
            step()
        return portion

    return turn


def simpy_stores() -> Turn:
    """SimPy actors: a process that takes messages out of its Store. The latency is a Timeout whose callback puts the
    message there, which is cheaper than the process for each message that SimPy's own example makes."""
    import simpy

    env = simpy.Environment()

    class Node:
        def __init__(self, number: int) -> None:
            self.draw = Random(number).random
            self.inbox = simpy.Store(env)
            self.hops = 0
            env.process(self.run())

        def run(self) -> Any:
            draw = self.draw
            while True:
                job = yield self.inbox.get()
                self.hops += 1
                arrive = nodes[int(draw() * ACTORS)].arrive
                simpy.Timeout(env, 1 + int(draw() * MEAN), job).callbacks.append(arrive)

        def arrive(self, event: Any) -> None:
            self.inbox.put(event.value)

    nodes = [Node(number) for number in range(ACTORS)]
    for number in range(ACTORS * MESSAGES):
        simpy.Timeout(env, number % MEAN, number).callbacks.append(nodes[number % ACTORS].arrive)

    def turn(portion: int) -> int:
        before = sum(node.hops for node in nodes)
        # A hop takes MEAN / 2 on average, and ACTORS * MESSAGES are under way.
        env.run(until=env.now + portion * MEAN / 2 / (ACTORS * MESSAGES))
        return sum(node.hops for node in nodes) - before

    return turn


def rows(rounds: int, *, short: bool) -> list[Row]:
    """All comparisons of PHOLD, in one contest."""
    portion = 20_000 if short else 50_000
    contestants = {
        BARE: bare(),
        REFERENCE: by_reference(),
        CODEC: with_codec(),
        TRACED: traced(),
    }
    try:
        contestants[CALLBACKS] = simpy_callbacks()
        contestants[STORES] = simpy_stores()
    except ImportError:
        absent = [missing("PHOLD", peer, "SimPy") for peer in (CALLBACKS, STORES)]
    else:
        absent = []
    contest = Contest(contestants, rounds, portion)
    targets = [
        (REFERENCE, BARE, 0.7),
        (REFERENCE, CALLBACKS, 1.0),
        (REFERENCE, STORES, 4.5),
        (CODEC, BARE, 0.55),
        (CODEC, STORES, 3.4),
        (TRACED, BARE, 0.4),
    ]
    found = [
        compared(f"PHOLD, {name}", base, contest.ratio(name, base), target, contest.rate(name))
        for name, base, target in targets
        if base in contestants
    ]
    return found + absent
