"""Runs the real command in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def gupsim(
    *arguments: str, cwd: Path | None = None, seconds: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """``gupsim ARGUMENTS``, which must be over after so many seconds."""
    return subprocess.run(
        [sys.executable, "-m", "gupsim.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        cwd=cwd,
        env={**_plain(), "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
    )


def _plain() -> dict[str, str]:
    """The environment, but for the terminal that a test runner may have set up for itself."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
