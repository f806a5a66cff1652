"""Delivering messages to actors: the part that all drivers share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from types import CoroutineType
from typing import Any, ClassVar, Final, TypeAlias

from gupsim.actors.base.actor import Actor
from gupsim.actors.base.footprint import Recorder
from gupsim.actors.base.port import Cancelled, ContextDied
from gupsim.engine.errors import ActorFailed, EngineError, ForeignAwait, NoHandler, NoSuchActor
from gupsim.engine.links import Route
from gupsim.engine.port import ActorPort
from gupsim.engine.task import Part, Task
from gupsim.protocol.address import check_address
from gupsim.protocol.engine import ContextLost
from gupsim.protocol.message import Message, Tracepoint

Item: TypeAlias = tuple[int, int, int, int, Any, int, bool, str, int, int]
"""A message under way: due, dst, src, seq, message, reply_to, wants, context, cause_src, cause_seq.

A plain tuple, because the first four are the total order of a timed run and a heap compares tuples fastest.
dst, src and cause_src are ranks of addresses in sorted order; (src, seq) names the message and
(cause_src, cause_seq) the delivery that sent it. reply_to is -1, or the token that the message answers.
"""

ROOT: Final = -1
"""Rank of the outside world, which sends the first messages."""

_checked: Final = functools.lru_cache(maxsize=1024)(check_address)
"""A search makes the same actors again and again: a fifth of an actor is the check of its address."""

_AT_REST: Final[Item] = (0, ROOT, ROOT, 0, None, -1, False, "", ROOT, 0)


class Core:
    """The actors of one world and what happens when one of them gets a message.

    An event is one delivery with everything that then runs at that actor, until nothing there can go on
    without another delivery. Which delivery comes next is not decided here: a driver supplies

    push: takes an Item under way.
    route: (src rank, dst rank) -> the route between the two, which says when a message sent now is due.

    and calls `deliver` with one Item after the other. port_type: what each actor gets of it.
    """

    port_type: ClassVar[type[ActorPort]] = ActorPort

    def __init__(
        self,
        push: Callable[[Item], None],
        route: Callable[[int, int], Route],
        *,
        seed: int = 0,
        recorder: Recorder | None = None,
        wire: Callable[[Any], Any] | None = None,
    ) -> None:
        self.push = push
        self.route = route
        self.seed = seed
        self.recorder = recorder or Recorder()
        self.wire = wire
        self.current: Item = _AT_REST
        self.task: Task | None = None
        self.ports: list[ActorPort] = []
        self.ranks: dict[str, int] = {}
        self.answers: set[type[Message]] = set()
        self.lost: dict[tuple[int, int], str] = {}
        self.on_delivery: Callable[[Item], None] | None = None
        self.on_tracepoint: Callable[[ActorPort, Tracepoint], None] | None = None
        self.watched: dict[str, list[tuple[str, Message]]] = {}
        self._root_seq = 0
        self._by_address: dict[str, ActorPort] = {}

    @property
    def now(self) -> int:
        """Virtual time in ns: when the current event happens, or the last one did."""
        return self.current[0]

    def port(self, address: str) -> ActorPort:
        """A new port, for the constructor of an actor."""
        if self.ports:
            raise EngineError(f"{address}: the world is sealed; actors are added before it runs")
        if address in self._by_address:
            raise EngineError(f"two actors at {address}")
        port = self.port_type(self, _checked(address), self.recorder)
        self._by_address[address] = port
        return port

    def add(self, actor: Actor, port: ActorPort) -> None:
        """Let an actor live at its port."""
        port.actor = actor
        port.methods = actor.methods

    def seal(self) -> None:
        """Give every address its rank. The order of adding actors has no influence on anything."""
        self.ports = [self._by_address[address] for address in sorted(self._by_address)]
        for rank, port in enumerate(self.ports):
            port.rank = rank
            self.ranks[port.address] = rank

    def name_of(self, rank: int) -> str:
        """Address of a rank; "" for the outside world."""
        return self.ports[rank].address if rank >= 0 else ""

    def running(self) -> str:
        """Address of the actor of the current event."""
        return self.name_of(self.current[1])

    def post(self, dst: str, message: Message, at: int = 0, context: str = "") -> None:
        """A message from outside the world."""
        if dst not in self.ranks:
            raise NoSuchActor(f"first message {type(message).__name__} to {dst}, where no actor lives")
        self._root_seq += 1
        self.push((at, self.ranks[dst], ROOT, self._root_seq, message, -1, False, context, ROOT, 0))

    def deliver(self, item: Item) -> bool:
        """One event; False if `item` came too late to be one, and then nothing happened, not even to the clock."""
        port = self.ports[item[1]]
        token = item[5]
        if token >= 0:
            return self._answered(port, token, item)
        self.current = item
        if self.on_delivery is not None:
            self.on_delivery(item)
        message = item[4]
        try:
            # Methods of the class, not bound ones: a table for each actor costs 3 % of PHOLD in cache misses.
            result = port.methods[type(message)](port.actor, message)
            if result is not None or item[6]:
                if type(result) is CoroutineType:
                    self._begin(port, result, item)
                elif item[6]:
                    port.answer(item, result)
        except BaseException as error:  # noqa: BLE001 - sorted out and mostly raised again
            method = port.methods.get(type(message))
            if method is None:
                raise NoHandler(f"{port.address} does not handle {type(message).__name__}") from None
            self._broke(port, item, method.__qualname__, error)
        return True

    def is_late(self, item: Item) -> bool:
        """True if `item` would be no event; then it is forgotten, and the driver drops it."""
        return item[5] >= 0 and self.ports[item[1]].came_late(item[5])

    def start(self, port: ActorPort, coro: Coroutine[Any, Any, Any], item: Item) -> Task:
        """Run a coroutine up to its first wait."""
        task = Task(port, coro, item)
        self._run(task, coro.send, None)
        return task

    def cancel(self, task: Task) -> None:
        """Raise Cancelled in a waiting task."""
        port = task.port
        port.waiting.pop(task.token, None)
        port.spent.add(task.token)
        port.reasons.pop(task.token, None)
        self._run(task, task.coro.throw, Cancelled())

    def trace(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        """Pass a tracepoint to whoever reads them."""
        if self.on_tracepoint is not None:
            self.on_tracepoint(port, tracepoint)
        if self.watched:
            self.tell(port, tracepoint)

    def tell(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        """Send what `watch` asked for."""
        for dst, message in self.watched.get(str(tracepoint.__struct_config__.tag), ()):
            port.send(dst, message)

    def watch(self, name: str, dst: str, message: Message) -> None:
        """Whoever emits the tracepoint `name` also sends `message` to `dst`: how a script hears of the kernel."""
        self.watched.setdefault(name, []).append((dst, message))

    def waiting_tasks(self) -> Iterable[Task]:
        """All tasks that wait for something now, in a fixed order."""
        for port in self.ports:
            for _, waiting in sorted(port.waiting.items()):
                if isinstance(waiting, Task):
                    yield waiting

    def close(self) -> None:
        """Drop what still waits, quietly. What an actor's `finally` still says then, nobody hears."""
        self.push = self._nowhere
        self.on_tracepoint = None
        for task in list(self.waiting_tasks()):
            with suppress(Exception):
                task.coro.close()
        for port in self.ports:
            port.waiting.clear()

    def _nowhere(self, item: Item) -> None:
        pass

    def _begin(self, port: ActorPort, coro: Coroutine[Any, Any, Any], item: Item) -> None:
        # Up to its first wait a handler needs no Task, and many never wait: a Task is 0.1 us, with a name 0.5 us.
        try:
            token = coro.send(None)
        except StopIteration as stop:
            if item[6]:
                port.answer(item, stop.value)
            return
        task = Task(port, coro, item)
        if type(token) is not int:
            raise self._foreign(task, token)
        if token in port.early:
            self._run(task, coro.send, self._fetch(port, token))
            return
        task.token = token
        task.since = item[0]
        port.waiting[token] = task

    def _answered(self, port: ActorPort, token: int, item: Item) -> bool:
        waiting = port.waiting.pop(token, None)
        if waiting is None and port.came_late(token):
            return False
        self.current = item
        if self.on_delivery is not None:
            self.on_delivery(item)
        if port.timed and token in port.timed:
            # An answer and its time-out are both under way: the second to arrive is late.
            port.timed.discard(token)
            port.spent.add(token)
        if type(waiting) is Task:
            if port.reasons:
                port.reasons.pop(token, None)
            self._run(waiting, waiting.send, item[4])
        elif type(waiting) is Part:
            join = waiting.join
            join.values[waiting.index] = item[4]
            join.missing -= 1
            if not join.missing:
                port.wake(join.token, tuple(join.values))
        else:
            # Asked, but not awaited yet: keep the answer for the await.
            port.early[token] = item[4]
        return True

    def _run(self, task: Task, step: Callable[[Any], Any], value: Any) -> None:
        port = task.port
        task.token = -1
        outer, self.task = self.task, task
        try:
            token = step(value)
            while port.early and token in port.early:
                token = task.send(self._fetch(port, token))
        except StopIteration as stop:
            task.done = True
            if task.item[6]:
                port.answer(task.item, stop.value)
        except Cancelled:
            task.done = True
        except BaseException as error:  # noqa: BLE001 - sorted out and mostly raised again
            task.done = True
            self._broke(port, task.item, task.handler, error)
        else:
            if type(token) is not int:
                raise self._foreign(task, token)
            task.token = token
            task.since = self.current[0]
            port.waiting[token] = task
        finally:
            self.task = outer

    def _fetch(self, port: ActorPort, token: int) -> Any:
        """An answer that came before its await."""
        return port.early.pop(token)

    def _foreign(self, task: Task, token: object) -> ForeignAwait:
        return ForeignAwait(
            f"{task.port.address}: {task.handler} awaited {token!r}; an actor awaits only its own"
            " ask, sleep, locks and wait queues"
        )

    def _broke(self, port: ActorPort, item: Item, handler: str, error: BaseException) -> None:
        """A handler or context ended in an exception: say whose fault that is."""
        if isinstance(error, ContextDied):
            self.trace(port, ContextLost(context=port.context_of(item), handler=handler))
            if item[6]:
                self.lost[item[2], item[3]] = f"an answer of {port.address}, where {handler} died"
        elif isinstance(error, EngineError) or not isinstance(error, Exception):
            raise error
        else:
            raise ActorFailed(f"{port.address}: {handler} raised {type(error).__name__}: {error}") from error
