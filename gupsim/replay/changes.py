"""What has changed since a recording was made: version, scenario, rules."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any, Final

from gupsim.actors.rules import KernelRules
from gupsim.replay.recording import Choice, Place, Recording
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import RULES, ChoiceError, Kernel, find_era, find_platform, find_value, kernel
from gupsim.scenario.errors import ScenarioError, quote
from gupsim.scenario.find import find
from gupsim.scenario.load import Loaded, load

_TOLD: Final = 4
"""Changes of one kind that are named; of more the number is said."""


def changed_version(recording: Recording) -> list[str]:
    """Another gupsim: its actors may do other things."""
    here = version("gupsim")
    return [] if recording.gupsim == here else [f"it was recorded by gupsim {quote(recording.gupsim)}, this is {here}"]


def current(place: Place) -> Loaded | None:
    """The scenario of this name as it is now; None if there is none here. ScenarioError if it cannot be read."""
    for name in (place.file, PurePosixPath(place.file).stem):
        # A recording comes from anywhere: it makes us read scenario files, and nothing else.
        if name == place.file and not name.endswith((".yaml", ".yml")):
            continue
        try:
            find(name)
        except ScenarioError:
            continue
        return load(name)
    return None


def changed_scenario(place: Place, now: Loaded | None) -> list[str]:
    """How the scenario of a recording differs from the one of its name."""
    if now is None or now.digest == place.digest:
        return []
    if place.kept:
        return [f"the scenario {now.file} has changed since (the recording has a part of it)"]
    parts = _different(place.form, file_form(now.scenario))
    said = f": {_list(parts)}" if parts else ""
    return [f"the scenario {now.file} has changed since{said}"]


def rules_of(choice: Choice) -> tuple[KernelRules | None, list[str]]:
    """The rules as recorded, None if this version lacks one; and how they differ from what is chosen so now."""
    unknown = [f"{rule}={value}" for rule, value in choice.rules.items() if not _exists(rule, value)]
    missing = [rule for rule in RULES if rule not in choice.rules]
    changes = [f"this version does not know {_list(unknown)}"] if unknown else []
    changes += [f"it was recorded without the rule {_list(missing)}"] if missing else []
    known: dict[str, Any] = {
        rule: find_value(rule, value) for rule, value in choice.rules.items() if _exists(rule, value)
    }
    rules = None if unknown or missing else KernelRules(**known)
    try:
        now = chosen_now(choice).rules
    except ChoiceError as error:
        return rules, [*changes, str(error)]
    other = [
        f"{rule} is {getattr(now, rule).value}, was {value.value}"
        for rule, value in known.items()
        if getattr(now, rule) is not value
    ]
    return rules, changes + ([f"the rules of {quote(choice.era)} have changed since: {_list(other)}"] if other else [])


def chosen_now(choice: Choice) -> Kernel:
    """The same era, platform, policies and settings in this version; ChoiceError if one of them is no more."""
    # A setting of the scenario that a policy of the command line overrode is not in force.
    settings = [(rule, value) for rule, value in choice.settings if choice.rules.get(rule) == value]
    return kernel(choice.era, choice.policies, settings, platform=choice.platform)


def kernel_as_recorded(choice: Choice, rules: KernelRules) -> Kernel:
    """The kernel of a recording; ChoiceError if its era or its platform is unknown here."""
    era = find_era(choice.era)
    return Kernel(era, choice.policies, choice.settings, rules, find_platform(choice.platform, era))


def _exists(rule: str, value: str) -> bool:
    try:
        find_value(rule, value)
    except ChoiceError:
        return False
    return True


def _different(before: Mapping[str, object], now: Mapping[str, object], path: str = "") -> list[str]:
    """Dotted names of what differs in two canonical forms."""
    names: list[str] = []
    for name in dict.fromkeys((*before, *now)):
        one, two = before.get(name), now.get(name)
        if one == two:
            continue
        at = f"{path}{name}"
        if isinstance(one, dict) and isinstance(two, dict):
            names += _different(one, two, f"{at}.")
        else:
            names.append(at)
    return names


def _list(items: list[str]) -> str:
    shown = ", ".join(item if len(item) <= 100 else f"{item[:97]}..." for item in items[:_TOLD])
    return shown + (f" and {len(items) - _TOLD} more" if len(items) > _TOLD else "")
