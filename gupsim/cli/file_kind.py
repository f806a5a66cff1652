"""What a file is that was given to the wrong command, and which command reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_ENOUGH: Final = 4096
"""Bytes that tell what a file is."""


def elsewhere(file: Path | str, command: str) -> str:
    """ "; it is a trace: 'gupsim check' judges it", for an error of `command`. "" if the file is for `command`, or
    nothing that gupsim knows."""
    kind = _kind(file)
    return f"; {kind}" if kind and f"'gupsim {command}'" not in kind else ""


def _kind(file: Path | str) -> str:
    path = Path(file)
    try:
        if path.is_dir():
            return ""
        with path.open("rb") as stream:
            begin = stream.read(_ENOUGH)
    except (OSError, ValueError):
        return _scenario(str(file))
    if begin[1:8] == b"\xa6header":
        return "it is a trace: 'gupsim check' judges it, 'gupsim export' converts it"
    if b"gupsim-search" in begin[:16]:
        return "it is a search that was stopped: 'gupsim explore --resume' goes on with it"
    if re.search(rb'^\s*\{\s*"format":\s*"gupsim-replay"', begin):
        return "it is a recorded execution: 'gupsim replay' repeats it"
    if re.search(rb"^title:", begin, re.MULTILINE) and re.search(rb"^(machine|threads|kernel):", begin, re.MULTILINE):
        return "it is a scenario: 'gupsim run' plays it, 'gupsim explore' searches it"
    return ""


def _scenario(name: str) -> str:
    from gupsim.scenario.errors import ScenarioError
    from gupsim.scenario.find import find

    try:
        find(name)
    except ScenarioError:
        return ""
    return f"{name} is a scenario: 'gupsim run' plays it, 'gupsim explore' searches it and writes replay files"
