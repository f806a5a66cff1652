"""From a name to a checked scenario; everything that is wrong with a file is one ScenarioError."""

from __future__ import annotations

import json
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import msgspec

from gupsim.scenario.canonical import digest
from gupsim.scenario.errors import FieldError, ScenarioError, field_name
from gupsim.scenario.find import find
from gupsim.scenario.gates import check_gates
from gupsim.scenario.model import Scenario
from gupsim.scenario.nodes import parse
from gupsim.scenario.reader import Reader
from gupsim.scenario.references import check_references

MAX_BYTES: Final = 1 << 20
"""Larger files are refused before a byte of them is read."""


class Loaded(msgspec.Struct, frozen=True):
    """A scenario that is fit to run. file: as the user named it, or the name of the shipped file; digest: SHA-256."""

    scenario: Scenario
    file: str
    digest: str


def load(name: str) -> Loaded:
    """Find, read and check a scenario. ScenarioError for everything that can be wrong with it."""
    path, file = find(name)
    return load_text(read(path, file), file)


def load_text(text: str, file: str = "") -> Loaded:
    """A scenario from the text of its file."""
    reader = Reader()
    try:
        scenario = reader.scenario(parse(text))
        check_references(scenario)
        check_gates(scenario)
    except ScenarioError as error:
        raise error.of(file) from None
    except FieldError as error:
        line = next((reader.lines[path] for path in _upwards(error.path) if path in reader.lines), reader.lines[()])
        raise ScenarioError(error.problem, file=file, line=line, field=field_name(error.path)) from None
    return Loaded(scenario, file, digest(scenario))


def load_form(form: dict[str, Any], file: str = "") -> Loaded:
    """A scenario from its canonical form, as a trace file holds it."""
    # JSON is YAML: one reader for both.
    return load_text(json.dumps(form, ensure_ascii=False), file)


def read(path: Traversable, file: str) -> str:
    """The text of a file, refused if it is too large, no plain file, not readable or not UTF-8."""
    try:
        if isinstance(path, Path):
            if path.is_dir():
                raise ScenarioError("is a directory, not a scenario file", file=file)
            if not path.is_file():
                raise ScenarioError("is not a plain file", file=file)
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise ScenarioError(f"has {size} bytes; a scenario file has at most {MAX_BYTES}", file=file)
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror or error}", file=file) from None
    if len(data) > MAX_BYTES:
        raise ScenarioError(f"a scenario file has at most {MAX_BYTES} bytes", file=file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScenarioError("is not UTF-8 text", file=file, line=line) from None


def _upwards(path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    return [path[:length] for length in range(len(path), -1, -1)]
