"""Small case files and recordings for tests of the comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CASE: dict[str, Any] = {
    "id": "mine",
    "area": "tests",
    "steps": [
        {"proc": "A", "op": "map", "args": {"as": "m", "kind": "anon-private", "pages": 2, "fill": 7}},
        {"proc": "A", "op": "read", "args": {"map": "m", "page": 1}, "obs": "seen"},
    ],
}
RESULT: dict[str, Any] = {
    "obs": {"seen": 7},
    "results": ["ok", 7],
    "end": {"acq": 0, "rel": 0, "still_pinned_before_exit": 0},
}


def steps(*made: dict[str, Any], needs: tuple[str, ...] = ()) -> dict[str, Any]:
    """A case of these steps, all of process A unless they say otherwise."""
    return {"id": "mine", "area": "tests", "needs": list(needs), "steps": [{"proc": "A", **step} for step in made]}


def op(name: str, obs: str = "", proc: str = "A", *, alone: bool = False, **args: Any) -> dict[str, Any]:
    """One step; `name` of something that is made is the argument `as_`."""
    given = {key.rstrip("_"): value for key, value in args.items()}
    step: dict[str, Any] = {"proc": proc, "op": name, "args": given or None}
    if obs:
        step["obs"] = obs
    if alone:
        step["async"] = True
    return step


def write_cases(folder: Path, *cases: dict[str, Any]) -> str:
    """Name of a file with these cases."""
    path = folder / "cases.json"
    path.write_text(json.dumps({"cases": list(cases)}), encoding="utf-8")
    return str(path)


def write_recording(folder: Path, result: dict[str, Any] | None = None, kernel: str = "6.12.117", **more: Any) -> str:
    """Name of a recording with a result of case `mine`."""
    path = folder / "observed.json"
    recording = {"kernel": kernel, "cases": {"mine": RESULT if result is None else result}, **more}
    path.write_text(json.dumps(recording), encoding="utf-8")
    return str(path)
