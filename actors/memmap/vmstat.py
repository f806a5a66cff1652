"""The counters of /proc/vmstat that the page allocator and struct page keep."""

from __future__ import annotations

from typing import Final

from gupsim.actors.base.footprint import COMMUTE, READ
from gupsim.actors.base.state import Owner

NAMES: Final = (
    "nr_free_pages",
    "nr_anon_pages",
    "nr_mapped",
    "nr_file_pages",
    "nr_dirty",
    "nr_writeback",
    "nr_dirtied",
    "nr_written",
    "nr_foll_pin_acquired",
    "nr_foll_pin_released",
    "pgalloc_normal",
    "pgfree",
)
"""In the order of the kernel. The nr_foll_pin_* stay 0 in eras that do not count pins."""


class Vmstat:
    """Counters by their kernel name. Adding to one commutes with adding to it elsewhere."""

    __slots__ = ("_counters", "_recorder")

    def __init__(self, owner: Owner) -> None:
        self._recorder = owner.recorder
        self._counters = dict.fromkeys(NAMES, 0)

    def add(self, name: str, amount: int) -> None:
        """mod_node_page_state(), count_vm_events()."""
        self._recorder.note("vmstat", name, COMMUTE)
        self._counters[name] += amount

    def sum_of(self, *names: str) -> int:
        """Of several counters."""
        for name in names:
            self._recorder.note("vmstat", name, READ)
        return sum(self._counters[name] for name in names)

    def read(self) -> tuple[tuple[str, int], ...]:
        """All of them: /proc/vmstat right after stat_refresh, so that no per-cpu remainder is missing."""
        for name in NAMES:
            self._recorder.note("vmstat", name, READ)
        return tuple(self._counters.items())
