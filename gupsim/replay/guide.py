"""Which message comes next: as recorded, or as nearly as recorded as the world allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from gupsim.engine.core import Item
from gupsim.engine.task import Part, Task
from gupsim.replay.errors import Diverged
from gupsim.replay.recording import Schedule, described
from gupsim.search.core import ExploredCore
from protocol.message import Message


class Label(NamedTuple):
    """What an event is, without its name: context, message class ("" for a wake) and address."""

    context: str
    kind: str
    dst: str


class Guide(Protocol):
    """Chooses the next delivery."""

    def choose(self, core: ExploredCore) -> int | None:
        """A pending mid, or None to end here. `core.pending` is not empty."""

    def end(self, core: ExploredCore) -> None:
        """The execution has ended; Diverged if it should not have."""
        return


class Strict(Guide):
    """Exactly these messages, then nothing more. Diverged if one is not possible, or is not what it was.

    schedule: what each of them is, and whether anything comes after the last one.
    """

    def __init__(self, mids: Sequence[int], schedule: Schedule | None = None) -> None:
        self._mids = mids
        self._schedule = schedule

    def choose(self, core: ExploredCore) -> int | None:
        number = core.count
        if number == len(self._mids):
            if self._schedule is not None and self._schedule.whole:
                raise Diverged(number + 1, "nothing: it ends here", _possible(core))
            return None
        mid = self._mids[number]
        expected = self._expected(number)
        delivery = core.pending.get(mid)
        if delivery is None or (expected is not None and (kind_of(delivery[0]), _dst(core, delivery[0])) != expected):
            raise Diverged(number + 1, _said(core, mid, expected), _possible(core))
        return mid

    def end(self, core: ExploredCore) -> None:
        number = core.count
        if number < len(self._mids):
            raise Diverged(number + 1, _said(core, self._mids[number], self._expected(number)), _possible(core))

    def _expected(self, number: int) -> tuple[str, str] | None:
        return described(self._schedule, number) if self._schedule is not None else None


class Fallback(Guide):
    """Exactly these messages as far as it goes, then always the oldest. left: where it left them, None if nowhere."""

    def __init__(self, mids: Sequence[int], schedule: Schedule) -> None:
        self._strict = Strict(mids, schedule)
        self._length = len(mids)
        self.left: Diverged | None = None

    def choose(self, core: ExploredCore) -> int | None:
        if self.left is None and core.count < self._length:
            try:
                return self._strict.choose(core)
            except Diverged as error:
                self.left = error
        return next(iter(core.pending))

    def end(self, core: ExploredCore) -> None:
        if self.left is None:
            try:
                self._strict.end(core)
            except Diverged as error:
                self.left = error


class Preferred(Guide):
    """First these messages exactly; then, of what is possible, what comes first among others; else the oldest."""

    def __init__(self, exactly: Iterable[int], then: Iterable[int] = ()) -> None:
        self._exactly = list(exactly)
        self._places = {mid: place for place, mid in enumerate(then)}

    def choose(self, core: ExploredCore) -> int | None:
        if core.count < len(self._exactly):
            mid = self._exactly[core.count]
            if mid not in core.pending:
                raise Diverged(core.count + 1, core.names.text(mid), _possible(core))
            return mid
        places = self._places
        return min(core.pending, key=lambda mid: places.get(mid, len(places)))


class Alike(Guide):
    """Messages of another world in the order in which their likes came: for a scenario that has lost a step.

    A message is like another if it is of the same class, to the same actor, in a context of the same name. One that
    has no like comes right after its cause.
    """

    def __init__(self, labels: Iterable[Label]) -> None:
        self._places: dict[Label, deque[int]] = {}
        for place, label in enumerate(labels):
            self._places.setdefault(label, deque()).append(place)
        self._came: dict[int, int] = {}

    def choose(self, core: ExploredCore) -> int | None:
        parents = core.names.parents
        best, best_place, found = -1, -1, None
        for mid, (item, _) in core.pending.items():
            places = self._places.get(label := label_of(core, item))
            place = places[0] if places else self._came.get(parents[mid], 0)
            if best < 0 or place < best_place:
                best, best_place, found = mid, place, label
        if found is not None and (places := self._places.get(found)):
            places.popleft()
        self._came[best] = best_place
        return best


class Turn(NamedTuple):
    """A context goes on for a while. starts: what starts it, if it has not begun. last: its last message in this turn,
    and how often one like it comes in it."""

    context: str
    starts: Label | None
    last: Label
    times: int


class InTurns(Guide):
    """Contexts in the order in which they had their turns, each for as long as it then took to come so far.

    For a scenario in which one step does now what another did before. After the last turn, the oldest first.
    """

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._turns = deque(turns)
        self._times = 0

    def choose(self, core: ExploredCore) -> int | None:
        labels = {mid: label_of(core, item) for mid, (item, _) in core.pending.items()}
        while self._turns:
            turn = self._turns[0]
            mid = next((mid for mid, label in labels.items() if label.context == turn.context), None)
            if mid is None and turn.starts is not None:
                mid = next((mid for mid, label in labels.items() if label == turn.starts), None)
            if mid is not None:
                self._times += labels[mid] == turn.last
                if self._times == turn.times:
                    self._next()
                return mid
            self._next()
        return next(iter(labels))

    def _next(self) -> None:
        self._turns.popleft()
        self._times = 0


def context_of(core: ExploredCore, item: Item) -> str:
    """The context for which a delivery goes on, without what makes its name unique: "h0/app", "h0/block/sda"; "" for
    a first message, which belongs to the context that it starts."""
    name = item[7]
    if not name and item[5] >= 0:
        waiting = core.ports[item[1]].waiting.get(item[5])
        if type(waiting) is Part:
            waiting = core.ports[item[1]].waiting.get(waiting.join.token)
        if type(waiting) is Task:
            name = waiting.context
    if not name:
        name = "" if item[2] < 0 else core.ports[item[1]].address
    return name.partition("<")[0]


def kind_of(item: Item) -> str:
    """Class of its message; "" for what an actor tells itself (a lock granted, a timer, a join)."""
    return type(item[4]).__name__ if isinstance(item[4], Message) else ""


def label_of(core: ExploredCore, item: Item) -> Label:
    """What a delivery is."""
    return Label(context_of(core, item), kind_of(item), _dst(core, item))


def _dst(core: ExploredCore, item: Item) -> str:
    return core.ports[item[1]].address


def _said(core: ExploredCore, mid: int, expected: tuple[str, str] | None) -> str:
    name = core.names.text(mid)
    if expected is None:
        return f"message {name}"
    return f"{expected[0] or 'a wake'} to {expected[1]} ({_short(name)})"


def _possible(core: ExploredCore) -> list[str]:
    return [
        f"{kind_of(item) or 'a wake'} to {_dst(core, item)} ({_short(core.names.text(mid))})"
        for mid, (item, _) in core.pending.items()
    ]


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:8]}...{name[-28:]}"
