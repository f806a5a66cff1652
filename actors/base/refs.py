"""Reference counts with a ledger, so that gets and most puts commute in a search."""

from __future__ import annotations

from array import array
from typing import Final

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.actors.base.state import Owner

_FAR: Final = 1 << 30
"""A count below this is out of reach of the sign bit: no search has so many gets."""


class Refs:
    """A column of signed 32-bit reference counts (struct page's `_refcount`).

    A *ledger* names who holds a reference: a kernel context, or the mapping that a page-table entry stands
    for; "" for standing references (page cache, the allocation itself).

    A put is an addition whose result nobody needs exactly if its ledger holds the reference and a standing
    reference remains: the count cannot reach 0 in any order. That condition changes only by operations that
    are dependent on the put or by the ledger itself (granularity.md, rule b; the first rule that looked
    right, "no order can reach zero", was unsound).

    The count itself wraps as int32 does; ledgers are kept only while footprints are recorded.
    """

    __slots__ = ("_ledgers", "_recorder", "counts", "field")

    def __init__(self, owner: Owner, field: str, size: int) -> None:
        self._recorder = owner.recorder
        self.field = field
        self.counts = array("i", bytes(4 * size))
        self._ledgers: dict[int, dict[str, int]] = {}

    def read(self, row: int) -> int:
        """The count."""
        if self._recorder.looking:
            self._recorder.note(self.field, row, READ)
        return self.counts[row]

    def set(self, row: int, value: int) -> None:
        """Overwrite the count (allocation, freeze, unfreeze)."""
        self._recorder.note(self.field, row, WRITE)
        self.counts[row] = _int32(value)
        if value == 0:
            self._ledgers.pop(row, None)

    def get(self, row: int, amount: int, ledger: str = "") -> None:
        """Add references; the caller knows that the object is alive."""
        recorder = self._recorder
        if recorder.looking:
            # A get that wraps would take the standing reference from under puts that commute with it.
            commutes = bool(ledger) and self.counts[row] < _FAR
            recorder.note(self.field, row, COMMUTE if commutes else WRITE)
            if ledger:
                # One context may be at work in two places (ask_all): then its gets and puts must not commute.
                recorder.aside(self.field, (row, ledger), COMMUTE)
        self.counts[row] = _int32(self.counts[row] + amount)
        self._enter(row, ledger, amount)

    def put(self, row: int, amount: int, ledger: str = "") -> bool:
        """Drop references; True if the count is now 0."""
        recorder = self._recorder
        if recorder.looking:
            held = self._ledgers.get(row, {})
            standing = self.counts[row] - sum(held.values())
            commutes = bool(ledger) and held.get(ledger, 0) >= amount and standing >= 1
            recorder.note(self.field, row, COMMUTE if commutes else READ | WRITE)
            if ledger:
                recorder.aside(self.field, (row, ledger), READ | WRITE)
        self.counts[row] = _int32(self.counts[row] - amount)
        self._enter(row, ledger, -amount)
        return self.counts[row] == 0

    def _enter(self, row: int, ledger: str, amount: int) -> None:
        if self._recorder.log is None or not ledger:
            return
        held = self._ledgers.setdefault(row, {})
        held[ledger] = held.get(ledger, 0) + amount
        if held[ledger] <= 0:
            del held[ledger]


def _int32(value: int) -> int:
    return (value + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
