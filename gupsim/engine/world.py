"""What a world of actors is, whoever picks the next delivery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gupsim.actors.base.actor import Actor
from gupsim.engine.core import Core, Item
from gupsim.engine.port import ActorPort
from gupsim.protocol.message import Message, Tracepoint

A = TypeVar("A", bound=Actor)
C = TypeVar("C", bound=Core)


class World(Generic[C]):
    """Actors and how they are filled in, started and watched. The base of all drivers' worlds."""

    def __init__(self, core: C) -> None:
        self.core = core
        self._sealed = False

    @property
    def now(self) -> int:
        """Virtual time in nanoseconds of the last delivery. Under a search it grows along causes only."""
        return self.core.now

    def add(self, address: str, kind: Callable[..., A], *args: Any, **options: Any) -> A:
        """Create the actor ``kind(address, port, *args, **options)``."""
        port = self.core.port(address)
        actor = kind(address, port, *args, **options)
        self.core.add(actor, port)
        return actor

    def seal(self) -> None:
        """No more actors. Called by the first `post`."""
        if not self._sealed:
            self._sealed = True
            self.core.seal()
            self._complete()

    def _complete(self) -> None:
        """All actors are there now."""

    def post(self, dst: str, message: Message, at: int = 0, context: str = "") -> None:
        """A first message, from outside the world. at: virtual time in ns; under a search it orders nothing."""
        self.seal()
        self.core.post(dst, message, max(at, self.core.now), context)

    @property
    def on_delivery(self) -> Callable[[Item], None] | None:
        """Gets every delivery before it runs."""
        return self.core.on_delivery

    @on_delivery.setter
    def on_delivery(self, reader: Callable[[Item], None] | None) -> None:
        self.core.on_delivery = reader

    def on_tracepoint(self, reader: Callable[[ActorPort, Tracepoint], None]) -> None:
        """Pass every tracepoint to `reader`."""
        self.core.on_tracepoint = reader

    def close(self) -> None:
        """Drop the contexts that still wait."""
        self.core.close()
