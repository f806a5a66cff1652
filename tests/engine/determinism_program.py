"""A world with ties, locks, joins, time-outs and random choices; prints a digest of everything that is delivered.

Arguments: "plain", "asyncio" or "uvloop"; "reference" or "codec"; the number of the order in which actors are added.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from random import Random

import msgspec

from gupsim.actors.base import Actor, AskTimeout, Map, Port, Recorder, TicketLock, handles
from gupsim.engine import Item, TimedWorld
from gupsim.protocol.codec import Codec
from gupsim.protocol.message import Message, Request, Tracepoint

CLIENTS = 6
SERVERS = 3


class Begin(Message, frozen=True):
    """Start."""


class Work(Request["Worked"], frozen=True):
    """One piece of work."""

    number: int
    tags: tuple[str, ...]


class Worked(Message, frozen=True):
    """Its result."""

    number: int


class Rumour(Message, frozen=True):
    """Passed on a few times."""

    hops: int


class Done(Tracepoint, frozen=True, tag="test:done"):
    """A client finished a round."""

    total: int


class Client(Actor):
    """Asks servers in several ways."""

    @handles(Begin)
    async def begin(self, msg: Begin) -> None:
        total = 0
        for number in range(4):
            server = f"h0/server/{self.random.randrange(SERVERS)}"
            total += (await self.ask(server, Work(number, ("a", "b")))).number
            everyone = [(f"h0/server/{peer}", Work(peer, ())) for peer in range(SERVERS)]
            total += sum(answer.number for answer in await self.ask_all(everyone))
            try:
                await self.ask_within(self.random.randrange(1, 300), server, Work(99, ("late",)))
            except AskTimeout:
                total -= 1
            self.send(f"h0/client/{self.random.randrange(CLIENTS)}", Rumour(3))
            self.start(self.background(number), f"{self.address} worker {number}")
            self.trace(Done(total=total))

    async def background(self, number: int) -> None:
        await self.sleep(number)
        self.send(self.address, Rumour(0), 1)

    @handles(Rumour)
    def rumour(self, msg: Rumour) -> None:
        if msg.hops:
            for step in (1, 2):
                number = (int(self.address[-1]) + step) % CLIENTS
                self.send(f"h0/client/{number}", Rumour(msg.hops - 1))


class Server(Actor):
    """Works under a lock."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.lock = TicketLock(self, "work lock")
        self.seen: Map[str, int] = Map(self, "seen")

    @handles(Work)
    async def work(self, msg: Work) -> Worked:
        async with self.lock.shared() if msg.number % 2 else self.lock:
            await self.sleep(self.random.randrange(20))
            for tag in msg.tags:
                self.seen[tag] = self.seen.get(tag, 0) + 1
        return Worked(len(self.seen) + msg.number)


def main(loop: str, wire: str, order: str) -> str:
    """The digest of one run."""
    codec = Codec([Begin, Work, Worked, Rumour]) if wire == "codec" else None
    world = TimedWorld(seed=7, codec=codec, recorder=Recorder(enabled=True))
    actors = [(f"h0/client/{number}", Client) for number in range(CLIENTS)]
    actors += [(f"h0/server/{number}", Server) for number in range(SERVERS)]
    Random(int(order)).shuffle(actors)
    for address, kind in actors:
        world.add(address, kind)
    digest = hashlib.sha256()

    def delivered(item: Item) -> None:
        digest.update(msgspec.msgpack.encode([*item[:4], repr(item[4]), *item[5:]]))

    def emitted(port: object, point: Tracepoint) -> None:
        digest.update(msgspec.msgpack.encode([world.now, world.core.running(), point]))

    world.on_delivery = delivered
    world.on_tracepoint(emitted)
    for number in range(CLIENTS):
        world.post(f"h0/client/{number}", Begin())
    if loop == "plain":
        world.run()
    elif loop == "asyncio":
        asyncio.run(world.arun(slice_events=50))
    else:
        import uvloop

        uvloop.run(world.arun(slice_events=50))
    digest.update(str((world.events, world.now)).encode())
    world.close()
    return f"{world.events} {digest.hexdigest()}"


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
