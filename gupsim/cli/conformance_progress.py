"""What `gupsim conformance` shows while it plays."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from gupsim.cli.display import Display


class CaseProgress(Display):
    """Call it with the id of each case before it is played. total: of all recordings."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        self._done = 0

    def __call__(self, case: str) -> None:
        """Show which one comes now."""
        self._done += 1
        if not self.due:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        bar = self.bar(*columns, title=case, total=self._total)
        bar.update(bar.task_ids[0], description=case, completed=self._done)
