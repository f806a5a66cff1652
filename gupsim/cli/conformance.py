"""`gupsim conformance`: the model against recordings of real kernels."""

from __future__ import annotations

import json
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gupsim.cli.console import OK, VIOLATION, one_line, refuse, say_json, say_table, stdout
from gupsim.cli.options import JsonOption, PolicyOption, SetOption
from gupsim.scenario.choices import kernel, split_setting
from gupsim.scenario.errors import unknown

if TYPE_CHECKING:
    from gupsim.conformance import Case, Cases, Comparison, NotCompared

FilesOption = Annotated[
    list[str] | None,
    typer.Option("--observed", metavar="FILE", help="A recording (default: all of gupsim's own). Repeatable."),
]


def conformance(
    *,
    cases: Annotated[str, typer.Option("--cases", metavar="FILE", help="The cases (default: gupsim's own).")] = "",
    observed: FilesOption = None,
    area: Annotated[
        list[str] | None, typer.Option("--area", metavar="AREA", help="Only cases of this area. Repeatable.")
    ] = None,
    case: Annotated[list[str] | None, typer.Option("--case", metavar="ID", help="Only this case. Repeatable.")] = None,
    era: Annotated[
        str, typer.Option("--kernel", "-k", metavar="ERA", help="Kernel, as v6.12 (default: the recorded one's era).")
    ] = "",
    policy: PolicyOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Play recorded cases on the model and compare every observation. Exit status 1 if one differs."""
    changes = [split_setting(text) for text in settings or ()]
    if era:
        kernel(era, policy or (), changes)  # what is wrong with a choice is said before anything is read
    from gupsim.cli.conformance_progress import CaseProgress
    from gupsim.conformance import (
        ConformanceError,
        compare,
        era_of,
        given,
        load_cases,
        load_recording,
        packaged,
    )

    try:
        known = load_cases(*(given(cases) if cases else packaged(r"cases\.json")[0]))
        chosen = _chosen(known, area or (), case or ())
        files = [given(name) for name in observed] if observed else packaged(r"observed-.*\.json")
        recordings = [(file[1], load_recording(*file)) for file in _distinct(files)]
        kernels = {
            name: kernel(era or era_of(recording, name), policy or (), changes) for name, recording in recordings
        }
        found = []
        with CaseProgress(len(chosen) * len(recordings)) as progress:
            for name, recording in recordings:
                one = compare(
                    known,
                    chosen,
                    recording,
                    name,
                    era=kernels[name].title(),
                    rules=kernels[name].rules,
                    progress=progress,
                )
                found.append(one)
    except ConformanceError as error:
        refuse(str(error))
    if as_json:
        described = [_described(one) for one in found]
        # Of a single recording what is said stands at the top as well: most scripts compare with one.
        say_json({**(described[0] if len(described) == 1 else {}), "recordings": described})
    else:
        _show(found)
    return VIOLATION if any(one.disagreed for one in found) else OK


def _distinct(files: list[tuple[Traversable, str]]) -> list[tuple[Traversable, str]]:
    """A file that is named twice is compared once."""
    return list({name: (path, name) for path, name in files}.values())


def _chosen(cases: Cases, areas: tuple[str, ...] | list[str], ids: tuple[str, ...] | list[str]) -> list[Case]:
    """The cases of these areas and of these ids; all of them if nothing is asked for."""
    known = {case.area for case in cases.cases.values()}
    for name in areas:
        if name not in known:
            refuse(unknown("area", name, sorted(known)))
    for name in ids:
        if name not in cases.cases:
            refuse(unknown("case", name, cases.cases))
    return [case for case in cases.cases.values() if (not areas or case.area in areas) and (not ids or case.id in ids)]


def _described(one: Comparison) -> dict[str, Any]:
    """A recording as an object of --json."""
    return {
        "file": one.file,
        "kernel": one.kernel,
        "era": one.era,
        "cases": one.cases,
        "agreed": len(one.agreed),
        "disagreed": [
            {
                "case": difference.case,
                "observation": difference.observation,
                "model": difference.model,
                "kernel": difference.kernel,
            }
            for difference in one.disagreed
        ],
        "unsupported": [{"case": other.case, "why": other.why} for other in one.unsupported],
        "skipped": [{"case": other.case, "why": other.why} for other in one.skipped],
    }


def _show(found: list[Comparison]) -> None:
    out = stdout()
    for number, one in enumerate(found):
        if number:
            out.print()
        failed = len({difference.case for difference in one.disagreed})
        out.print(Text(f"{one.kernel} ({one.file}) on the model of {one.era}", "bold"))
        out.print(
            f"{one.cases} cases: {len(one.agreed)} agreed, {failed} disagreed, {len(one.unsupported)} unsupported,"
            f" {len(one.skipped)} skipped in the recording"
        )
        if one.disagreed:
            out.print()
            say_table(_differences(one))
        for title, others in (("unsupported", one.unsupported), ("skipped", one.skipped)):
            if others:
                out.print()
                say_table(_reasons(title, others))


def _differences(one: Comparison) -> Table:
    table = _table("disagreed", "observation", "model", "kernel")
    for difference in one.disagreed:
        table.add_row(difference.case, difference.observation, _value(difference.model), _value(difference.kernel))
    return table


def _reasons(title: str, others: tuple[NotCompared, ...]) -> Table:
    """Each reason once, with its cases."""
    by_reason: dict[str, list[str]] = {}
    for other in others:
        by_reason.setdefault(other.why, []).append(other.case)
    table = _table(title, "cases")
    for why, cases in by_reason.items():
        table.add_row(one_line(why), ", ".join(cases))
    return table


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
