"""The recorder of an explored world."""

from __future__ import annotations

from collections.abc import Hashable

from gupsim.actors.base.footprint import Footprint, Recorder


class SearchRecorder(Recorder):
    """A recorder that can look away: what is replayed is known, and noting it again is half of its time.

    It is never off (`log` is not None), so that ledgers and the like are kept whether it looks or not.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(enabled=True)
        self.looking = False

    def note(self, field: str, key: Hashable, mode: int) -> None:
        if self.looking:
            log = self.log
            assert log is not None
            at = (field, key)
            log[at] = log.get(at, 0) | mode

    def aside(self, field: str, key: Hashable, mode: int) -> None:
        self.note(field, key, mode)

    def taken(self) -> Footprint:
        """As `take`, for the loop of a search: an empty footprint is not to be kept, the next event fills it."""
        log = self.log
        assert log is not None
        if log:
            self.log = {}
        return log
