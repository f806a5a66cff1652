"""Making a failing execution small, without ever making any side of it worse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from gupsim.replay.case import Case
from gupsim.replay.errors import Diverged, NotReproduced
from gupsim.replay.guide import InTurns, Preferred, Strict
from gupsim.replay.history import History, Sought, play
from gupsim.replay.shape import merges, smooth, turns_of
from gupsim.search.guide import Alike, Guide
from gupsim.search.runs import Runs

LIMIT: Final = 3_000
"""Executions that a minimisation takes at most; the same on every machine, and so is its result."""

LONG: Final = 3_000
"""Events above which no smoother order is sought: that takes time with their square."""

SECONDS: Final = 120.0
"""A second bound, for very large worlds. Where it strikes, the result depends on the machine, and says so."""


class Size(msgspec.Struct, frozen=True, order=True):
    """How large an execution is, the most important first."""

    threads: int
    steps: int
    switches: int
    events: int

    def within(self, other: Size) -> bool:
        """True if nothing is larger, and something is smaller."""
        mine, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return mine != others and all(one <= two for one, two in zip(mine, others, strict=True))


class Minimised(msgspec.Struct, frozen=True):
    """The smallest execution found. before, after: sizes. executions: tried. limited: "" or why it ended early.

    runs: of `case`; `history` is among its names.
    """

    case: Case
    runs: Runs
    history: History
    before: Size
    after: Size
    executions: int
    limited: str


Progress = Callable[["Minimiser"], None]


class Minimiser:
    """Shrinks one execution: first to what the violation depends on, then the scenario, then the switches.

    Whatever is accepted shows the violation and is recorded anew from what really happened. Deterministic.
    size: of the smallest so far. executions: tried so far. progress: called after each of them.
    """

    def __init__(self, target: Sought, *, limit: int = LIMIT, seconds: float = SECONDS) -> None:
        self.target = target
        self.limit = limit
        self.executions = 0
        self.limited = ""
        self.size = Size(0, 0, 0, 0)
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self.progress: Progress | None = None

    def stop(self, reason: str) -> None:
        """No more tries: the smallest so far is the result."""
        self.limited = reason

    def shrink(self, case: Case, runs: Runs, history: History) -> Minimised:
        """The smallest execution found from `history`, which shows the violation."""
        if history.found is None:
            raise NotReproduced("there is no violation in the execution that is to be minimised")
        before = self.size = _size(case, history)
        best = self._reduced(case, runs, history)
        smaller = self._smaller(case, best)
        while smaller is not None:
            case, runs, best = smaller
            smaller = self._smaller(case, best)
        best = self._fewer_switches(case, runs, best)
        return Minimised(case, runs, best, before, _size(case, best), self.executions, self.limited)

    def _smaller(self, case: Case, best: History) -> tuple[Case, Runs, History] | None:
        """The first scenario with a thread or a step less that still shows it."""
        for other in case.smaller():
            runs = Runs(other.program)
            for history in self._candidates(runs, best):
                small = self._reduced(other, runs, history)
                if not _size(other, small).within(_size(case, best)):
                    small = self._fewer_switches(other, runs, small)
                if _size(other, small).within(_size(case, best)):
                    self.size = _size(other, small)
                    return other, runs, small
        return None

    def _candidates(self, runs: Runs, best: History) -> Iterator[History]:
        """Executions of a smaller program that show it: like the best one, in the same turns, or the first found."""
        for guide in (Alike(best.labels), InTurns(turns_of(best))):
            history = self._try(runs, guide)
            if history is not None:
                yield history

    def _reduced(self, case: Case, runs: Runs, history: History) -> History:
        """Without what the violation does not depend on, and in the smoothest order of the rest."""
        if history.at is not None:
            history = self._better(case, history, self._try(runs, Strict(history.cone())))
        if len(history) > LONG:
            return history
        return self._better(case, history, self._try(runs, Strict(smooth(history))))

    def _fewer_switches(self, case: Case, runs: Runs, best: History) -> History:
        """Other traces, in which a context is not interrupted where it was."""
        again = True
        while again and not self.limited:
            again = False
            for wish in merges(best):
                history = self._try(runs, Preferred((), wish))
                if history is None:
                    continue
                history = self._reduced(case, runs, history)
                if _size(case, history).within(_size(case, best)):
                    best = history
                    again = True
                    break
        return best

    def _better(self, case: Case, old: History, new: History | None) -> History:
        return new if new is not None and _size(case, new).within(_size(case, old)) else old

    def _try(self, runs: Runs, guide: Guide) -> History | None:
        """One more execution; None if it does not show the violation, or if there have been enough."""
        if self.limited:
            return None
        if self.executions >= self.limit:
            self.limited = f"ended after {self.limit} executions"
            return None
        if time.monotonic() > self._end:
            self.limited = f"ended after {self._seconds:g} seconds"
            return None
        self.executions += 1
        try:
            history = play(runs, guide, self.target)
        except Diverged:
            return None
        finally:
            if self.progress is not None:
                self.progress(self)
        return history if history.found is not None else None


def _size(case: Case, history: History) -> Size:
    return Size(*case.size, history.switches, len(history))
