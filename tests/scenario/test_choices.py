"""A kernel is an era on a platform, changed by policies and single rules; later choices win, contradictions do not."""

import pytest

from gupsim.actors.rules import ERAS, PLATFORMS, POLICIES
from gupsim.scenario.choices import RULES, ChoiceError, expected_kernel, kernel, kernel_of, split_setting
from gupsim.scenario.load import load_text


def test_an_era_may_be_named_with_and_without_its_v() -> None:
    assert kernel("6.12").era == kernel("v6.12").era == "v6.12"
    assert kernel("v6.12").rules == ERAS["v6.12"][0]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_changes_exactly_its_rules(policy: str) -> None:
    before, after = kernel("v4.20").rules, kernel("v4.20", [policy]).rules
    changed = {rule for rule in RULES if getattr(before, rule) is not getattr(after, rule)}
    assert changed <= set(POLICIES[policy][0])
    assert all(getattr(after, rule) is value for rule, value in POLICIES[policy][0].items())


def changed_by(platform: str, era: str) -> dict[str, str]:
    before, after = kernel(era).rules, kernel(era, platform=platform).rules
    rules = {rule: (getattr(before, rule), getattr(after, rule)) for rule in RULES}
    return {rule: after.value for rule, (before, after) in rules.items() if before is not after}


@pytest.mark.parametrize(
    ("platform", "era", "changed"),
    [
        *(("x86", era, {}) for era in ERAS),
        ("x86-paravirt", "v3.17", {"tlb_flush": "paravirt"}),
        ("x86-paravirt", "v4.20", {"tlb_flush": "paravirt", "table_free": "rcu"}),
        ("x86-paravirt", "v6.12", {"tlb_flush": "paravirt", "table_free": "rcu"}),
        ("x86-paravirt", "v6.17", {"tlb_flush": "paravirt"}),
        ("x86-invlpgb", "v6.17", {"tlb_flush": "broadcast"}),
        ("arm64", "v3.17", {"tlb_flush": "broadcast", "fast_gup": "none"}),
        ("arm64", "v5.19", {"tlb_flush": "broadcast", "table_free": "rcu"}),
        ("arm-nospecial", "v4.20", {"tlb_flush": "broadcast", "table_free": "rcu", "pte_special": "no"}),
        ("pae32", "v4.20", {"pte_read": "looped"}),
        ("pae32", "v6.17", {"pte_read": "looped"}),
    ],
)  # fmt: skip
def test_a_platform_changes_an_era_as_b4_says(platform: str, era: str, changed: dict[str, str]) -> None:
    assert changed_by(platform, era) == changed


def test_the_table_of_platforms_names_eras_that_exist_and_a_reason() -> None:
    for platform in PLATFORMS.values():
        assert set(platform.then) <= set(ERAS)
        assert list(platform.eras) == list(ERAS)[len(ERAS) - len(platform.eras) :]  # what exists stays
        assert bool(platform.eras) is bool(platform.since)


def test_a_policy_and_a_single_rule_win_over_the_platform() -> None:
    chosen = kernel("v5.19", (), [("tlb_flush", "ipi")], platform="arm64")
    assert (chosen.rules.tlb_flush.value, chosen.rules.table_free.value) == ("ipi", "rcu")


@pytest.mark.parametrize("text", ["v5.19 + arm64 + bounce", "arm64 + v5.19 + bounce", "bounce+arm64+5.19"])
def test_the_parts_of_a_name_stand_in_any_order(text: str) -> None:
    chosen = kernel_of(text, "v6.12")
    assert chosen == kernel("v5.19", ["bounce"], platform="arm64")
    assert chosen.title() == "v5.19 + arm64 + bounce"


def test_what_a_name_leaves_open_is_what_the_scenario_chose() -> None:
    scenario = load_text(
        "title: t\nkernel: v5.12\nplatform: arm64\npolicies: bounce\nrules: {debug_vm: on}\n"
        "threads: {app: {steps: [exit]}}"
    ).scenario
    named = {text: expected_kernel(scenario, text).title() for text in ("v5.19", "x86", "keep-buffers", "debug_vm=off")}
    assert named == {
        "v5.19": "v5.19 + arm64 + bounce + debug_vm=on",
        "x86": "v5.12 + bounce + debug_vm=on",
        "keep-buffers": "v5.12 + arm64 + bounce + keep-buffers + debug_vm=on",
        "debug_vm=off": "v5.12 + arm64 + bounce + debug_vm=off",
    }


def test_a_single_rule_wins_over_a_policy_and_the_command_line_over_the_scenario() -> None:
    chosen = kernel(
        "v6.12",
        ["bounce"],
        [("writeback_pinned", "skip")],
        base_policies=["wait-for-unpin"],
        base_settings={"debug_vm": "on"},
    )
    assert chosen.rules.writeback_pinned.value == "skip"
    assert chosen.rules.debug_vm.value == "on"
    assert chosen.policies == ("wait-for-unpin", "bounce")
    assert chosen.title() == "v6.12 + wait-for-unpin + bounce + debug_vm=on + writeback_pinned=skip"


def test_the_rules_of_a_kernel_can_be_rebuilt_from_its_title() -> None:
    chosen = kernel("v5.12", ["keep-buffers"], [("debug_vm", "on")], platform="x86-paravirt")
    assert kernel_of(chosen.title(), "v4.20") == chosen


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel("v6.13"), "unknown kernel 'v6.13'; did you mean 'v6.12'? (valid: v3.17, v4.20"),
        (lambda: kernel("banana"), "unknown kernel 'banana' (valid: v3.17"),
        (lambda: kernel("v6.12", ["bounze"]), "unknown policy 'bounze'; did you mean 'bounce'?"),
        (lambda: kernel("v6.12", ["bounce", "skip-pinned"]), "policies 'bounce' and 'skip-pinned' contradict"),
        (lambda: split_setting("debug_vm"), "'debug_vm' is not a setting: expected rule=value"),
        (lambda: split_setting("debug_wm=on"), "unknown rule 'debug_wm'; did you mean 'debug_vm'?"),
        (lambda: split_setting("debug_vm=yes"), "unknown value of rule debug_vm 'yes' (valid: off, on)"),
        (lambda: kernel("v6.12", (), [("debug_vm", "on"), ("debug_vm", "off")]), "rule debug_vm is set twice"),
        (lambda: kernel_of("v4.20 + v5.6", ""), "'v4.20 + v5.6' names two kernels, v4.20 and v5.6"),
        (lambda: kernel_of("v4.20 + arm46", ""), "unknown kernel, platform or policy 'arm46'; did you mean 'arm64'?"),
        (lambda: kernel_of("arm64 + v4.20 + x86", ""), "'arm64 + v4.20 + x86' names two platforms, arm64 and x86"),
        (lambda: kernel("v4.20", platform="arm"), "unknown platform 'arm'; did you mean 'arm64'? (valid: x86,"),
        (lambda: kernel("v6.12", platform="x86-invlpgb"), "there is no x86-invlpgb in v6.12: Linux uses INVLPGB from"),
        (lambda: kernel_of("v4.20 + bonce", ""), "unknown kernel, platform or policy 'bonce'; did you mean 'bounce'?"),
    ],
)  # fmt: skip
def test_a_choice_that_is_wrong_is_refused_with_the_valid_ones(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ChoiceError) as caught:
        call()
    assert message in str(caught.value)
