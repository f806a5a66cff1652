"""What executions came to, beside what is wrong with them: how often each outcome, and what was tried at all."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gupsim.explore.subject import ScenarioSubject, Subject, scenario_of
from gupsim.outcomes import Evidence, Witness, observables
from gupsim.search.execution import Execution


class Outcomes(msgspec.Struct, array_like=True):
    """states: each final outcome, as herd7 writes it, with the number of executions that end so. evidence: what was
    tried in any of them."""

    states: dict[str, int] = {}
    evidence: Evidence = msgspec.field(default_factory=Evidence)

    def join(self, other: Outcomes) -> None:
        """What others saw."""
        for state, count in other.states.items():
            self.states[state] = self.states.get(state, 0) + count
        self.evidence.join(other.evidence)


def looker(subject: Subject) -> Callable[[Execution, Outcomes], None]:
    """Enters one execution of the subject."""
    observed = None
    if isinstance(subject, ScenarioSubject) and subject.states:
        observed = observables(scenario_of(subject)).outcome

    def look(execution: Execution, seen: Outcomes) -> None:
        witness = execution.state
        if not isinstance(witness, Witness) or execution.cut:
            return
        seen.evidence.add(witness)
        if observed is not None:
            state = observed(witness)
            seen.states[state] = seen.states.get(state, 0) + 1

    return look
