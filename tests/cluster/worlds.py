"""Random actor programs with everything that could tell one process from many: ties, requests, joins, time-outs, locks,
contexts, watched tracepoints, contexts that wait for ever and contexts that die."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from gupsim.actors.base import Actor, Port, handles
from gupsim.actors.base.locks import TicketLock, WaitQueue
from gupsim.actors.base.port import AskTimeout, ContextDied
from gupsim.cluster.merge import Merge
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.message import MESSAGES, Message, Request, Tracepoint
from gupsim.trace import Header, TraceWriter


class Ball(Message, frozen=True):
    hops: int


class Ping(Request["Pong"], frozen=True):
    depth: int
    mode: int


class Pong(Message, frozen=True):
    value: int


class Note(Message, frozen=True):
    text: str


class Hit(Tracepoint, frozen=True, tag="test:hit"):
    value: int
    by: str


class Late(Tracepoint, frozen=True, tag="test:late"):
    who: str


TYPES = (*MESSAGES, Ball, Ping, Pong, Note)


class Gambler(Actor):
    """Does something random, from its own stream, whenever a ball arrives."""

    def __init__(self, address: str, port: Port, *, others: tuple[str, ...]) -> None:
        super().__init__(address, port)
        self.others = others
        self.lock = TicketLock(self, f"lock of {address}")
        self.queue = WaitQueue(self, f"queue of {address}")
        self.noted = 0

    @handles(Ball)
    async def ball(self, msg: Ball) -> None:
        what = self.random.randrange(9)
        pick = self.random.choice
        if what == 0:
            answers = await self.ask_all(
                [(pick(self.others), Ping(self.random.randrange(3), self.random.randrange(8))) for _ in range(3)]
            )
            self.trace(Hit(value=sum(answer.value for answer in answers), by=self.port.context))
        elif what == 1:
            try:
                pong = await self.ask_within(self.random.randrange(1, 60), pick(self.others), Ping(2, 7))
                self.trace(Hit(value=pong.value, by=self.port.context))
            except AskTimeout:
                self.trace(Late(who=self.address))
        elif what == 2:
            async with self.lock:
                await self.sleep(self.random.randrange(4))
                await self.ask(pick(self.others), Ping(1, 0))
        elif what == 3:
            self.start(self.errand(self.random.randrange(3)), f"{self.address}#errand{self.random.randrange(3)}")
        elif what == 4 and self.random.randrange(6) == 0:
            await self.queue.sleep()
        elif what == 5:
            self.queue.wake_all()
        if msg.hops:
            self.send(pick(self.others), Ball(msg.hops - 1))
            if self.random.randrange(5) == 0:
                self.send(pick(self.others), Ball(msg.hops // 2))

    async def errand(self, length: int) -> None:
        for _ in range(length):
            await self.sleep(0)
            await self.ask(self.random.choice(self.others), Ping(0, 1))
        self.trace(Hit(value=length, by=self.port.context))

    @handles(Ping)
    async def ping(self, msg: Ping) -> Pong:
        if msg.mode == 7:
            await self.sleep(self.random.randrange(60))
        if msg.mode == 6 and self.random.randrange(12) == 0:
            raise ContextDied
        if msg.mode == 5 and self.random.randrange(12) == 0:
            await self.queue.sleep()
        if msg.depth:
            async with self.lock:
                return Pong(1 + await self.deeper(msg))
        return Pong(self.random.randrange(100))

    async def deeper(self, msg: Ping) -> int:
        other = self.random.choice(self.others)
        try:
            return (await self.ask_within(500, other, Ping(msg.depth - 1, 0))).value
        except AskTimeout:
            return -1

    @handles(Note)
    def note(self, msg: Note) -> None:
        self.noted += 1
        if self.noted % 5 == 0:
            self.trace(Hit(value=self.noted, by=msg.text))


def population(seed: int, actors: int, balls: int, hops: int) -> Callable[[TimedWorld], Callable[[], None]]:
    """Adds gamblers to an engine; returns what posts the first balls."""
    names = tuple(sorted(f"h{number % 4}/g/{number}" for number in range(actors)))

    def populate(world: TimedWorld) -> Callable[[], None]:
        order = list(names)
        Random(f"{seed}/{id(world)}").shuffle(order)
        for name in order:
            world.add(name, Gambler, others=tuple(other for other in names if other != name))
        world.core.watch("test:late", names[0], Note("late"))
        world.core.watch("engine:stuck", names[-1], Note("stuck"))

        def start() -> None:
            random = Random(seed)
            for _ in range(balls):
                world.post(random.choice(names), Ball(hops), random.randrange(5))

        return start

    return populate


def look(names: tuple[str, ...]) -> Callable[[TimedWorld], None]:
    """What an observer does: a message to everybody once all is over."""

    def observe(world: TimedWorld) -> None:
        for name in names:
            world.post(name, Note("over"), world.now)

    return observe


def header(names: tuple[str, ...], seed: int = 0) -> Header:
    return Header(1, "random", "0" * 64, {}, "v6.12", (), {}, seed, tuple(sorted(names)))


class Decoding(Merge):
    """A merge that reads the tracepoints of this module."""

    def __init__(self, head: Header, nodes: int, file: Any = None) -> None:
        from gupsim.protocol.catalog import ALL_TRACEPOINTS

        super().__init__(head, nodes, file, tracepoints=(*ALL_TRACEPOINTS, Hit, Late))


def one_process(
    populate: Callable[[TimedWorld], Callable[[], None]],
    seed: int,
    speeds: tuple[Any, ...],
    observe: Callable[[TimedWorld], None],
) -> tuple[str, int, Header]:
    """Digest, deliveries and header of the run in one process."""
    world = TimedWorld(seed=seed, speeds=speeds)
    start = populate(world)
    world.seal()
    head = header(tuple(port.address for port in world.core.ports), seed)
    writer = TraceWriter(world, msgspec.structs.replace(head, actors=()))
    start()
    world.run()
    world.report_stuck()
    observe(world)
    world.run()
    events = world.events
    world.close()
    return writer.close(), events, writer.header
