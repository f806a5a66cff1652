"""Ask and reply: one actor asks, another answers; nested, the second asks a third one before it answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.contest import Contest, Turn
from benchmarks.table import Row, compared, missing
from gupsim.actors.base import Actor, handles
from gupsim.engine import TimedWorld
from gupsim.protocol.message import Message, Request

ASKER = "h0/asker"
SERVER = "h0/server"
BACKEND = "h0/backend"

OURS = "ask/reply"
QUEUES = "asyncio.Queue pair"
PYKKA = "Pykka on one core"


class Begin(Message, frozen=True):
    """Ask `times` times, one after the other."""

    times: int


class Ping(Request["Pong"], frozen=True):
    """Answered at once."""

    number: int


class Forward(Request["Pong"], frozen=True):
    """Answered when the backend has answered."""

    number: int


class Pong(Message, frozen=True):
    """The answer."""

    number: int


class Asker(Actor):
    """Asks the server."""

    @handles(Begin)
    async def begin(self, msg: Begin) -> None:
        for number in range(msg.times):
            await self.ask(SERVER, Ping(number))


class NestedAsker(Actor):
    """Asks the server for what only the backend knows."""

    @handles(Begin)
    async def begin(self, msg: Begin) -> None:
        for number in range(msg.times):
            await self.ask(SERVER, Forward(number))


class Server(Actor):
    """Answers by itself or asks the backend."""

    @handles(Ping)
    def ping(self, msg: Ping) -> Pong:
        return Pong(msg.number)

    @handles(Forward)
    async def forward(self, msg: Forward) -> Pong:
        return await self.ask(BACKEND, Ping(msg.number))


def ours(asker: type[Actor]) -> Turn:
    """A world of three actors."""
    world = TimedWorld()
    world.add(ASKER, asker)
    world.add(SERVER, Server)
    world.add(BACKEND, Server)

    def turn(times: int) -> int:
        world.post(ASKER, Begin(times), at=world.now + 1)
        world.run()
        return times

    return turn


async def _queue_flat(times: int) -> None:
    asked: asyncio.Queue[Ping] = asyncio.Queue()
    answered: asyncio.Queue[Pong] = asyncio.Queue()

    async def server() -> None:
        while True:
            ping = await asked.get()
            await answered.put(Pong(ping.number))

    task = asyncio.create_task(server())
    for number in range(times):
        await asked.put(Ping(number))
        await answered.get()
    task.cancel()


async def _queue_nested(times: int) -> None:
    asked: asyncio.Queue[Forward] = asyncio.Queue()
    answered: asyncio.Queue[Pong] = asyncio.Queue()
    passed_on: asyncio.Queue[Ping] = asyncio.Queue()
    came_back: asyncio.Queue[Pong] = asyncio.Queue()

    async def server() -> None:
        while True:
            forward = await asked.get()
            await passed_on.put(Ping(forward.number))
            await answered.put(await came_back.get())

    async def backend() -> None:
        while True:
            ping = await passed_on.get()
            await came_back.put(Pong(ping.number))

    tasks = [asyncio.create_task(server()), asyncio.create_task(backend())]
    for number in range(times):
        await asked.put(Forward(number))
        await answered.get()
    for task in tasks:
        task.cancel()


def queues(body: Callable[[int], Awaitable[None]]) -> Turn:
    """Tasks of one asyncio loop that pass the same messages through queues. The loop itself is not measured anew."""
    runner = asyncio.Runner()

    def turn(times: int) -> int:
        runner.run(_awaited(body(times)))
        return times

    return turn


async def _awaited(work: Awaitable[None]) -> None:
    await work


def pykka_flat() -> Turn:
    """Two Pykka actors; the first blocks its thread for each answer, which is how Pykka asks. Its messages are ours."""
    import pykka

    class PykkaServer(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return Pong(message.number)

    class PykkaAsker(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            server = PykkaServer.start()
            for number in range(message.times):
                server.ask(Ping(number))
            server.stop()
            return message.times

    def turn(times: int) -> int:
        asker = PykkaAsker.start()
        asker.ask(Begin(times))
        asker.stop()
        return times

    return turn


@contextmanager
def one_core() -> Iterator[None]:
    """Pin this process to one core: free, Pykka's threads wake each other across cores and need three times as long."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    free = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(free)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, free)


def rows(rounds: int, *, short: bool) -> list[Row]:
    """Flat and nested against asyncio, flat against Pykka."""
    times = 1_000 if short else 5_000
    found = []
    for kind, asker, body, target in (("flat", Asker, _queue_flat, 4.5), ("nested", NestedAsker, _queue_nested, 3.7)):
        contest = Contest({OURS: ours(asker), QUEUES: queues(body)}, rounds, times)
        found.append(compared(f"{OURS}, {kind}", QUEUES, contest.ratio(OURS, QUEUES), target, contest.rate(OURS)))
    try:
        pykka = pykka_flat()
    except ImportError:
        return [*found, missing(f"{OURS}, flat", PYKKA, "Pykka")]
    with one_core():
        contest = Contest({OURS: ours(Asker), PYKKA: pykka}, rounds, times // 2)
    found.append(compared(f"{OURS}, flat", PYKKA, contest.ratio(OURS, PYKKA), 15.0, contest.rate(OURS)))
    return found
