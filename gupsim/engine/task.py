"""One running async handler: far lighter than an asyncio.Task, and made only if the handler suspends."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gupsim.engine.core import Item
    from gupsim.engine.port import ActorPort


class Task:
    """A kernel context inside one actor.

    item: the delivery that started it; answered when it returns, if the sender waits.
    token: what it waits for now, or -1.
    """

    __slots__ = ("_context", "cancelled", "coro", "done", "item", "port", "since", "token")

    def __init__(self, port: ActorPort, coro: Coroutine[Any, Any, Any], item: Item, context: str) -> None:
        self.port = port
        self.coro = coro
        self.item = item
        self.token = -1
        self.since = 0
        self.done = False
        self.cancelled = False
        self._context = context

    @property
    def context(self) -> str:
        """Its name: the caller's for a request, one of its own otherwise."""
        if not self._context:
            self._context = self.port.own_context(self.item)
        return self._context

    @property
    def handler(self) -> str:
        """The coroutine function that it runs."""
        return self.coro.__qualname__

    def cancel(self) -> None:
        """Raise Cancelled where it waits; nothing happens if it has ended or runs right now."""
        if not self.done and self.token >= 0:
            self.port.core.cancel(self)


class Join:
    """Several answers that resume their asker once, in the order asked."""

    __slots__ = ("missing", "token", "values")

    def __init__(self, token: int, size: int) -> None:
        self.token = token
        self.missing = size
        self.values: list[Any] = [None] * size


class Part:
    """The place of one answer in a join."""

    __slots__ = ("index", "join")

    def __init__(self, join: Join, index: int) -> None:
        self.join = join
        self.index = index
