"""Delivering messages to actors: the part that all drivers share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from types import CoroutineType
from typing import Any, Final, TypeAlias

from actors.base.actor import Actor
from actors.base.footprint import Recorder
from actors.base.port import TIMED_OUT, Cancelled, ContextDied, ContextEnd
from protocol.address import check_address
from protocol.engine import ContextLost
from protocol.message import Message, Tracepoint

from gupsim.engine.errors import ActorFailed, BadAnswer, EngineError, ForeignAwait, NoHandler, NoSuchActor
from gupsim.engine.port import ActorPort
from gupsim.engine.task import Part, Task

Item: TypeAlias = tuple[int, int, int, int, Any, int, bool, str, int, int]
"""A message under way: due, dst, src, seq, message, reply_to, wants, context, cause_src, cause_seq.

A plain tuple, because the first four are the total order of a timed run and a heap compares tuples fastest.
dst, src and cause_src are ranks of addresses in sorted order; (src, seq) names the message and
(cause_src, cause_seq) the delivery that sent it. reply_to is -1, or the token that the message answers.
"""

ROOT: Final = -1
"""Rank of the outside world, which sends the first messages."""

_AT_REST: Final[Item] = (0, ROOT, ROOT, 0, None, -1, False, "", ROOT, 0)


class Core:
    """The actors of one world and what happens when one of them gets a message.

    An event is one delivery with everything that then runs at that actor, until nothing there can go on
    without another delivery. Which delivery comes next is not decided here: a driver supplies

    push: takes an Item under way.
    transit: (src rank, dst rank, now) -> due time.
    """

    def __init__(
        self,
        push: Callable[[Item], None],
        transit: Callable[[int, int, int], int],
        *,
        seed: int = 0,
        recorder: Recorder | None = None,
        wire: Callable[[Any], Any] | None = None,
    ) -> None:
        self.push = push
        self.transit = transit
        self.seed = seed
        self.recorder = recorder or Recorder()
        self.wire = wire
        self.now = 0
        self.current: Item = _AT_REST
        self.task: Task | None = None
        self.ports: list[ActorPort] = []
        self.ranks: dict[str, int] = {}
        self.on_tracepoint: Callable[[ActorPort, Tracepoint], None] | None = None
        self.watched: dict[str, list[tuple[str, Message]]] = {}
        self._root_seq = 0
        self._by_address: dict[str, ActorPort] = {}

    def port(self, address: str) -> ActorPort:
        """A new port, for the constructor of an actor."""
        if self.ports:
            raise EngineError(f"{address}: the world is sealed; actors are added before it runs")
        if address in self._by_address:
            raise EngineError(f"two actors at {address}")
        port = ActorPort(self, check_address(address), self.recorder)
        self._by_address[address] = port
        return port

    def add(self, actor: Actor, port: ActorPort) -> None:
        """Let an actor live at its port."""
        port.actor = actor
        port.table = {kind: getattr(actor, name) for kind, name in actor.handlers.items()}

    def seal(self) -> None:
        """Give every address its rank. The order of adding actors has no influence on anything."""
        self.ports = [self._by_address[address] for address in sorted(self._by_address)]
        for rank, port in enumerate(self.ports):
            port.rank = rank
            self.ranks[port.address] = rank

    def name_of(self, rank: int) -> str:
        """Address of a rank; "" for the outside world."""
        return self.ports[rank].address if rank >= 0 else ""

    def post(self, dst: str, message: Message, at: int = 0, context: str = "") -> None:
        """A message from outside the world."""
        if dst not in self.ranks:
            raise NoSuchActor(f"first message {type(message).__name__} to {dst}, where no actor lives")
        self._root_seq += 1
        self.push((at, self.ranks[dst], ROOT, self._root_seq, message, -1, False, context, ROOT, 0))

    def deliver(self, item: Item) -> None:
        """One event."""
        port = self.ports[item[1]]
        reply_to = item[5]
        if reply_to < 0:
            self.now = item[0]
            self.current = item
            message = item[4]
            try:
                result = port.table[type(message)](message)
            except ContextDied:
                self._lost(port, item, type(message).__name__)
                return
            except KeyError:
                if type(message) in port.table:
                    raise
                raise NoHandler(f"{port.address} does not handle {type(message).__name__}") from None
            if type(result) is CoroutineType:
                self.start(port, result, item)
            elif item[6]:
                self._answer(port, item, result)
            return
        waiting = port.waiting.pop(reply_to, None)
        if waiting is None:
            # An answer that came too late must not even move the clock.
            self._unclaimed(port, item)
            return
        self.now = item[0]
        self.current = item
        if type(waiting) is Part:
            self._gather(port, waiting, item[4])
        else:
            self._resume(waiting, item[4])  # type: ignore[arg-type]

    def start(self, port: ActorPort, coro: Coroutine[Any, Any, Any], item: Item) -> Task:
        """Run a coroutine up to its first wait."""
        task = Task(port, coro, item, item[7])
        outer, self.task = self.task, task
        try:
            self._step(task, None)
        finally:
            self.task = outer
        return task

    def cancel(self, task: Task) -> None:
        """Raise Cancelled in a waiting task."""
        task.port.waiting.pop(task.token, None)
        task.port.spent.add(task.token)
        outer, self.task = self.task, task
        try:
            self._step(task, Cancelled())
        finally:
            self.task = outer

    def trace(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        """Pass a tracepoint to whoever reads them."""
        if self.on_tracepoint is not None:
            self.on_tracepoint(port, tracepoint)
        if self.watched:
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
        """Drop what still waits, quietly."""
        for task in list(self.waiting_tasks()):
            task.coro.close()
        for port in self.ports:
            port.waiting.clear()

    def _resume(self, task: Task, value: Any) -> None:
        self.task = task
        try:
            self._step(task, value)
        finally:
            self.task = None

    def _step(self, task: Task, value: Any) -> None:
        port = task.port
        while True:
            try:
                token = task.coro.throw(value) if isinstance(value, ContextEnd) else task.coro.send(value)
            except StopIteration as stop:
                task.done = True
                if task.item[6]:
                    self._answer(port, task.item, stop.value)
                return
            except ContextDied:
                task.done = True
                self._lost(port, task.item, task.handler)
                return
            except Cancelled:
                task.done = task.cancelled = True
                return
            except EngineError:
                raise
            except Exception as error:
                raise ActorFailed(f"{port.address}: {task.handler} raised {type(error).__name__}: {error}") from error
            if type(token) is not int:
                raise ForeignAwait(
                    f"{port.address}: {task.handler} awaited {token!r}; an actor awaits only its own"
                    " ask, sleep, locks and wait queues"
                )
            if port.early and token in port.early:
                value = port.early.pop(token)
                continue
            task.token = token
            task.since = self.now
            port.waiting[token] = task
            return

    def _answer(self, port: ActorPort, item: Item, value: Any) -> None:
        if not isinstance(value, Message):
            raise BadAnswer(f"{port.address} answers {type(item[4]).__name__} with {value!r}, which is no message")
        port.answer(item, value)

    def _gather(self, port: ActorPort, part: Part, value: Any) -> None:
        join = part.join
        join.values[part.index] = value
        join.missing -= 1
        if not join.missing:
            port.wake(join.token, tuple(join.values))

    def _unclaimed(self, port: ActorPort, item: Item) -> None:
        token = item[5]
        if token in port.spent:
            port.spent.discard(token)
        elif item[4] is not TIMED_OUT:
            # Asked, but not awaited yet: keep the answer for the await.
            port.early[token] = item[4]

    def _lost(self, port: ActorPort, item: Item, handler: str) -> None:
        self.trace(port, ContextLost(context=port.own_context(item), handler=handler))
