"""What a long command shows while it lasts: on standard error, on a terminal only, and not before a second."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.live import Live
from rich.progress import Progress, ProgressColumn

from gupsim.cli.console import stderr

PATIENCE: Final = 1.0
"""Seconds of silence before the display appears."""


class Display:
    """The base of all of them; a context manager, at whose end it vanishes."""

    def __init__(self) -> None:
        self.begin()
        self._terminal = stderr().is_terminal
        self._shown: Progress | Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vanish()

    def begin(self) -> None:
        """What there is to show begins now."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def due(self) -> bool:
        """True if there is somebody to look at it, and has been for long enough."""
        return self._terminal and self.elapsed >= PATIENCE

    def bar(self, *columns: ProgressColumn, title: str, total: float | None) -> Progress:
        """The progress bar with one task, which appears with the first call."""
        if not isinstance(self._shown, Progress):
            self._shown = Progress(*columns, console=stderr(), transient=True)
            self._shown.add_task(title, total=total, state="")
            self._shown.start()
        return self._shown

    def live(self) -> Live:
        """Lines that are written again and again, which appear with the first call."""
        if not isinstance(self._shown, Live):
            self._shown = Live(console=stderr(), transient=True, auto_refresh=False)
            self._shown.start()
        return self._shown

    def vanish(self) -> None:
        """Nothing is shown any more."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None
