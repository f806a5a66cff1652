"""Actors whose handlers a test writes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from gupsim.actors.base import Actor, Column, Port, TicketLock, WaitQueue, handles
from gupsim.protocol.message import DONE, Done, Message, Request
from gupsim.search import Program
from gupsim.search.world import ExploredWorld

Body: TypeAlias = Callable[["Place"], Coroutine[Any, Any, None]]


class Go(Message, frozen=True):
    """Run body number `body`."""

    body: int


class Serve(Request[Done], frozen=True):
    """Run body number `body`, then answer."""

    body: int


class Place(Actor):
    """Two cells, two locks, a queue; and a log that is not recorded, for the order in which things happened."""

    def __init__(self, address: str, port: Port, bodies: Sequence[Body]) -> None:
        super().__init__(address, port)
        self.bodies = bodies
        self.cells = Column(self, "cell", "q", 2)
        self.locks = (TicketLock(self, "lock a"), TicketLock(self, "lock b"))
        self.queue = WaitQueue(self, "queue")
        self.log: list[object] = []

    @handles(Go)
    async def go(self, msg: Go) -> None:
        await self.bodies[msg.body](self)

    @handles(Serve)
    async def serve(self, msg: Serve) -> Done:
        await self.bodies[msg.body](self)
        return DONE


def program(*bodies: Body, places: int = 1, start: Sequence[tuple[int, int]] | None = None) -> Program[list[Place]]:
    """So many places; `start` are the (place, body) of the first messages: by default all bodies at place 0.

    The final state is what the cells of all places hold.
    """
    first = [(0, body) for body in range(len(bodies))] if start is None else start

    def build(world: ExploredWorld) -> list[Place]:
        made = [world.add(f"p/{number}", Place, bodies) for number in range(places)]
        for place, body in first:
            world.post(f"p/{place}", Go(body), context=f"thread {body}")
        return made

    return Program(build, state=lambda _, made: tuple(tuple(place.cells.data) for place in made))
