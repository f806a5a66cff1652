"""What a long search shows while it lasts: on standard error, on a terminal only, and not before a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gupsim.cli.console import stderr
from gupsim.cli.progress import PATIENCE
from gupsim.explore.goals import Goal, Outcome
from gupsim.explore.session import Session
from gupsim.explore.tally import Tally


class ExploreProgress:
    """Watches a session. tell: called when a search is over."""

    def __init__(self, session: Session) -> None:
        self.tell: Callable[[Outcome], None] | None = None
        self._session = session
        self._progress: Progress | None = None
        self._terminal = stderr().is_terminal
        self._title = ""
        self._began = 0.0
        self._before = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def begins(self, goal: Goal) -> None:
        """A search begins."""
        number = self._session.goals.index(goal) + 1
        self._title = f"{goal.kernel.title()} ({number} of {len(self._session.goals)})"
        self._began = time.monotonic()
        self._before = -1

    def goes_on(self, tally: Tally, finished: float) -> None:
        """Some executions more."""
        elapsed = time.monotonic() - self._began
        if self._before < 0:
            self._before = tally.executions if tally.wall_s else 0
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
            self._progress.add_task(self._title, total=1.0, state="")
            self._progress.start()
        state = say(tally, finished, (tally.executions - self._before) / elapsed)
        self._progress.update(self._progress.task_ids[0], completed=finished, state=state)

    def ends(self, outcome: Outcome) -> None:
        """A search is over."""
        self._stop()
        if self.tell is not None:
            self.tell(outcome)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


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
