"""A kernel is an era, changed by policies, changed by single rules; later choices win, contradictions are refused."""

import pytest

from actors.rules import ERAS, POLICIES
from gupsim.scenario.choices import RULES, ChoiceError, kernel, kernel_of, split_setting


def test_an_era_may_be_named_with_and_without_its_v() -> None:
    assert kernel("6.12").era == kernel("v6.12").era == "v6.12"
    assert kernel("v6.12").rules == ERAS["v6.12"][0]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_changes_exactly_its_rules(policy: str) -> None:
    before, after = kernel("v4.20").rules, kernel("v4.20", [policy]).rules
    changed = {rule for rule in RULES if getattr(before, rule) is not getattr(after, rule)}
    assert changed <= set(POLICIES[policy][0])
    assert all(getattr(after, rule) is value for rule, value in POLICIES[policy][0].items())


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
    chosen = kernel("v5.12", ["keep-buffers"], [("debug_vm", "on")])
    assert kernel_of(chosen.title(), "v4.20") == chosen


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel("v6.13"), "unknown kernel 'v6.13'; did you mean 'v6.1'? (valid: v4.20, v5.6"),
        (lambda: kernel("banana"), "unknown kernel 'banana' (valid: v4.20"),
        (lambda: kernel("v6.12", ["bounze"]), "unknown policy 'bounze'; did you mean 'bounce'?"),
        (lambda: kernel("v6.12", ["bounce", "skip-pinned"]), "policies 'bounce' and 'skip-pinned' contradict"),
        (lambda: split_setting("debug_vm"), "'debug_vm' is not a setting: expected rule=value"),
        (lambda: split_setting("debug_wm=on"), "unknown rule 'debug_wm'; did you mean 'debug_vm'?"),
        (lambda: split_setting("debug_vm=yes"), "unknown value of rule debug_vm 'yes' (valid: off, on)"),
        (lambda: kernel("v6.12", (), [("debug_vm", "on"), ("debug_vm", "off")]), "rule debug_vm is set twice"),
        (lambda: kernel_of("v4.20 + v5.6", ""), "'v4.20 + v5.6' names two kernels, v4.20 and v5.6"),
        (lambda: kernel_of("v4.20 + bonce", ""), "unknown kernel or policy 'bonce'; did you mean 'bounce'?"),
    ],
)  # fmt: skip
def test_a_choice_that_is_wrong_is_refused_with_the_valid_ones(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ChoiceError) as caught:
        call()
    assert message in str(caught.value)
