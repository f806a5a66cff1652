"""Which message comes next: as recorded, or as nearly as recorded as the world allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gupsim.engine.core import Item
from gupsim.replay.errors import Diverged
from gupsim.replay.recording import Schedule, described
from gupsim.search.core import ExploredCore
from gupsim.search.guide import Guide, Label, kind_of, label_of


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
