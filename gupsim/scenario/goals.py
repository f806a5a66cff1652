"""What a scenario file expects of which kernel."""

from __future__ import annotations

import msgspec

from gupsim.scenario.choices import Kernel, expected_kernel
from gupsim.scenario.claims import claim_text
from gupsim.scenario.model import Scenario


class Goal(msgspec.Struct, frozen=True):
    """One kernel to search under. reachable: kinds and claims, as texts, that some interleaving shows; unreachable:
    that none does. Both empty if the file expects nothing of this kernel: then any violation is news. reason: why a
    proof counts although something was never tried, "" if it does not."""

    kernel: Kernel
    reachable: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    reason: str = ""

    @property
    def open(self) -> bool:
        """True if nothing is expected."""
        return not self.reachable and not self.unreachable

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is expected, one way or the other."""
        return tuple(dict.fromkeys((*self.reachable, *self.unreachable)))


def goals_of(scenario: Scenario) -> tuple[Goal, ...]:
    """What the file expects, kernel by kernel; its own kernel if it expects nothing."""
    found = [
        Goal(
            expected_kernel(scenario, text),
            tuple(map(claim_text, expected.reachable)),
            tuple(map(claim_text, expected.unreachable)),
            expected.reason or scenario.reason,
        )
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
        next((goal.reason for goal in alike if goal.reason), scenario.reason),
    )
