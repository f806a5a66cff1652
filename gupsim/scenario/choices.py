"""Which kernel a history runs under: an era on a platform, changed by policies, changed by single rules."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gupsim.actors.rules import ERAS, PLATFORMS, POLICIES, X86, KernelRules, RuleValue
from gupsim.scenario.errors import quote, unknown
from gupsim.scenario.model import Scenario

RULES: dict[str, type[RuleValue]] = typing.get_type_hints(KernelRules)
"""Every rule with its enum."""


class ChoiceError(ValueError):
    """An era, platform, policy, rule or value that does not exist, or choices that contradict each other."""


class Kernel(msgspec.Struct, frozen=True):
    """One kernel and how it was chosen.

    settings: single rules that were set beyond era and policies, in the order given.
    """

    era: str
    policies: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    rules: KernelRules
    platform: str = X86

    def title(self) -> str:
        """ "v4.20 + bounce + debug_vm=on"; the platform comes second, if it is another than plain x86."""
        platform = () if self.platform == X86 else (self.platform,)
        settings = (f"{rule}={value}" for rule, value in self.settings)
        return " + ".join((self.era, *platform, *self.policies, *settings))


def find_era(name: str) -> str:
    """ "v6.12" for "v6.12" and "6.12"; ChoiceError for a kernel that there is no preset for."""
    era = name if name in ERAS else f"v{name}"
    if era in ERAS:
        return era
    raise ChoiceError(unknown("kernel", name, ERAS, close=_before(name)) + _covered(name))


def _covered(name: str) -> str:
    """Which era is to be taken for a release that is none, and how sure that is."""
    before = _before(name)
    if not before:
        return ""
    after = [other for other in ERAS if _release(other) > _release(name)]
    upto = f"{after[0]} is the next one" if after else "it is the newest one"
    return f"; {before} covers {name}, as far as the model knows a difference ({upto})"


def _before(name: str) -> str:
    """The era whose release is the last one before this; "" if there is none, or it is no release. What a stable tree
    got, the next release does not come from."""
    wanted = _release(name)
    older = [
        era
        for era in ERAS
        if wanted and _release(era) <= wanted and (_release(era)[:2] == wanted[:2] or not _release(era)[2])
    ]
    return max(older, key=_release, default="")


def _release(name: str) -> tuple[int, ...]:
    match = re.fullmatch(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", name)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def find_platform(name: str, era: str = "") -> str:
    """The platform itself; ChoiceError if there is none, or none of that name in the era."""
    if name not in PLATFORMS:
        raise ChoiceError(unknown("platform", name, PLATFORMS))
    platform = PLATFORMS[name]
    if era and not platform.exists_in(era):
        raise ChoiceError(f"there is no {name} in {era}: {platform.since} (it exists in {', '.join(platform.eras)})")
    return name


def find_policy(name: str) -> str:
    """The policy itself; ChoiceError if there is none."""
    if name not in POLICIES:
        raise ChoiceError(unknown("policy", name, POLICIES))
    return name


def find_value(rule: str, value: str) -> RuleValue:
    """One value of a rule; ChoiceError for an unknown rule or value."""
    if rule not in RULES:
        raise ChoiceError(unknown("rule", rule, RULES))
    values = {str(member.value): member for member in RULES[rule]}
    if value not in values:
        raise ChoiceError(unknown(f"value of rule {rule}", value, values))
    return values[value]


def split_setting(text: str) -> tuple[str, str]:
    """ "writeback_pinned=bounce" in two; ChoiceError if it is not of that form or unknown."""
    rule, equals, value = text.partition("=")
    if not equals:
        raise ChoiceError(f"{quote(text)} is not a setting: expected rule=value, as writeback_pinned=bounce")
    find_value(rule.strip(), value.strip())
    return rule.strip(), value.strip()


def kernel(
    era: str,
    policies: Sequence[str] = (),
    settings: Iterable[tuple[str, str]] = (),
    *,
    platform: str = X86,
    base_policies: Sequence[str] = (),
    base_settings: Mapping[str, str] | None = None,
) -> Kernel:
    """The rules of an era on a platform, changed first by the scenario's own choices, then by the command line's.

    base_policies, base_settings: the scenario's. What is chosen later wins; within one layer two policies, or two
    settings, that want different values of one rule contradict each other: ChoiceError.
    """
    era = find_era(era)
    changes = PLATFORMS[find_platform(platform, era)].changes(era)
    base = tuple((base_settings or {}).items())
    given = tuple(dict.fromkeys(settings))
    changes |= _of_policies(base_policies)
    changes |= _of_settings(base)
    changes |= _of_policies(policies)
    changes |= _of_settings(given)
    return Kernel(
        era=era,
        policies=tuple(dict.fromkeys((*base_policies, *policies))),
        settings=tuple({**dict(base), **dict(given)}.items()),
        rules=msgspec.structs.replace(ERAS[era][0], **changes),
        platform=platform,
    )


def _of_policies(policies: Iterable[str]) -> dict[str, RuleValue]:
    changes: dict[str, RuleValue] = {}
    by: dict[str, str] = {}
    for policy in dict.fromkeys(policies):
        for rule, value in POLICIES[find_policy(policy)][0].items():
            if changes.get(rule, value) != value:
                raise ChoiceError(f"policies {by[rule]!r} and {policy!r} contradict each other in rule {rule}")
            changes[rule], by[rule] = value, policy
    return changes


def _of_settings(settings: Iterable[tuple[str, str]]) -> dict[str, RuleValue]:
    changes: dict[str, RuleValue] = {}
    for rule, text in settings:
        value = find_value(rule, text)
        if changes.get(rule, value) != value:
            raise ChoiceError(f"rule {rule} is set twice: to {changes[rule].value} and to {text}")
        changes[rule] = value
    return changes


def settings_of(era: str, platform: str, policies: Sequence[str], rules: Mapping[str, str]) -> dict[str, str]:
    """The rules that were set beyond era, platform and policies, as the header of a trace tells; all of them for an
    era that this version does not know."""
    try:
        plain = kernel(era, policies, platform=platform).rules
    except ChoiceError:
        return dict(rules)
    return {rule: value for rule, value in rules.items() if rule in RULES and getattr(plain, rule).value != value}


def kernel_of(
    text: str,
    default_era: str,
    default_platform: str = X86,
    *,
    base_policies: Sequence[str] = (),
    base_settings: Mapping[str, str] | None = None,
) -> Kernel:
    """The kernel that an expectation names. default_era, default_platform: if it names none. base_policies,
    base_settings: the scenario's, as of `kernel`."""
    era, platform, policies, settings = parts_of(text)
    return kernel(
        era or default_era,
        policies,
        settings,
        platform=platform or default_platform,
        base_policies=base_policies,
        base_settings=base_settings,
    )


def parts_of(text: str) -> tuple[str, str, list[str], list[tuple[str, str]]]:
    """Era, platform ("" where none is named), policies and settings of a kernel, its parts in any order: "v4.20",
    "bounce", "arm64 + v4.20 + bounce", "v5.19 + debug_vm=on"."""
    era, platform = "", ""
    policies: list[str] = []
    settings: list[tuple[str, str]] = []
    for part in (piece.strip() for piece in text.split("+")):
        if "=" in part:
            settings.append(split_setting(part))
        elif part in ERAS or f"v{part}" in ERAS:
            if era:
                raise ChoiceError(f"{quote(text)} names two kernels, {era} and {part}")
            era = find_era(part)
        elif part in PLATFORMS:
            if platform:
                raise ChoiceError(f"{quote(text)} names two platforms, {platform} and {part}")
            platform = part
        elif part in POLICIES:
            policies.append(part)
        else:
            names = (*ERAS, *PLATFORMS, *POLICIES)
            raise ChoiceError(unknown("kernel, platform or policy", part, names) + _covered(part))
    return era, platform, policies, settings


def expected_kernel(scenario: Scenario, text: str) -> Kernel:
    """The kernel that an expectation of a scenario names, on top of what the scenario itself chooses."""
    return kernel_of(
        text,
        scenario.kernel,
        scenario.platform,
        base_policies=scenario.policies,
        base_settings=scenario.rules,
    )
