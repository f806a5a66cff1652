"""The engine's side of one actor: numbering, contexts, and what waits for an answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from actors.base.actor import Actor
from actors.base.footprint import Recorder
from actors.base.port import TIMED_OUT
from protocol.message import Message, Tracepoint

from gupsim.engine.errors import EngineError, NoSuchActor
from gupsim.engine.task import Join, Part, Task

if TYPE_CHECKING:
    from gupsim.engine.core import Core, Item


class ActorPort:
    """What `actors.base.port.Port` promises, for every driver.

    A message is named (source, seq), seq counted by its source: a name that no process layout changes.
    """

    __slots__ = ("_random", "actor", "address", "core", "early", "rank", "reasons", "recorder", "seq", "spent",
                 "table", "waiting")

    def __init__(self, core: Core, address: str, recorder: Recorder) -> None:
        self.core = core
        self.address = address
        self.recorder = recorder
        self.rank = -1
        self.seq = 0
        self.actor: Actor | None = None
        self.table: dict[type[Message], Callable[[Any], Any]] = {}
        self.waiting: dict[int, Task | Part] = {}
        self.early: dict[int, Any] = {}
        self.spent: set[int] = set()
        self.reasons: dict[int, str] = {}
        self._random: Random | None = None

    @property
    def now(self) -> int:
        return self.core.now

    @property
    def context(self) -> str:
        task = self.core.task
        return task.context if task is not None else self.own_context(self.core.current)

    @property
    def random(self) -> Random:
        # Made on first use: a Random per actor costs 16 % of a short world (runtime.md).
        if self._random is None:
            self._random = Random(f"{self.core.seed}/{self.address}")
        return self._random

    def own_context(self, item: Item) -> str:
        """The context in which a delivery runs: the one it travels for, or a new one named after it."""
        return item[7] or f"{self.address}<{self.core.name_of(item[2])}.{item[3]}"

    def send(self, dst: str, message: Message, after: int | None = None, context: str = "") -> None:
        core = self.core
        rank = core.ranks.get(dst)
        if rank is None:
            raise self._nobody(dst, message)
        self.seq = seq = self.seq + 1
        if core.wire is not None:
            message = core.wire(message)
        current = core.current
        due = core.now + after if after is not None else core.transit(self.rank, rank, core.now)
        core.push((due, rank, self.rank, seq, message, -1, False, context, current[2], current[3]))

    def request(self, dst: str, message: Message, timeout: int | None = None) -> int:
        core = self.core
        rank = core.ranks.get(dst)
        if rank is None:
            raise self._nobody(dst, message)
        self.seq = seq = self.seq + 1
        if core.wire is not None:
            message = core.wire(message)
        current = core.current
        due = core.transit(self.rank, rank, core.now)
        core.push((due, rank, self.rank, seq, message, -1, True, self.context, current[2], current[3]))
        if timeout is not None:
            self.waits(seq, f"answer of {dst} to {type(message).__name__}")
            self.wake(seq, TIMED_OUT, timeout)
        return seq

    def join(self, requests: Sequence[tuple[str, Message]]) -> int:
        join = Join(self.reserve(), len(requests))
        for index, (dst, message) in enumerate(requests):
            self.waiting[self.request(dst, message)] = Part(join, index)
        if not requests:
            self.wake(join.token, ())
        return join.token

    def reserve(self) -> int:
        self.seq = seq = self.seq + 1
        return seq

    def wake(self, token: int, value: object = None, after: int = 0) -> None:
        core = self.core
        current = core.current
        self.seq = seq = self.seq + 1
        core.push((core.now + after, self.rank, self.rank, seq, value, token, False, "", current[2], current[3]))

    def answer(self, item: Item, value: Message) -> None:
        """Answer the request that `item` delivered."""
        core = self.core
        self.seq = seq = self.seq + 1
        if core.wire is not None:
            value = core.wire(value)
        current = core.current
        due = core.transit(self.rank, item[2], core.now)
        core.push((due, item[2], self.rank, seq, value, item[3], False, item[7], current[2], current[3]))

    def start(self, coro: Coroutine[Any, Any, Any], context: str = "") -> Task:
        core = self.core
        current = core.current
        # A context of its own: nobody waits for it, and it is named after a number of its own.
        item = (core.now, self.rank, self.rank, self.reserve(), None, -1, False, context, current[2], current[3])
        return core.start(self, coro, item)

    def waits(self, token: int, reason: str) -> None:
        self.reasons[token] = reason

    def trace(self, tracepoint: Tracepoint) -> None:
        self.core.trace(self, tracepoint)

    def _nobody(self, dst: str, message: Message) -> EngineError:
        return NoSuchActor(f"{self.address} sends {type(message).__name__} to {dst}, where no actor lives")
