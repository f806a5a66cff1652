"""Which file a person means by `S01`, by a file name or by a path; and which scenarios there are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import msgspec

from gupsim.scenario.errors import ScenarioError, nearest, quote

SUFFIXES: Final = (".yaml", ".yml")
WORKLOADS: Final = "workloads"
"""The area whose files are named after the scenario that they put under load."""


class Shipped(msgspec.Struct, frozen=True):
    """A scenario file that comes with gupsim. area: its folder; file: its name; path: where it can be read."""

    area: str
    file: str
    path: Traversable

    @property
    def stem(self) -> str:
        """ "S01-buffers-stripped"."""
        return self.file.rpartition(".")[0]

    @property
    def ident(self) -> str:
        """ "S01": the start of the file name; the whole stem for a workload, which borrows its number."""
        start = self.stem.partition("-")[0]
        numbered = re.fullmatch(r"[A-Z]+[0-9]+[a-z]?", start) and self.area != WORKLOADS
        return start if numbered else self.stem

    @property
    def name(self) -> str:
        """ "writeback/S01-buffers-stripped.yaml"."""
        return f"{self.area}/{self.file}" if self.area else self.file


def shipped() -> tuple[Shipped, ...]:
    """All scenarios that come with gupsim, by area and name."""
    installed = files("gupsim") / "data" / "scenarios"
    root = installed if installed.is_dir() else files("gupsim") / ".." / "scenarios"
    return tuple(sorted(_under(root, ""), key=lambda entry: (entry.file, entry.area)))


def _under(folder: Traversable, area: str) -> Iterator[Shipped]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _under(entry, f"{area}/{entry.name}" if area else entry.name)
        elif entry.name.endswith(SUFFIXES):
            yield Shipped(area, entry.name, entry)


def find(name: str) -> tuple[Traversable, str]:
    """The file that `name` means, and how to call it in messages: a path that exists, else the id, the name (or the
    start of it) or the path of a shipped scenario. ScenarioError if there is none, or if the name fits several."""
    if not name:
        raise ScenarioError("the name of a scenario is empty")
    if "\0" in name:
        raise ScenarioError(f"{quote(name)} is not a file name")
    path = Path(name)
    bare = os.sep not in name
    try:
        exists = path.exists() and not (bare and path.is_dir())
    except OSError:
        raise ScenarioError(f"{quote(name)} is not a file name") from None
    if exists:
        return path, name
    entries = shipped()
    for alike in (name, name.upper()):
        hits = [entry for entry in entries if alike in {entry.stem, entry.file, entry.name, entry.ident}]
        hits = hits or [entry for entry in entries if alike and entry.stem.startswith(alike)]
        if hits:
            break
    if len(hits) == 1:
        return hits[0].path, f"scenarios/{hits[0].name}"
    if hits:
        raise ScenarioError(f"{name} names several scenarios: {', '.join(entry.name for entry in hits)}")
    if path.is_dir():
        raise ScenarioError("is a directory, not a scenario file", file=name)
    names = [alias for entry in entries for alias in dict.fromkeys((entry.ident, entry.stem))]
    close = nearest(path.name.removesuffix(".yaml"), names)
    what = "there is no such file" if not bare else "no scenario has this name, and there is no such file"
    meant = f"did you mean {close!r}?" if close else "'gupsim scenarios' lists those that come with it"
    raise ScenarioError(f"{what}; {meant}", file=quote(name)[1:-1])
