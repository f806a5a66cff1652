"""What `gupsim replay` shows while it makes a recording smaller or looks for the race that decides it."""

from __future__ import annotations

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from gupsim.cli.display import Display


class ReplayProgress(Display):
    """Call it with what is done now."""

    def __call__(self, said: str) -> None:
        if not self.due:
            return
        bar = self.bar(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), title=said, total=None)
        bar.update(bar.task_ids[0], description=said)
