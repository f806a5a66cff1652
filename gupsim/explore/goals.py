"""What a scenario file expects of which kernel, and whether a search confirmed it."""

from __future__ import annotations

import msgspec

from gupsim.explore.tally import ANY, Tally
from gupsim.scenario.choices import Kernel, expected_kernel
from gupsim.scenario.model import Scenario


class Goal(msgspec.Struct, frozen=True):
    """One kernel to search under. reachable: kinds that some interleaving shows; unreachable: kinds that none does.
    Both empty if the file expects nothing of this kernel: then any violation is news."""

    kernel: Kernel
    reachable: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """True if nothing is expected."""
        return not self.reachable and not self.unreachable

    def wanted(self, *, keep_going: bool) -> list[str]:
        """The kinds after which the search may stop, [] if it must not: the first of each kind that counts."""
        if keep_going:
            return []
        return [*dict.fromkeys((*self.reachable, *self.unreachable))] or [ANY]


class Expected(msgspec.Struct, frozen=True):
    """One expectation and what became of it. expect: "reachable" or "unreachable". held: None if undecided.

    verdict: "found" shows the kind; "proved": the complete search never did; "undecided" otherwise.
    """

    kernel: str
    kind: str
    expect: str
    verdict: str
    held: bool | None


class Outcome(msgspec.Struct, frozen=True):
    """A goal and the search for it. replays: by kind, the file that repeats its first violation."""

    goal: Goal
    tally: Tally
    replays: dict[str, str] = {}

    @property
    def expected(self) -> tuple[Expected, ...]:
        """Each expectation of the goal."""
        title = self.goal.kernel.title()
        both = (("reachable", self.goal.reachable), ("unreachable", self.goal.unreachable))
        return tuple(self._judged(title, kind, expect) for expect, kinds in both for kind in kinds)

    @property
    def held(self) -> bool | None:
        """True if all that was expected is so, False if something is not, None if a limit came first."""
        if "actor-failed" in self.tally.found:
            return False
        if self.goal.open:
            return False if self.tally.found else self.tally.complete or None
        held = [expected.held for expected in self.expected]
        return False if False in held else None if None in held else True

    @property
    def verdict(self) -> str:
        """In a word: "held", "failed", "undecided"; for a goal that expects nothing "safe" or "violated"."""
        if self.held is None:
            return "undecided"
        if self.goal.open:
            return "safe" if self.held else "violated"
        return "held" if self.held else "failed"

    def _judged(self, title: str, kind: str, expect: str) -> Expected:
        if kind in self.tally.found:
            return Expected(title, kind, expect, "found", expect == "reachable")
        if self.tally.complete:
            return Expected(title, kind, expect, "proved", expect == "unreachable")
        return Expected(title, kind, expect, "undecided", None)


def goals_of(scenario: Scenario) -> tuple[Goal, ...]:
    """What the file expects, kernel by kernel; its own kernel if it expects nothing."""
    found = [
        Goal(expected_kernel(scenario, text), expected.reachable, expected.unreachable)
        for text, expected in scenario.expectations.items()
    ]
    return tuple(found)


def goal_of(scenario: Scenario, kernel: Kernel) -> Goal:
    """One kernel, with what the file expects of kernels with the same rules."""
    alike = [goal for goal in goals_of(scenario) if goal.kernel.rules == kernel.rules]
    return Goal(
        kernel,
        tuple(dict.fromkeys(kind for goal in alike for kind in goal.reachable)),
        tuple(dict.fromkeys(kind for goal in alike for kind in goal.unreachable)),
    )
