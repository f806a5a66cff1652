"""What the docs show as output is what the commands print.

A block of output follows a comment that names its command, and those that must run before it:

    <!-- from: gupsim explore S03 --kernel v4.20; gupsim replay replays/S03.json -->

Lines must be there in this order; the docs may leave lines out, and "..." in a line stands for anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.run_cli import ROOT, gupsim

_BLOCK = re.compile(
    r"<!-- from: (?P<commands>[^\n]+) -->\n+(?P<block>(?:```\n.*?\n```|(?:(?: {4}[^\n]*)?\n)+))", re.DOTALL
)


def blocks() -> Iterator[tuple[str, str, str]]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for found in _BLOCK.finditer(path.read_text(encoding="utf-8")):
            block = found["block"].removeprefix("```\n").removesuffix("```")
            yield path.relative_to(ROOT).as_posix(), found["commands"], dedent(block)


BLOCKS = list(blocks())


def alike(line: str) -> str:
    """Without what differs from machine to machine."""
    return re.sub(r"in [0-9.]+ s\b", "in T s", line.rstrip())


@pytest.mark.parametrize(("page", "commands", "block"), BLOCKS, ids=[f"{page}: {line}" for page, line, _ in BLOCKS])
def test_the_docs_show_what_the_command_prints(page: str, commands: str, block: str, tmp_path: Path) -> None:
    for command in commands.split("; "):
        name, *words = shlex.split(command)
        assert name == "gupsim"
        done = gupsim(*words, cwd=tmp_path)
        assert done.returncode in (0, 1), done.stderr
    printed = [alike(line) for line in done.stdout.splitlines()]
    at = 0
    for line in filter(None, map(alike, block.splitlines())):
        wanted = re.compile(r"\s*" + re.escape(line.strip()).replace(r"\.\.\.", ".*"))
        found = next((number for number in range(at, len(printed)) if wanted.fullmatch(printed[number])), None)
        assert found is not None, f"{page}: {command} does not print {line!r} there:\n{done.stdout}"
        at = found + 1


def test_the_pages_that_show_output_are_among_them() -> None:
    assert {page for page, _, _ in BLOCKS} >= {
        "README.md",
        *(f"docs/{page}.md" for page in ("tutorial", "how-to/explore", "how-to/replay", "how-to/conformance")),
    }
