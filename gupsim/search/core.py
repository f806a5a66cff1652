"""Delivering messages in any order that a kernel could show: what a search needs beyond `engine.core`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from random import Random
from typing import ClassVar, NamedTuple, TypeAlias

from actors.base.footprint import Recorder
from gupsim.engine.core import ROOT, Core, Item
from gupsim.engine.errors import ActorFailed, EngineError, NoSuchActor
from gupsim.engine.links import Route
from gupsim.engine.port import ActorPort
from gupsim.search.errors import NotPending
from gupsim.search.names import OUTSIDE, Names
from gupsim.search.port import ExploredPort
from protocol.engine import LockContended, LockGranted, LockReleased
from protocol.message import Message, Tracepoint

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
    bit: of the running event. over: events that all that is posted now must follow. failures: handlers that raised.
    observed: what the observer said of this event. contention: (address, tracepoint) of all contended locks.
    """

    port_type: ClassVar[type[ActorPort]] = ExploredPort
    ports: list[ExploredPort]  # type: ignore[assignment]  # of that type

    def __init__(self, names: Names, *, seed: int = 0, recorder: Recorder | None = None) -> None:
        super().__init__(_refuse_push, _refuse_route, seed=seed, recorder=recorder)
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

    def post_in_turn(self, item: Item, *, joins: bool) -> None:
        """Post a message behind what its context sent to the same actor before.

        joins: True if later ones come behind it in turn; requests are not ordered among themselves.
        """
        task = self.task
        sender = task.item if task is not None else self.current
        channel = (sender[7] or sender[3], item[1])
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
            self.bits[mid] = self.bit = 1 << self.count
            self.count += 1
            self.hards.append(hard)
            self.times.append(item[0])
        if self.observed:
            self.observed = {}
        self._sender = mid
        self._sent = self.names.children[mid]
        self._next = 0
        token = item[5]
        if token >= 0:
            self.ports[item[1]].meet(item)
        try:
            # One that comes too late is an event all the same: it races with what made it late.
            self.deliver(item)
        except ActorFailed as error:
            self.failures.append(error)
        if self.followers and mid in self.followers:
            self._let_go(mid)
        return hard

    def not_pending(self, mid: int) -> NotPending:
        """The error if a schedule delivers `mid` now, but it is not pending."""
        why = "must not overtake another of its context" if mid in self.held else "is not under way"
        return NotPending(f"event {self.count + 1} cannot be message {self.names.text(mid)}, which {why}")

    def latest(self, events: int) -> int:
        """When the last of a set of events happened (ns)."""
        latest = 0
        while events:
            number = events.bit_length() - 1
            latest = max(latest, self.times[number])
            events ^= 1 << number
        return latest

    def trace(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        if self.observer is not None:
            for about, mode in self.observer(port, tracepoint):
                self.observed[about] = self.observed.get(about, 0) | mode
        if isinstance(tracepoint, Contention):
            self.contention.append((port.address, tracepoint))
        super().trace(port, tracepoint)

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
