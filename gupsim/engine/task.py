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
    context: its name: the caller's for a request, one of its own otherwise.
    token: what it waits for now, or -1. since: since when (ns).
    """

    __slots__ = ("context", "coro", "done", "item", "port", "send", "since", "token")

    def __init__(self, port: ActorPort, coro: Coroutine[Any, Any, Any], item: Item) -> None:
        self.port = port
        self.coro = coro
        self.send = coro.send
        self.item = item
        self.context = item[7] or port.context_of(item)
        self.token = -1
        self.since = 0
        self.done = False

    @property
    def handler(self) -> str:
        """The coroutine function that it runs."""
        return str(getattr(self.coro, "__qualname__", self.coro))

    def cancel(self) -> None:
        """Raise Cancelled where it waits; nothing happens if it has ended or runs right now."""
        if self.token >= 0:
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
