"""What one history shows: results, the claims of the file, and what it did not try."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from gupsim.outcomes.evidence import Evidence, gaps
from gupsim.outcomes.observables import is_about_results, observables
from gupsim.outcomes.witness import Witness
from gupsim.scenario.choices import ChoiceError, Kernel, kernel, settings_of
from gupsim.scenario.claims import claims_of, result_names
from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.goals import goal_of
from gupsim.scenario.load import load_form
from gupsim.scenario.model import Scenario
from gupsim.trace.records import Header


class Shown(msgspec.Struct, frozen=True):
    """results: of the steps that have names. ended_with: what the scenario says it is about, if it does. claims: those
    of the file under this kernel, and whether the history shows them. notes: what it did not try."""

    results: dict[str, str] = {}
    ended_with: dict[str, str] = {}
    claims: dict[str, bool] = {}
    notes: tuple[str, ...] = ()


def shown(scenario: Scenario, chosen: Kernel, witness: Witness, kinds: Collection[str]) -> Shown:
    """kinds: of the violations in the history."""
    names = {name: found[0] for name, found in result_names(scenario).items()}
    watched = observables(scenario)
    claims = claims_of(goal_of(scenario, chosen).texts)
    return Shown(
        results=watched.named(witness),
        ended_with=dict(watched.values(witness)) if is_about_results(scenario) else {},
        claims={text: witness.holds(claim, names, kinds) for text, claim in claims.items()},
        notes=tuple(_notes(scenario, chosen, witness, sound=not kinds)),
    )


def shown_by(header: Header, witness: Witness, kinds: Collection[str]) -> Shown:
    """As `shown`, for a history of which only the trace is known; nothing if this version cannot read its scenario."""
    try:
        scenario = load_form(header.source).scenario
        settings = settings_of(header.kernel, header.platform, header.policies, header.rules)
        chosen = kernel(header.kernel, header.policies, settings.items(), platform=header.platform)
    except (ScenarioError, ChoiceError):
        return Shown()
    return shown(scenario, chosen, witness, kinds)


def _notes(scenario: Scenario, chosen: Kernel, witness: Witness, *, sound: bool) -> Iterator[str]:
    """sound: the history shows no violation, and what was not tried might be the reason."""
    evidence = Evidence()
    evidence.add(witness)
    for gap in gaps(scenario, chosen, evidence, once=True):
        if sound or gap.what in ("policy", "rule"):
            yield gap.says
