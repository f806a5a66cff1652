"""`gupsim rules`: every point in which kernels differ."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gupsim.actors.rules import ERAS, PLATFORMS, POLICIES, RuleValue
from gupsim.cli.console import OK, say_json, say_table, stdout
from gupsim.scenario.choices import RULES, ChoiceError
from gupsim.scenario.errors import unknown


def rules(
    rule: Annotated[str, typer.Argument(help="Explain this rule.", metavar="[RULE]")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> int:
    """Explain the rules: their values, and which value each kernel has. Set one with 'run --set RULE=VALUE'."""
    if rule and rule not in RULES:
        raise ChoiceError(unknown("rule", rule, RULES))
    chosen = [rule] if rule else list(RULES)
    if as_json:
        described = [describe(name) for name in chosen]
        say_json(described[0] if rule else {"rules": described})
    elif rule:
        _show_one(rule)
    else:
        _show_all(chosen)
    return OK


def eras_of(rule: str, value: RuleValue) -> list[str]:
    """The eras in which the rule has this value."""
    return [era for era, preset in ERAS.items() if getattr(preset.rules, rule) is value]


def platforms_of(rule: str, value: RuleValue) -> dict[str, list[str]]:
    """The platforms that give the rule this value, each with the eras in which it does."""
    setting = {
        name: [era for era in ERAS if platform.exists_in(era) and platform.changes(era).get(rule) is value]
        for name, platform in PLATFORMS.items()
    }
    return {name: eras for name, eras in setting.items() if eras}


def policies_of(rule: str, value: RuleValue) -> list[str]:
    """The policies that give the rule this value."""
    return [policy for policy, (changes, _) in POLICIES.items() if changes.get(rule) is value]


def question(rule: str) -> str:
    """What the rule is about."""
    return " ".join((RULES[rule].__doc__ or "").split())


def describe(rule: str) -> dict[str, Any]:
    """A rule as an object of --json."""
    return {
        "rule": rule,
        "about": question(rule),
        "values": [
            {
                "value": value.value,
                "says": value.says,
                "eras": eras_of(rule, value),
                "platforms": platforms_of(rule, value),
                "policies": policies_of(rule, value),
            }
            for value in RULES[rule]
        ],
    }


def _show_all(chosen: list[str]) -> None:
    out = stdout()
    for rule in chosen:
        out.print(Text.assemble((rule, "bold"), f"  {question(rule)}"))
        table = Table.grid(padding=(0, 2, 0, 0))
        for width in (2, 16, 24):
            table.add_column(width=width, overflow="fold")
        table.add_column(overflow="fold")
        for value in RULES[rule]:
            who = (span(eras_of(rule, value)), *_on_platforms(rule, value), *policies_of(rule, value))
            table.add_row("", str(value.value), Text(", ".join(filter(None, who)), "cyan"), value.says)
        say_table(table)
    out.print("\nSet one for a run: gupsim run SCENARIO --set RULE=VALUE")


def _show_one(rule: str) -> None:
    out = stdout()
    out.print(Text.assemble((rule, "bold"), ": ", question(rule)))
    for value in RULES[rule]:
        out.print(Text.assemble("\n  ", (str(value.value), "bold"), "  ", value.says))
        out.print(f"    kernels: {', '.join(eras_of(rule, value)) or 'none'}")
        if platforms := _on_platforms(rule, value):
            out.print(f"    platforms: {', '.join(platforms)}")
        if policies_of(rule, value):
            out.print(f"    policies: {', '.join(policies_of(rule, value))}")
    out.print(f"\nSet it for one run: gupsim run SCENARIO --set {rule}={next(iter(RULES[rule])).value}")


def _on_platforms(rule: str, value: RuleValue) -> list[str]:
    """The platforms that give the rule this value; with the eras, if it is not so in all that they exist in."""
    return [
        name if len(eras) == len([era for era in ERAS if PLATFORMS[name].exists_in(era)]) else f"{name} ({span(eras)})"
        for name, eras in platforms_of(rule, value).items()
    ]


def span(eras: list[str]) -> str:
    """Neighbouring eras as a range: "v4.20 .. v5.12"; "" for none."""
    order = list(ERAS)
    places = [order.index(era) for era in eras]
    if len(places) > 2 and places == list(range(places[0], places[-1] + 1)):
        return f"{eras[0]} .. {eras[-1]}"
    return ", ".join(eras)
