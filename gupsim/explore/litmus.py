"""The table of outcomes, in the words and the layout of herd7 and litmus7."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gupsim.explore.goals import Outcome
from gupsim.scenario.goals import Goal

_CUT = 3
"""Columns between the number of an outcome and its marker."""


class Observation(msgspec.Struct, frozen=True):
    """How many executions show a claim and how many do not, and what the file expects of it."""

    claim: str
    expect: str
    yes: int
    no: int
    complete: bool

    @property
    def word(self) -> str:
        """ "Never", "Sometimes" or "Always"."""
        if not self.yes:
            return "Never"
        return "Sometimes" if self.no else "Always"

    @property
    def held(self) -> bool | None:
        """None as long as it can still change."""
        if self.yes:
            return self.expect != "unreachable"
        return self.expect != "reachable" if self.complete else None


def observations(outcome: Outcome) -> Iterator[Observation]:
    """One for each claim of the goal."""
    tally = outcome.tally
    for expect in ("reachable", "unreachable"):
        for claim in getattr(outcome.goal, expect):
            seen = tally.found.get(claim)
            yes = seen.executions if seen is not None else 0
            yield Observation(claim, expect, yes, tally.executions - yes, tally.complete)


def table(name: str, outcome: Outcome) -> Iterator[str]:
    """The lines for one kernel."""
    tally, goal = outcome.tally, outcome.goal
    required = "Forbidden" if goal.unreachable and not goal.reachable else "Allowed"
    yield f"Test {name} {required}"
    yield f"Kernel {goal.kernel.title()}"
    yield f"States {len(tally.outcomes.states)}"
    counts = sorted(tally.outcomes.states.items())
    width = max([len(f"{count}") for _, count in counts], default=1) + _CUT
    for state, count in counts:
        yield f"{count:<{width}}:>{state}"
    for observed in observations(outcome):
        yield {True: "Ok", False: "No", None: "Undecided"}[observed.held]
        yield "Witnesses"
        yield f"Positive: {observed.yes} Negative: {observed.no}"
        yield f"Condition {'~' if observed.expect == 'unreachable' else ''}exists ({_condition(observed.claim)})"
        yield f"Observation {name} {observed.word} {observed.yes} {observed.no}"
    if not tally.complete:
        yield f"Incomplete: {tally.why}"


def table_json(name: str, outcome: Outcome) -> dict[str, Any]:
    """The same for --json."""
    return {
        "test": name,
        "kernel": outcome.goal.kernel.title(),
        "complete": outcome.tally.complete,
        "states": [
            {"outcome": state, "traces": count} for state, count in sorted(outcome.tally.outcomes.states.items())
        ],
        "observations": [
            {
                "claim": observed.claim,
                "expect": observed.expect,
                "observation": observed.word,
                "positive": observed.yes,
                "negative": observed.no,
                "held": observed.held,
            }
            for observed in observations(outcome)
        ],
    }


def test_name(file: str) -> str:
    """What herd7 would call the test: the name of the file."""
    return Path(file).stem.replace(" ", "_") or "test"


def with_claims(goal: Goal, reachable: tuple[str, ...], unreachable: tuple[str, ...]) -> Goal:
    """A goal about these claims instead of what the file expects."""
    if not reachable and not unreachable:
        return goal
    return msgspec.structs.replace(goal, reachable=reachable, unreachable=unreachable)


def _condition(claim: str) -> str:
    return claim.replace(" & ", " /\\ ")
