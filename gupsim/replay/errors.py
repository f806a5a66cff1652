"""Why a recording cannot be replayed; each with a message for a person."""

from __future__ import annotations

from collections.abc import Sequence


class ReplayError(ValueError):
    """A recording that cannot be read, or not be followed."""


class BadRecording(ReplayError):
    """A file that is no recording, or one that this version cannot read."""


class Changed(ReplayError):
    """What was recorded is not what would be replayed. changes: one line for each difference."""

    def __init__(self, name: str, changes: Sequence[str]) -> None:
        self.changes = tuple(changes)
        super().__init__(
            f"{name}: {'; '.join(changes)} (--fallback follows the recording as far as it goes all the same)"
        )


class Diverged(ReplayError):
    """The execution left the recording.

    number: of the event, counted from 1. expected: what the recording says comes next. possible: what could.
    """

    def __init__(self, number: int, expected: str, possible: Sequence[str]) -> None:
        self.number = number
        self.expected = expected
        self.possible = tuple(possible)
        shown = ", ".join(self.possible[:8]) or "nothing: the execution is over"
        left = f" and {len(self.possible) - 8} more" if len(self.possible) > 8 else ""
        super().__init__(f"diverged at event {number}: the recording goes on with {expected}; possible: {shown}{left}")


class NotReproduced(ReplayError):
    """The recording was followed to its end, and the violation is not there."""
