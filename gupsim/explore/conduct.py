"""The searches that come in parts, and the loop that gives the parts out and takes the answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

from gupsim.explore.errors import WorkersGone
from gupsim.explore.garbage import less_collected
from gupsim.explore.jobs import Work
from gupsim.explore.pools import Pool, Window
from gupsim.explore.subject import Subject
from gupsim.explore.tally import Tally, checked, enough
from gupsim.explore.traces import BYTES
from gupsim.explore.tree import Branch, Tree
from gupsim.explore.wire import Answer, Draw, Unpacker

T = TypeVar("T")

Leaves: TypeAlias = tuple[list[Branch], int]
"""What belongs to a job of a tree: its leaves and its budget."""

WINDOW: Final = 16
"""Jobs under way, for any number of workers: the search must not depend on that. Enough for eight."""
FEW: Final = 6
"""Jobs under way that are too few: then leaves are given out although they make no job of the usual size."""
EVENTS: Final = 8_000
"""Events in the executions of a job: 0.1 seconds of work, beside some milliseconds for its way there and back. Of the
time that S01 takes two workers, twice as much saves 3 %, but costs eight workers 15 %."""
BUDGET: Final = 96
"""Executions in a draw."""
_FIRST_BUDGET: Final = 4
_LEAVES: Final = 64
"""Most leaves in a job."""


class Limits(msgspec.Struct, frozen=True):
    """Where a search, or the rest of one that goes on, ends before it is complete. executions; seconds: real time."""

    executions: int | None = None
    seconds: float | None = None

    def say(self) -> str:
        """ "the limit of 1,000 executions"."""
        if self.executions is not None:
            return f"the limit of {self.executions:,} executions"
        return f"the limit of {self.seconds:g} s" if self.seconds is not None else ""


class OutOfTime(Exception):
    """The limit of time was reached while a job was under way."""


class Interrupted(Exception):
    """Ctrl-C."""


class Parted(Protocol[T]):
    """A search that comes in parts. finished: from 0 to 1, 0 if nobody can say. T: what belongs to a job."""

    tally: Tally

    @property
    def finished(self) -> float: ...

    def fill(self, window: Window[T], allowed: int | None) -> None:
        """Give out jobs of at most `allowed` executions together."""

    def take(self, ticket: T, answer: Answer) -> None:
        """An answer is there."""

    @property
    def empty(self) -> bool:
        """True if nothing is left that is not under way."""

    def give_back(self) -> None:
        """What is under way will not come."""


class TreeSearch:
    """Optimal DPOR in parts. wanted: kinds after which nobody needs to look further."""

    def __init__(self, subject: Subject, wanted: list[str]) -> None:
        self.subject = subject
        self.wanted = wanted
        self.tally = Tally("dpor", promise="every interleaving, one of each class that differs in nothing that matters")
        self.tree = Tree()
        self.traces: set[bytes] = set()
        self._promised = 0
        self._planned = 1  # leaves in the tree, as far as known without looking
        self._leaf_events = EVENTS  # below a leaf, lately

    @property
    def finished(self) -> float:
        return self.tree.finished

    def fill(self, window: Window[Leaves], allowed: int | None) -> None:
        """Give out jobs of the usual size; smaller ones only if too few are under way."""
        usual = min(max(EVENTS // self._leaf_events, 1), _LEAVES)
        under_way = window.size - window.room
        if under_way >= FEW and (self._planned < usual or window.room < window.size // 2):
            return  # to look through the tree takes time
        planned = self.tree.planned()
        while planned and window.room:
            missing = FEW - (window.size - window.room)
            if missing <= 0 and len(planned) < usual:
                break
            size = min(usual, max(len(planned) // missing, 1)) if missing > 0 else usual
            budget = self._budget if allowed is None else min(self._budget, allowed - self._promised)
            if budget <= 0:
                break
            leaves, planned = planned[:size], planned[size:]
            job = self.tree.job(self.subject, leaves, budget, self.wanted)
            self._promised += budget
            window.add((leaves, budget), msgspec.msgpack.encode(Work(job=job)))
        self._planned = len(planned)

    def take(self, ticket: Leaves, answer: Answer) -> None:
        """Some leaves were explored."""
        leaves, budget = ticket
        self._promised -= budget
        tables = Unpacker(answer.tables, self.tree.names, self.tree.objects)
        for leaf, part in zip(leaves, answer.parts, strict=True):
            self._planned += self.tree.take(leaf, part, tables)
            if part.executions:
                self._leaf_events = max(self._leaf_events + (part.events - self._leaf_events) // 8, 1)
            self.tally.add(part, tables, self.tree.names)
            for start in range(0, len(part.traces), BYTES):
                self.traces.add(part.traces[start : start + BYTES])
        tally = self.tally
        tally.traces = len(self.traces)
        tally.redundant = tally.executions - tally.blocked - tally.traces

    @property
    def _budget(self) -> int:
        """Executions of the next job: some at first, so that others soon have something to do."""
        tally = self.tally
        return min(_FIRST_BUDGET + tally.executions // 4, 1 + EVENTS * tally.executions // max(tally.events, 1))

    @property
    def empty(self) -> bool:
        return not self.tree.planned()

    def give_back(self) -> None:
        """What is under way is planned again."""
        self._promised = 0
        self.tree.give_back()


class DrawnSearch:
    """A random strategy, in draws of `size` executions, each with a seed of its own."""

    def __init__(self, subject: Subject, wanted: list[str], strategy: str, seed: int, size: int = BUDGET) -> None:
        self.subject = subject
        self.wanted = wanted
        self.seed = seed
        self.size = size
        self.drawn = 0
        self.tally = Tally(strategy)
        self.tree = Tree()  # for the names only
        self._promised = 0
        self._given = 0

    finished = 0.0
    empty = False

    def fill(self, window: Window[int], allowed: int | None) -> None:
        """As many draws as there is room for."""
        while window.room:
            budget = self.size if allowed is None else min(self.size, allowed - self._promised)
            if budget <= 0:
                return
            self._promised += budget
            draw = Draw(self.subject, self.tally.strategy, self.seed, self.drawn, budget, self.wanted)
            self.drawn += 1
            self._given += 1
            window.add(budget, msgspec.msgpack.encode(Work(draw=draw)))

    def take(self, ticket: int, answer: Answer) -> None:
        """A draw is there."""
        self._given -= 1
        self._promised -= ticket
        tables = Unpacker(answer.tables, self.tree.names, self.tree.objects)
        for part in answer.parts:
            self.tally.add(part, tables, self.tree.names)
        self.tally.promise = answer.promise

    def give_back(self) -> None:
        """Draws under way are drawn again when the search goes on."""
        self.drawn -= self._given
        self._given = 0
        self._promised = 0


@less_collected()
def conduct(
    search: Parted[T],
    pool: Pool,
    limits: Limits,
    *,
    check: Callable[[], None] = lambda: None,
    progress: Callable[[Parted[T]], None] = lambda _: None,
    wanted: list[str],
) -> Tally:
    """Search until nothing is left, all that is wanted was found, or a limit is reached.

    check: called every now and then; raises KeyboardInterrupt for Ctrl-C, and then Interrupted comes out of here with
    the search fit to go on, as it is if WorkersGone comes out. progress: called after every answer.
    """
    tally = search.tally
    began = time.monotonic()
    wall_before, executions_before = tally.wall_s, tally.executions
    last = None if limits.executions is None else executions_before + limits.executions
    tally.why = ""

    def tick() -> None:
        try:
            check()
        except KeyboardInterrupt:
            raise Interrupted from None
        if limits.seconds is not None and time.monotonic() - began >= limits.seconds:
            raise OutOfTime

    window: Window[T] = Window(pool, WINDOW)
    try:
        while not tally.why and not tally.complete:
            search.fill(window, None if last is None else last - tally.executions)
            if window.empty:
                tally.complete = not tally.cut and not tally.blocked
                tally.why = "" if tally.complete else f"{tally.cut} executions were cut off"
                break
            ticket, answer = window.take(tick)
            decoded = msgspec.msgpack.decode(answer, type=Answer)
            checked(decoded.error)
            search.take(ticket, decoded)
            progress(search)
            if enough(wanted, tally.found):
                tally.why = "stopped at what was found"
            elif last is not None and tally.executions >= last:
                tally.why = limits.say()
    except OutOfTime:
        tally.why = limits.say()
    except (Interrupted, WorkersGone) as stop:
        tally.why = str(stop) or "interrupted"
        raise
    finally:
        tally.wall_s = wall_before + time.monotonic() - began
        window.close()
        search.give_back()
    if tally.why and tally.why == limits.say() and search.empty:
        # The last execution that was allowed was the last one that there is.
        tally.complete, tally.why = not tally.cut and not tally.blocked, ""
    return tally
