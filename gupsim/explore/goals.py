"""Whether a search confirmed what a scenario file expects."""

from __future__ import annotations

import msgspec

from gupsim.explore.tally import Tally
from gupsim.outcomes.evidence import Gap
from gupsim.scenario.goals import Goal


class Expected(msgspec.Struct, frozen=True):
    """One expectation and what became of it. kind: of a violation, or a claim as text. expect: "reachable" or
    "unreachable". held: None if undecided.

    verdict: "found" shows it; "proved": the complete search never did; "vacuous": it never did, but something was never
    tried; "undecided" otherwise.
    """

    kernel: str
    kind: str
    expect: str
    verdict: str
    held: bool | None


class Outcome(msgspec.Struct, frozen=True):
    """A goal and the search for it. replays: by kind, the file that repeats its first violation. gaps: what a complete
    search does not rest on."""

    goal: Goal
    tally: Tally
    replays: dict[str, str] = {}
    gaps: tuple[Gap, ...] = ()

    @property
    def vacuous(self) -> bool:
        """True if that nothing was found means nothing."""
        return not self.goal.reason and any(gap.vacuous for gap in self.gaps)

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
            return False if self.tally.found or self.vacuous else self.tally.complete or None
        held = [expected.held for expected in self.expected]
        return False if False in held else None if None in held else True

    @property
    def verdict(self) -> str:
        """In a word: "held", "failed", "vacuous", "undecided"; for a goal that expects nothing "safe" or "violated"."""
        if self.held is None:
            return "undecided"
        wrong = [expected for expected in self.expected if expected.held is False]
        if not self.held and "actor-failed" not in self.tally.found:
            if self.goal.open and not self.tally.found:
                return "vacuous"
            if wrong and all(expected.verdict == "vacuous" for expected in wrong):
                return "vacuous"
        if self.goal.open:
            return "safe" if self.held else "violated"
        return "held" if self.held else "failed"

    def _judged(self, title: str, kind: str, expect: str) -> Expected:
        if kind in self.tally.found:
            return Expected(title, kind, expect, "found", expect == "reachable")
        if self.tally.complete and self.vacuous and expect == "unreachable":
            return Expected(title, kind, expect, "vacuous", held=False)
        if self.tally.complete:
            return Expected(title, kind, expect, "proved", expect == "unreachable")
        return Expected(title, kind, expect, "undecided", None)
