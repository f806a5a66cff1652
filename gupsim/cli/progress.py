"""What a long run shows while it lasts."""

from __future__ import annotations

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from gupsim.cli.display import Display
from gupsim.protocol.units import duration
from gupsim.run import Run


class RunProgress(Display):
    """Call it with the run every now and then: ``Run.play(RunProgress())``."""

    def __call__(self, run: Run) -> None:
        """Show how far it is."""
        if not self.due:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        bar = self.bar(*columns, title=run.loaded.file, total=run.world.end or None)
        timed = run.timed
        found = len(run.suite.violations)
        rate = timed.events / self.elapsed
        state = f"{duration(timed.now)}, {timed.events:,} deliveries, {rate:,.0f}/s, {found} violations"
        bar.update(bar.task_ids[0], completed=min(timed.now, run.world.end), state=state)
