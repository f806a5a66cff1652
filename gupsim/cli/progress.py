"""What a long run shows while it lasts: on standard error, on a terminal only, and not before a second has passed."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gupsim.cli.console import stderr
from gupsim.run import Run
from protocol.units import duration

PATIENCE: Final = 1.0
"""Seconds of silence before the display appears."""


class RunProgress:
    """Call it with the run every now and then: ``Run.play(RunProgress())``."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._terminal = stderr().is_terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, run: Run) -> None:
        """Show how far it is."""
        elapsed = time.monotonic() - self._began
        if not self._terminal or elapsed < PATIENCE:
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[state]}"),
                TimeElapsedColumn(),
                console=stderr(),
                transient=True,
            )
            self._progress.add_task(run.loaded.file, total=run.world.end or None, state="")
            self._progress.start()
        timed = run.timed
        found = len(run.suite.violations)
        state = (
            f"{duration(timed.now)}, {timed.events:,} deliveries, {timed.events / elapsed:,.0f}/s, {found} violations"
        )
        self._progress.update(self._progress.task_ids[0], completed=min(timed.now, run.world.end), state=state)
