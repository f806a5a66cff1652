"""What a long search shows while it lasts."""

from __future__ import annotations

from collections.abc import Callable

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from gupsim.cli.display import Display
from gupsim.explore.goals import Outcome
from gupsim.explore.session import Session
from gupsim.explore.tally import Tally
from gupsim.scenario.goals import Goal


class ExploreProgress(Display):
    """Watches a session. tell: called when a search is over."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.tell: Callable[[Outcome], None] | None = None
        self._session = session
        self._title = ""
        self._before = 0

    def begins(self, goal: Goal) -> None:
        """A search begins."""
        number = self._session.goals.index(goal) + 1
        self._title = f"{goal.kernel.title()} ({number} of {len(self._session.goals)})"
        self.begin()
        self._before = -1

    def goes_on(self, tally: Tally, finished: float) -> None:
        """Some executions more."""
        if self._before < 0:
            self._before = tally.executions if tally.wall_s else 0
        if not self.due:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        bar = self.bar(*columns, title=self._title, total=1.0)
        state = say(tally, finished, (tally.executions - self._before) / self.elapsed)
        bar.update(bar.task_ids[0], completed=finished, state=state)

    def ends(self, outcome: Outcome) -> None:
        """A search is over."""
        self.vanish()
        if self.tell is not None:
            self.tell(outcome)


def say(tally: Tally, finished: float, rate: float) -> str:
    """ "1,200 executions, 450/s, about 5,000 in all, 9 s left; data-loss".

    finished: the share of the tree that was explored, if all branches of a node weighed the same (Knuth's weights,
    as the weighted backtrack estimator uses them). A guess that is right within a factor of a few, and better later.
    """
    parts = [f"{tally.executions:,} executions", f"{rate:,.0f}/s"]
    if finished > 0:
        total = tally.executions / finished
        parts.append(f"about {_rounded(total):,} in all")
        if rate > 0:
            parts.append(f"{_duration((total - tally.executions) / rate)} left")
    found = ", ".join(sorted(tally.found))
    return ", ".join(parts) + (f"; {found}" if found else "")


def _rounded(value: float) -> int:
    unit = 10 ** max(len(str(int(value))) - 2, 0)
    return int(round(value / unit) * unit)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
