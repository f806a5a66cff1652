"""`gupsim scenarios`: what comes with it, the text of one, and the schema of the files."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gupsim.cli.console import OK, refuse, say_json, say_table, say_text, stdout
from gupsim.scenario.canonical import file_form
from gupsim.scenario.find import find, shipped
from gupsim.scenario.load import Loaded, load, load_text, read
from gupsim.scenario.schema import scenario_schema


def scenarios(
    name: Annotated[str, typer.Argument(help="Print this one: S01, a file name or a path.", metavar="[NAME]")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON Schema of scenario files, for editors.")] = False,
) -> int:
    """List the scenarios that come with gupsim, or print one, checked, to read it or to start from it."""
    if schema:
        if name:
            refuse("scenarios: --schema is the schema of all files; it takes no name")
        say_text(json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n")
    elif name:
        loaded = load(name)
        if as_json:
            say_json(describe(loaded))
        else:
            _show(name)
    else:
        _list(as_json=as_json)
    return OK


def describe(loaded: Loaded) -> dict[str, Any]:
    """One scenario as an object of --json."""
    return {"file": loaded.file, "digest": loaded.digest, "scenario": file_form(loaded.scenario)}


def _list(*, as_json: bool) -> None:
    entries = [(entry, load_text(read(entry.path, entry.name), entry.name).scenario) for entry in shipped()]
    if as_json:
        listed = [
            {
                "id": entry.ident,
                "file": entry.name,
                "title": scenario.title,
                "kernel": scenario.kernel,
                "platform": scenario.platform,
                "expectations": sorted(scenario.expectations),
            }
            for entry, scenario in entries
        ]
        say_json({"scenarios": listed})
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    area = ""
    for entry, scenario in sorted(entries, key=lambda one: one[0].area):
        if entry.area != area:
            area = entry.area
            table.add_row(Text(f"{area}/", "dim"))
        table.add_row(Text(f"  {entry.stem}", "bold"), scenario.kernel, scenario.title)
    say_table(table)
    out = stdout()
    say_table(table)
    out.print("\nThe start of a name is enough. Read one: gupsim scenarios S01    Play it: gupsim run S01 --timeline")


def _show(name: str) -> None:
    """The file itself: it is made to be read, and a copy of it is a good start."""
    path, file = find(name)
    text = read(path, file)
    if sys.stdout.isatty():
        stdout().print(Syntax(text, "yaml", background_color="default"))
    else:
        say_text(text)
