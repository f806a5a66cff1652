"""A world of three actors that talk, wait, fall asleep and report: for tests of what a trace holds."""

from __future__ import annotations

from pathlib import Path

from gupsim.actors.base import Actor, TicketLock, handles
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.kernel import KernelWarning
from gupsim.protocol.memmap import PageGet
from gupsim.protocol.message import DONE, Done, Message, Request
from gupsim.protocol.observer import VmstatSeen
from gupsim.trace import TRACE_VERSION, Event, EventReader, Header, TraceWriter


class Ask(Request[Done], frozen=True):
    n: int


class Go(Message, frozen=True):
    rounds: int


class Server(Actor):
    def __init__(self, address, port) -> None:
        super().__init__(address, port)
        self.lock = TicketLock(self, "server lock")

    @handles(Ask)
    async def ask_(self, msg: Ask) -> Done:
        async with self.lock:
            await self.sleep(100)
            self.trace(PageGet(msg.n, 1, "gup", "driver/nic", msg.n + 2))
        return DONE


class Client(Actor):
    @handles(Go)
    async def go(self, msg: Go) -> None:
        for n in range(msg.rounds):
            await self.ask(f"{self.host}/server", Ask(n))
            self.trace(KernelWarning("client", f"round {n} of {self.address}"))
        self.trace(VmstatSeen(self.host, {"nr_dirty": 3, "nr_written": 0}))


HEADER = Header(
    version=TRACE_VERSION,
    scenario="two clients",
    digest="abc",
    source={"title": "two clients"},
    kernel="v4.20",
    policies=("bounce",),
    rules={"pin_api": "none"},
    seed=7,
    actors=(),
)


def run(path: Path | str | None = None, *readers: EventReader, rounds: int = 5, seed: int = 7, batch: int = 512) -> str:
    """Play it, trace it; returns the digest."""
    world = TimedWorld(seed=seed)
    world.add("h0/server", Server)
    world.add("h0/client/a", Client)
    world.add("h0/client/b", Client)
    with TraceWriter(world, HEADER, path, batch=batch) as writer:
        for reader in readers:
            writer.subscribe(reader)
        world.post("h0/client/a", Go(rounds))
        world.post("h0/client/b", Go(rounds))
        world.run()
    return writer.close()


def events_of(rounds: int = 5) -> list[Event]:
    """The events of a run, as a live reader gets them."""
    events: list[Event] = []
    run(None, events.append, rounds=rounds)
    return events
