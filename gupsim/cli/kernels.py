"""`gupsim kernels`: the eras, platforms and policies, and what differs between two kernels."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gupsim.actors.rules import ERAS, PLATFORMS, POLICIES, Platform, RuleValue
from gupsim.cli.console import OK, refuse, say_json, say_table, stdout
from gupsim.cli.rules import question, span
from gupsim.scenario.choices import RULES, Kernel, kernel_of


def kernels(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="One kernel to show, or two to compare: 'v5.12', 'v4.20 + arm64 + bounce'.", metavar="[KERNEL]..."
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> int:
    """List the kernels and the platforms and policies that change them; show one in full; or compare two."""
    chosen = [kernel_of(name, next(reversed(ERAS))) for name in names or []]
    if len(chosen) > 2:
        refuse("kernels: one kernel to show or two to compare, not more")
    if as_json:
        say_json(_described(chosen))
    elif not chosen:
        _list()
    elif len(chosen) == 1:
        _show(chosen[0])
    else:
        _compare(*chosen)
    return OK


def differences(one: Kernel, other: Kernel) -> dict[str, tuple[str, str]]:
    """Each rule that differs, with its value in both."""
    pairs = {rule: (getattr(one.rules, rule), getattr(other.rules, rule)) for rule in RULES}
    return {rule: (str(a.value), str(b.value)) for rule, (a, b) in pairs.items() if a is not b}


def _described(chosen: list[Kernel]) -> dict[str, Any]:
    if len(chosen) == 2:
        return {
            "from": chosen[0].title(),
            "to": chosen[1].title(),
            "differences": [
                {"rule": rule, "from": before, "to": after} for rule, (before, after) in differences(*chosen).items()
            ],
        }
    if chosen:
        rules = {rule: str(getattr(chosen[0].rules, rule).value) for rule in RULES}
        return {"kernel": chosen[0].title(), "rules": rules}
    return {
        "kernels": [{"kernel": name, "about": era.about, "longterm": era.longterm} for name, era in ERAS.items()],
        "platforms": [
            {
                "platform": name,
                "about": platform.about,
                "kernels": [era for era in ERAS if platform.exists_in(era)],
                "rules": _plain(platform.rules),
                "then": {era: _plain(changes) for era, changes in platform.then.items()},
            }
            for name, platform in PLATFORMS.items()
        ],
        "policies": [
            {"policy": policy, "about": about, "rules": _plain(changes)}
            for policy, (changes, about) in POLICIES.items()
        ],
    }


def _list() -> None:
    out = stdout()
    table = _table()
    for era, preset in ERAS.items():
        table.add_row(Text(era, "bold"), preset.about + (" (LTS)" if preset.longterm else ""))
    table.add_row("", "")
    for name, platform in PLATFORMS.items():
        table.add_row(Text(name, "bold"), "\n".join((platform.about, *_changed_by(platform))))
    table.add_row("", "")
    for policy, (changes, about) in POLICIES.items():
        table.add_row(Text(policy, "bold"), f"{about}\n({_settings(changes)})")
    say_table(table)
    out.print("\nRun under one: gupsim run SCENARIO --kernel v5.19 --platform arm64 --policy keep-buffers")
    out.print("Compare two:   gupsim kernels v5.12 v5.19")


def _changed_by(platform: Platform) -> list[str]:
    """Lines about what a platform changes, and in which eras it is otherwise."""
    lines = [f"({_settings(platform.rules)})"] if platform.rules else []
    lines += [f"({era}: {_settings(changes)})" for era, changes in platform.then.items()]
    return lines + ([f"({span(list(platform.eras))}: {platform.since})"] if platform.eras else [])


def _settings(changes: dict[str, RuleValue]) -> str:
    return ", ".join(f"{rule}={value.value}" for rule, value in changes.items())


def _plain(changes: dict[str, RuleValue]) -> dict[str, str]:
    return {rule: str(value.value) for rule, value in changes.items()}


def _show(kernel: Kernel) -> None:
    table = _table("rule", "value", "which means")
    for rule in RULES:
        value = getattr(kernel.rules, rule)
        table.add_row(Text(rule, "bold"), str(value.value), value.says)
    out = stdout()
    out.print(Text(kernel.title(), "bold"))
    say_table(table)


def _compare(one: Kernel, other: Kernel) -> None:
    out = stdout()
    differing = differences(one, other)
    if not differing:
        out.print(f"{one.title()} and {other.title()} do not differ")
        return
    table = _table("rule", one.title(), other.title(), "about")
    for rule, (before, after) in differing.items():
        table.add_row(Text(rule, "bold"), before, after, question(rule))
    say_table(table)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(headings))
    for heading in headings or ("", ""):
        table.add_column(heading, overflow="fold")
    table.columns[0].no_wrap = True
    return table
