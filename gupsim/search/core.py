"""Delivering messages in any order that a kernel could show: what a search needs beyond `engine.core`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable
from random import Random
from typing import Any, ClassVar, NamedTuple, TypeAlias

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.engine.core import ROOT, Core, Item
from gupsim.engine.errors import ActorFailed, EngineError, NoSuchActor
from gupsim.engine.links import Route
from gupsim.engine.port import ActorPort
from gupsim.engine.task import Part, Task
from gupsim.protocol.engine import LockContended, LockGranted, LockReleased
from gupsim.protocol.message import Message, Tracepoint
from gupsim.search.errors import NotPending
from gupsim.search.names import ANSWER, OUTSIDE, Names
from gupsim.search.port import ExploredPort
from gupsim.search.recorder import SearchRecorder

Contention: TypeAlias = LockContended | LockGranted | LockReleased

Observer: TypeAlias = Callable[[ActorPort, Tracepoint], tuple[Hashable, int] | None]
"""Says which tracepoints a checker relates to each other: (what they are about, READ, WRITE or COMMUTE), or None."""

Observers: TypeAlias = Callable[[ActorPort, Tracepoint], Iterable[tuple[Hashable, int]]]
"""As `Observer`, where a tracepoint may be about several things."""


class _Posted(NamedTuple):
    """A message that others of its context to the same actor must not overtake.

    creator: number of the event that sent it. after_all: it comes behind all that was posted there before.
    """

    mid: int
    creator: int
    after_all: bool


class _Held(NamedTuple):
    """A message that may not be delivered yet: `missing` earlier ones of its context have not arrived."""

    item: Item
    hard: int
    missing: int


class ExploredCore(Core):
    """The actors of one world, and all deliveries that are possible now.

    Events are numbered in the order in which they happen; a set of events is an int with one bit for each. Those
    before `begin` count as the past: they have no number, and the search does not reorder them.

    pending: by mid in order of creation, (delivery, hard predecessors): what any schedule may choose next.
    bits: by mid, the bit of its event; 0 for the past. hards: by number, the hard predecessors of an event.
    bit: of the running event. shared: tokens whose await and answer may come in either order, so that both touch
    ("token", n). over: events that all that is posted now must follow. failures: handlers that raised.
    observed: what the observer said of this event. contention: (address, tracepoint) of all contended locks.
    """

    port_type: ClassVar[type[ActorPort]] = ExploredPort
    ports: list[ExploredPort]  # type: ignore[assignment]  # of that type
    recorder: SearchRecorder

    def __init__(self, names: Names, recorder: SearchRecorder, *, seed: int = 0) -> None:
        super().__init__(_refuse_push, _refuse_route, seed=seed, recorder=recorder)
        self.recorder = recorder
        self.names = names
        self.pending: dict[int, tuple[Item, int]] = {}
        self.bits: dict[int, int] = {}
        self.bit = 0
        self.count = 0
        self.hards: list[int] = []
        self.times: list[int] = []
        self.channels: dict[tuple[str | int, int], list[_Posted]] = {}
        self.held: dict[int, _Held] = {}
        self.followers: dict[int, list[int]] = {}
        self.shared: set[int] = set()
        self.over = 0
        self.failures: list[ActorFailed] = []
        self.contention: list[tuple[str, Contention]] = []
        self.dice: tuple[int, Random] | None = None
        self.observer: Observers | None = None
        self.observed: dict[Hashable, int] = {}
        self._past = True
        self._sender = OUTSIDE
        self._sent = names.children[OUTSIDE]
        self._next = 0
        self._posted = 0

    def begin(self, *, past: bool = False) -> None:
        """The outside world is done for now: events follow. past: they have no number, no schedule decides."""
        self._past = past
        self._posted = self._next

    def rest(self) -> None:
        """The outside world may post again; that comes after everything that has happened."""
        self.over = (1 << self.count) - 1
        self._past = True
        self._sender = OUTSIDE
        self._sent = self.names.children[OUTSIDE]
        self._next = self._posted

    def new_name(self) -> int:
        """The next name that the running event, or the outside world, gives away."""
        k = self._next
        self._next = k + 1
        if k < len(self._sent):
            return self._sent[k]
        return self.names.next_child(self._sender)

    def post(self, dst: str, message: Message, at: int = 0, context: str = "") -> None:
        if dst not in self.ranks:
            raise NoSuchActor(f"first message {type(message).__name__} to {dst}, where no actor lives")
        mid = self.new_name()
        self.pending[mid] = ((at, self.ranks[dst], ROOT, mid, message, -1, False, context, ROOT, 0), self.over)

    def channel(self, rank: int) -> tuple[str | int, int]:
        """From the running context to an actor: what it sends there comes in order."""
        sender = self.task.item if self.task is not None else self.current
        return sender[7] or sender[3], rank

    def post_in_turn(self, item: Item, *, joins: bool) -> None:
        """Post a message behind what its context sent to the same actor before.

        joins: True if later ones come behind it in turn; requests are not ordered among themselves.
        """
        channel = self.channel(item[1])
        earlier = self.channels.get(channel)
        mid = item[3]
        if earlier is None:
            self.pending[mid] = (item, self.bit)
            if joins:
                self.channels[channel] = [_Posted(mid, self.count - 1, after_all=True)]
            return
        hard = self.bit
        missing = 0
        after_all = True
        for posted in reversed(earlier):
            if not self._past and not self._happened_before(posted.creator):
                after_all = False  # a context at work in two places at once has no order between them
                continue
            if posted.mid in self.bits:
                hard |= self.bits[posted.mid]
            else:
                missing += 1
                self.followers.setdefault(posted.mid, []).append(mid)
            if posted.after_all:
                break
        if missing:
            self.held[mid] = _Held(item, hard, missing)
        else:
            self.pending[mid] = (item, hard)
        if joins:
            earlier.append(_Posted(mid, self.count - 1, after_all))

    def step(self, mid: int) -> int:
        """Deliver one of the pending messages: one event. Returns its hard predecessors."""
        try:
            item, hard = self.pending.pop(mid)
        except KeyError:
            raise self.not_pending(mid) from None
        if self._past:
            self.bits[mid] = self.bit = 0
        else:
            count = self.count
            self.bits[mid] = self.bit = 1 << count
            self.count = count + 1
            self.hards.append(hard)
            self.times.append(item[0])
        if self.observed:
            self.observed = {}
        self._sender = mid
        self._sent = self.names.children[mid]
        self._next = 0
        token = item[5]
        try:
            if token < 0:
                self.deliver(item)
            else:
                # One that comes too late is an event all the same: it races with what made it late.
                self._arrive(self.ports[item[1]], token, item)
        except ActorFailed as error:
            self.failures.append(error)
        if self.followers and mid in self.followers:
            self._let_go(mid)
        return hard

    def on_the_way_to(self, mid: int) -> int:
        """A pending message without which `mid` does not get under way; NotPending if there is none to be seen.

        For a schedule of events that leaves out what touches nothing: such a delivery makes its context go on, so
        that it asks and answers. What locks, queues and joins wait for is noted, and so is in the schedule.
        """
        names, sought = self.names, mid
        while mid not in self.pending:
            cause = names.parents[mid]
            if mid in self.held:
                mid = next(earlier for earlier, behind in self.followers.items() if mid in behind)
            elif cause == OUTSIDE:
                # It is posted when nothing is left.
                mid = next(iter(self.pending), -1)
            elif cause not in self.bits:
                mid = cause
            elif names.step(mid) == ANSWER:
                mid = next((task.token for task in self.waiting_tasks() if task.item[3] == cause), -1)
                if mid in self.bits:  # a request that has arrived: its answer has not
                    mid = names.answer(mid)
            else:
                mid = -1
            if mid < 0:
                raise self.not_pending(sought)
        return mid

    def not_pending(self, mid: int) -> NotPending:
        """The error if a schedule delivers `mid` now, but it is not pending."""
        why = "must not overtake another of its context" if mid in self.held else "is not under way"
        return NotPending(f"event {self.count + 1} cannot be message {self.names.text(mid)}, which {why}")

    def trace(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        port.trace(tracepoint)

    def scrap(self) -> None:
        """Nobody asks for this world any more. Without its circles it goes at once: to leave it to the collector takes
        10 % of a search, and memory that was used just now is warm."""
        for port in self.ports:
            if port.actor is not None:
                # Parts of an actor know it, or one of its methods.
                vars(port.actor).clear()
                port.actor = None
        self.ports = []
        self._by_address = {}
        self.push = _refuse_push

    # What follows does what `Core` does, and notes what that has to do with the order of events.

    def _begin(self, port: ActorPort, coro: Coroutine[Any, Any, Any], item: Item) -> None:
        try:
            token = coro.send(None)
        except StopIteration as stop:
            if item[6]:
                port.answer(item, stop.value)
            return
        task = Task(port, coro, item)
        if port.early and token in port.early:
            self._run(task, coro.send, self._fetch(port, token))
        else:
            self._suspend(task, token)

    def _run(self, task: Task, step: Callable[[Any], Any], value: Any) -> None:
        super()._run(task, step, value)
        if not task.done:
            self._suspended(task.token)

    def _suspend(self, task: Task, token: Any) -> None:
        if type(token) is not int:
            raise self._foreign(task, token)
        task.token = token
        task.since = self.current[0]
        task.port.waiting[token] = task
        self._suspended(token)

    def _suspended(self, token: int) -> None:
        if self.names.parents[token] != self.current[3]:
            # An await in a later event than the one that reserved the token races with its answer.
            self.shared.add(token)
            self.recorder.note("token", token, READ | WRITE)

    def _fetch(self, port: ActorPort, token: int) -> Any:
        """An answer that came before its await; to fetch it races with its arrival."""
        self.recorder.note("token", token, READ | WRITE)
        return port.early.pop(token)

    def _arrive(self, port: ExploredPort, token: int, item: Item) -> None:
        """An answer, a timer or a wake."""
        waiting = port.waiting.pop(token, None)
        if not isinstance(waiting, Task):
            self._arrive_for_nobody(port, token, item, waiting)
            return
        if waiting.item[4] is None:  # started by `start`: somebody may look at it or cancel it
            self.recorder.note("context", waiting.item[3], READ | WRITE)
        if token in self.shared or token in port.timed:
            self.recorder.note("token", token, READ | WRITE)
        self._now(port, token, item)
        if port.reasons:
            port.reasons.pop(token, None)
        self._run(waiting, waiting.send, item[4])

    def _arrive_for_nobody(self, port: ExploredPort, token: int, item: Item, waiting: Part | None) -> None:
        """As `_arrive`, if nothing goes on at once: one answer of several, too early, or too late."""
        if waiting is None:
            self.recorder.note("token", token, READ | WRITE)
            if port.came_late(token):
                return
            self._now(port, token, item)
            # Asked, but not awaited yet: keep the answer for the await.
            port.early[token] = item[4]
            return
        join = waiting.join
        self.recorder.note("join", join.token, COMMUTE)
        port.must_follow(join.token, self.bit, item[0])
        self._now(port, token, item)
        join.values[waiting.index] = item[4]
        join.missing -= 1
        if not join.missing:
            port.wake(join.token, tuple(join.values))

    def _now(self, port: ExploredPort, token: int, item: Item) -> None:
        self.current = item
        if self.on_delivery is not None:
            self.on_delivery(item)
        if port.timed and token in port.timed:
            # An answer and its time-out are both under way: the second to arrive is late.
            port.timed.discard(token)
            port.spent.add(token)

    def _happened_before(self, number: int) -> bool:
        """True if event `number` is the running one or one of its causes."""
        events = self.bit
        while events:
            last = events.bit_length() - 1
            if last <= number:
                return last == number
            events = (events ^ 1 << last) | self.hards[last]
        return number < 0

    def _let_go(self, mid: int) -> None:
        """A message arrived: those behind it in its context may come."""
        for follower in self.followers.pop(mid):
            item, hard, missing = self.held[follower]
            hard |= self.bit
            # The time of a message is not before that of one that it must follow.
            item = (max(item[0], self.current[0]), *item[1:])
            if missing > 1:
                self.held[follower] = _Held(item, hard, missing - 1)
            else:
                del self.held[follower]
                self.pending[follower] = (item, hard)


def _refuse_push(_: Item) -> None:
    raise EngineError("a search keeps its deliveries itself")


def _refuse_route(_: int, __: int) -> Route:
    raise EngineError("a search has no latencies")
