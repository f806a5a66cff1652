"""The engine's side of one actor: numbering, contexts, and what waits for an answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from gupsim.actors.base.actor import Actor
from gupsim.actors.base.footprint import Recorder
from gupsim.actors.base.port import TIMED_OUT, TaskHandle
from gupsim.engine.errors import BadAnswer, BadDelay, NoSuchActor
from gupsim.engine.links import Route
from gupsim.engine.task import Join, Part, Task
from gupsim.protocol.message import Message, Tracepoint

if TYPE_CHECKING:
    from gupsim.engine.core import Core, Item


class ActorPort:
    """What `gupsim.actors.base.port.Port` promises, for every driver.

    A message is named (source, seq), seq counted by its source: a name that no process layout changes.

    methods: what handles each message class. routes: to other actors, by address, and back to them by rank.
    waiting: by token, who waits. early: answers that nobody awaits yet. timed: tokens that an answer or a
    time-out may end. spent: tokens of which nothing is awaited any more. reasons: for reports, by token.
    """

    __slots__ = (
        "_random",
        "actor",
        "address",
        "core",
        "early",
        "methods",
        "rank",
        "reasons",
        "recorder",
        "routes",
        "seq",
        "spent",
        "timed",
        "waiting",
    )

    def __init__(self, core: Core, address: str, recorder: Recorder) -> None:
        self.core = core
        self.address = address
        self.recorder = recorder
        self.rank = -1
        self.seq = 0
        self.actor: Actor | None = None
        self.methods: Mapping[type[Message], Callable[[Any, Any], Any]] = {}
        self.routes: dict[str | int, Route] = {}
        self.waiting: dict[int, Task | Part] = {}
        self.early: dict[int, Any] = {}
        self.timed: set[int] = set()
        self.spent: set[int] = set()
        self.reasons: dict[int, str] = {}
        self._random: Random | None = None

    @property
    def now(self) -> int:
        return self.core.current[0]

    @property
    def context(self) -> str:
        task = self.core.task
        return task.context if task is not None else self.context_of(self.core.current)

    @property
    def random(self) -> Random:
        # Made on first use: a Random per actor costs 16 % of a short world (runtime.md).
        if self._random is None:
            self._random = Random(f"{self.core.seed}/{self.address}")
        return self._random

    def context_of(self, item: Item) -> str:
        """The context in which a delivery runs: the one it travels for, or a new one named after it."""
        return item[7] or f"{self.address}<{self.core.name_of(item[2])}.{item[3]}"

    def send(self, dst: str, message: Message, after: int | None = None, context: str = "") -> None:
        core = self.core
        cause = core.current
        if after is None:
            try:
                route = self.routes[dst]
            except KeyError:
                route = self._route(dst, message)
            rank = route.rank
            due = route.due(cause[0])
        else:
            try:
                rank = core.ranks[dst]
            except KeyError:
                raise self._nobody(dst, message) from None
            if after < 1 and rank != self.rank:
                raise BadDelay(f"{self.address} sends {type(message).__name__} to {dst} within {after} ns: at least 1")
            due = cause[0] + after
        if core.wire is not None:
            message = core.wire(message)
        self.seq = seq = self.seq + 1
        core.push((due, rank, self.rank, seq, message, -1, False, context, cause[2], cause[3]))

    def request(self, dst: str, message: Message, timeout: int | None = None) -> int:
        core = self.core
        try:
            route = self.routes[dst]
        except KeyError:
            route = self._route(dst, message)
        if core.wire is not None:
            message = core.wire(message)
        cause = core.current
        task = core.task
        context = task.context if task is not None else self.context_of(cause)
        self.seq = seq = self.seq + 1
        core.push((route.due(cause[0]), route.rank, self.rank, seq, message, -1, True, context, cause[2], cause[3]))
        if timeout is not None:
            self.timed.add(seq)
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
        cause = core.current
        self.seq = seq = self.seq + 1
        core.push((cause[0] + after, self.rank, self.rank, seq, value, token, False, "", cause[2], cause[3]))

    def answer(self, item: Item, value: Any) -> None:
        """Answer the request that `item` delivered."""
        core = self.core
        if type(value) not in core.answers:
            self._check_answer(item, value)
        if core.wire is not None:
            value = core.wire(value)
        try:
            route = self.routes[item[2]]
        except KeyError:
            route = self._route_back(item[2])
        cause = core.current
        self.seq = seq = self.seq + 1
        core.push((route.due(cause[0]), item[2], self.rank, seq, value, item[3], False, item[7], cause[2], cause[3]))

    def start(self, coro: Coroutine[Any, Any, Any], context: str = "") -> TaskHandle:
        core = self.core
        cause = core.current
        # A context of its own: nobody waits for it, and it is named after a number of its own.
        item = (cause[0], self.rank, self.rank, self.reserve(), None, -1, False, context, cause[2], cause[3])
        return core.start(self, coro, item)

    def waits(self, token: int, reason: str) -> None:
        self.reasons[token] = reason

    def lock_granted(self, token: int, lock: str, *, shared: bool) -> None:
        if token >= 0:
            self.wake(token)

    def lock_released(self, lock: str) -> None:
        """Nothing to do where one order is as good as the other."""

    def trace(self, tracepoint: Tracepoint) -> None:
        self.core.trace(self, tracepoint)

    def came_late(self, token: int) -> bool:
        """Something came for `token`: True if nothing is awaited of it any more, and so it is forgotten."""
        if token not in self.spent:
            return False
        if token in self.timed:
            self.timed.discard(token)  # of the answer and the time-out, the other is still under way
        else:
            self.spent.discard(token)
        return True

    def _route(self, dst: str, message: Message) -> Route:
        rank = self.core.ranks.get(dst)
        if rank is None:
            raise self._nobody(dst, message)
        self.routes[dst] = route = self._route_back(rank)
        return route

    def _route_back(self, rank: int) -> Route:
        self.routes[rank] = route = self.routes.get(rank) or self.core.route(self.rank, rank)
        return route

    def _check_answer(self, item: Item, value: Any) -> None:
        # Once for each class: an isinstance for each answer costs 6 % of ask and reply.
        if not isinstance(value, Message):
            raise BadAnswer(f"{self.address} answers {type(item[4]).__name__} with {value!r}, which is no message")
        self.core.answers.add(type(value))

    def _nobody(self, dst: str, message: Message) -> NoSuchActor:
        return NoSuchActor(f"{self.address} sends {type(message).__name__} to {dst}, where no actor lives")
