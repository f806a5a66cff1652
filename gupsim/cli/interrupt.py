"""Ctrl-C and SIGTERM between two slices of a run, never in the middle of an actor's handler."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupts:
    """While the block runs, Ctrl-C and SIGTERM are only noted; `check` raises KeyboardInterrupt for them. A second one
    comes through at once."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}
        self._mine = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._mine:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            for number, before in self._before.items():
                signal.signal(number, before)

    def check(self) -> None:
        """Raise KeyboardInterrupt if one of them came."""
        if self._asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
