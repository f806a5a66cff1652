"""What an event read, wrote or added to, recorded by the state containers while a handler runs.

A footprint key is ``(field, key)`` as ``("page.refcount", 7)``: field level is not negotiable, coarser
footprints cost the search a factor of 100 and more (granularity.md, section 2).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

READ: Final = 1
WRITE: Final = 2
COMMUTE: Final = 4
"""An addition whose result nobody looks at: it commutes with other additions, not with reads or writes."""

Key = tuple[str, Hashable]
Footprint = dict[Key, int]


class Recorder:
    """Collects the footprint of the running event; one per world. `log` is None when nobody needs it.

    looking: False if `note` has nothing to do now; containers ask first, because a call costs three times as much.
    """

    __slots__ = ("log", "looking")

    def __init__(self, *, enabled: bool = False) -> None:
        self.log: Footprint | None = {} if enabled else None
        self.looking = enabled

    def take(self) -> Footprint:
        """The footprint of the event that just ended; a new one begins."""
        log = self.log
        if log is None:
            return {}
        self.log = {}
        return log

    def note(self, field: str, key: Hashable, mode: int) -> None:
        """Add one access."""
        log = self.log
        if log is not None:
            at = (field, key)
            log[at] = log.get(at, 0) | mode

    def aside(self, field: str, key: Hashable, mode: int) -> None:
        """As `note`, for what decides only about what is noted: a write that looks whether its key is there, the
        ledger of a reference count. Of use to a search alone, which foresees footprints in another order."""


def conflict(first: Footprint, second: Footprint) -> bool:
    """True if two events of one actor are dependent: a write meets anything, or an addition meets a read."""
    if len(second) < len(first):
        first, second = second, first
    for at, mode in first.items():
        other = second.get(at)
        if other is not None and not (mode | other == READ or mode | other == COMMUTE):
            return True
    return False
