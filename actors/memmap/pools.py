"""The pools of huge pages: frames that are set aside at boot and never return to the page allocator."""

from __future__ import annotations

from array import array

from gupsim.actors.base import Map
from gupsim.actors.base.state import Owner
from gupsim.actors.memmap.frames import Frames
from gupsim.protocol.memmap import Page


class HugePools:
    """hstates: free huge pages by order, the last one freed first, and how many of them are promised.

    pools: (order, number of huge pages); of memory that does not suffice there are fewer.
    """

    def __init__(self, owner: Owner, frames: Frames, flags: array[int], pools: tuple[tuple[int, int], ...]) -> None:
        self._free: Map[int, tuple[int, ...]] = Map(owner, "hugetlb free")
        self._promised: Map[int, int] = Map(owner, "hugetlb reserved")
        self.pages = 0
        for order, count in pools:
            taken = [pfn for pfn in (frames.take(order) for _ in range(count)) if pfn >= 0]
            size = 1 << order
            for pfn in taken:
                flags[pfn] = Page.HUGETLB | Page.HEAD
                flags[pfn + 1 : pfn + size] = array("L", (int(Page.TAIL),)) * (size - 1)
            self._free[order] = tuple(reversed(taken))
            self.pages += len(taken) << order

    def reserve(self, order: int, pages: int) -> bool:
        """Promise more (or fewer) of them, if there are so many."""
        promised = self._promised.get(order, 0)
        if pages > len(self._free.get(order, ())) - promised:
            return False
        self._promised[order] = promised + pages
        return True

    def take(self, order: int, *, reserved: bool) -> int:
        """dequeue_hugetlb_folio(): first frame, or -1. reserved: one that is promised to whoever asks."""
        free = self._free.get(order, ())
        promised = self._promised.get(order, 0)
        if len(free) <= (0 if reserved else promised):
            return -1
        if reserved:
            self._promised[order] = promised - 1
        self._free[order] = free[:-1]
        return free[-1]

    def give(self, order: int, pfn: int) -> None:
        """enqueue_hugetlb_folio()."""
        self._free[order] = (*self._free.get(order, ()), pfn)
