"""What `gupsim conformance` shows while it plays: on standard error, on a terminal, after a second."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gupsim.cli.console import stderr
from gupsim.cli.progress import PATIENCE


class CaseProgress:
    """Call it with the id of each case before it is played. total: of all recordings."""

    def __init__(self, total: int) -> None:
        self._began = time.monotonic()
        self._total = total
        self._done = 0
        self._progress: Progress | None = None
        self._terminal = stderr().is_terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, case: str) -> None:
        """Show which one comes now."""
        self._done += 1
        if not self._terminal or time.monotonic() - self._began < PATIENCE:
            return
        if self._progress is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=stderr(), transient=True)
            self._progress.add_task("", total=self._total)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], description=case, completed=self._done)
