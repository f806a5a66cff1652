"""A hand-written history as a trace file: one actor per address tells its part of it, with messages between them."""

from __future__ import annotations

from pathlib import Path

from gupsim.actors.base import Actor, handles
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.message import DONE, Done, Message, Request
from gupsim.protocol.process import StepBegin, StepEnd
from gupsim.trace import TraceWriter
from tests.checkers.history import History
from tests.report.test_verdict import HEADER


class Tell(Request[Done], frozen=True):
    number: int


class Start(Message, frozen=True):
    pass


class Teller(Actor):
    def __init__(self, address, port, history) -> None:
        super().__init__(address, port)
        self.history = history

    @handles(Tell)
    def tell(self, msg: Tell) -> Done:
        self.trace(self.history.events[msg.number].point)
        return DONE


class Conductor(Actor):
    def __init__(self, address, port, history) -> None:
        super().__init__(address, port)
        self.history = history

    @handles(Start)
    async def start_(self, msg: Start) -> None:
        self.trace(StepBegin("app", 1, "everything"))
        for event in self.history.events:
            await self.ask(event.actor, Tell(event.index))
        self.trace(StepEnd("app", 1, "everything", "ok"))


def store(history: History, path: Path) -> Path:
    """Play the history through a world and write its trace."""
    world = TimedWorld()
    for address in sorted({event.actor for event in history.events}):
        world.add(address, Teller, history)
    world.add("h0/process/app", Conductor, history)
    with TraceWriter(world, HEADER, path):
        world.post("h0/process/app", Start())
        world.run()
    return path
