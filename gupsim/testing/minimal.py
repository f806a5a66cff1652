"""The shortest schedule that still shows a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gupsim.search.core import ExploredCore
from gupsim.search.runs import Runs
from gupsim.testing.body import kind_of
from gupsim.testing.player import Chooser, History, following, leaving, play

BUDGET: Final = 150_000
"""Events that are spent on it, at most: a second or two."""
_WORLD: Final = 20
"""What it costs to build a world, in events."""


def minimal(runs: Runs, schedule: list[int]) -> History:
    """The schedule with the fewest interruptions, then context switches, then events, that was found.

    Two ways, and the better of the two results: undo one context switch of the failing schedule after the other;
    and leave the usual order (whoever is at work goes on) at no place, at one, at two places, until that fails.
    """
    best = play(runs, following(schedule, -1))
    kind = kind_of(best.execution.violations)
    left = BUDGET
    undone = True
    while undone and left > 0:
        undone = False
        mids = [event.mid for event in best.events]
        for number in _switches(best):
            other = play(runs, following(mids, number))
            left -= len(other.events) + _WORLD
            if _shows(other, kind) and other.cost < best.cost:
                best, undone = other, True
            if undone or left <= 0:
                break
    found = None
    for other in _near_the_usual(runs, left):
        if found is not None and len(other.deviations) > len(found.deviations):
            break
        if _shows(other, kind) and (found is None or other.cost < found.cost):
            found = other
    return found if found is not None and found.cost <= best.cost else best


def _switches(history: History) -> Iterator[int]:
    events = history.events
    for number in range(1, len(events)):
        if events[number].context != events[number - 1].context and events[number].open:
            yield number
    for number in range(1, len(events)):
        if events[number].context != events[number - 1].context and not events[number].open:
            yield number


def _near_the_usual(runs: Runs, budget: int) -> Iterator[History]:
    """Executions that leave the usual order nowhere, at one place, at two places, and so on."""
    level: list[dict[int, int]] = [{}]
    while level:
        following_level: list[dict[int, int]] = []
        for deviations in level:
            if budget <= 0:
                return
            begun = max(deviations, default=-1) + 1
            others: list[tuple[int, int]] = []
            history = play(runs, _noting(deviations, begun, others))
            budget -= len(history.events) + _WORLD
            yield history
            following_level += [{**deviations, number: mid} for number, mid in others]
        level = following_level


def _noting(deviations: dict[int, int], begun: int, others: list[tuple[int, int]]) -> Chooser:
    usual = leaving(deviations)

    def choose(core: ExploredCore, context: str, number: int) -> int:
        mid = usual(core, context, number)
        if number >= begun:
            others.extend((number, other) for other in core.pending if other != mid)
        return mid

    return choose


def _shows(history: History, kind: str) -> bool:
    violations = history.execution.violations
    return bool(violations) and kind_of(violations) == kind
