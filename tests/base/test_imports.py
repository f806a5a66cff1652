"""What the fence cannot catch at run time is not imported in the first place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gupsim import actors

ROOT = Path(str(actors.__file__)).parent
FORBIDDEN = {
    "asyncio", "concurrent", "datetime", "multiprocessing", "numpy", "os", "secrets", "select", "signal", "socket",
    "subprocess", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
SEEDED = {"Random"}
"""What may be taken from the module `random`."""


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_actor_imports_what_would_break_determinism(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in {*FORBIDDEN, "random"}]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.name for alias in node.names}
            if node.module.partition(".")[0] in FORBIDDEN or (node.module == "random" and not names <= SEEDED):
                found.append(node.module)
    assert found == []
