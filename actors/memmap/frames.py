"""The page allocator: which frames are free, and which of them are allocated together."""

from __future__ import annotations

from array import array

from gupsim.actors.base.footprint import READ, WRITE
from gupsim.actors.base.state import Owner

MAX_ORDER = 18
"""A 1 GiB folio has order 18 (2**18 pages of 4 KiB)."""


class Frames:
    """Free lists per order (last freed, first reused: a freed frame meets its next owner soon), and behind them
    the frames that were never used, by a pointer.

    Blocks are aligned to their size as in the buddy allocator and a larger block is split when nothing smaller
    is left; freed neighbours are not merged again. Frame 0 is the zero page and is never handed out.

    The free lists are one object in footprints: which frame an allocation gets depends on all that came before.
    """

    __slots__ = ("_free", "_never_used", "_orders", "_recorder", "generations", "size")

    def __init__(self, owner: Owner, size: int) -> None:
        if size < 2:
            raise ValueError(f"a memory of {size} frames has no room beside the zero page")
        self._recorder = owner.recorder
        self.size = size
        self.generations = array("I", bytes(4 * size))
        self._orders = array("B", bytes(size))
        self._free = [array("I") for _ in range(MAX_ORDER + 1)]
        self._never_used = 1

    @property
    def bytes_per_page(self) -> int:
        """What a frame costs in here, without the free lists (4 bytes for a free frame)."""
        return self.generations.itemsize + self._orders.itemsize

    def order(self, head: int) -> int:
        """2**order frames belong to the folio of `head`."""
        return self._orders[head]

    def head(self, pfn: int) -> int:
        """page_folio(): the first frame of the folio that `pfn` belongs to."""
        self._recorder.note("page.head", pfn, READ)
        return pfn & -(1 << self._orders[pfn])

    def take(self, order: int) -> int:
        """First frame of a block of 2**order, or -1 if there is none."""
        if not 0 <= order <= MAX_ORDER:
            raise ValueError(f"order {order}: a block has 2**0 .. 2**{MAX_ORDER} pages")
        self._recorder.note("zone.free", 0, READ | WRITE)
        pfn = self._free[order].pop() if self._free[order] else self._unused(order)
        if pfn < 0:
            pfn = self._split(order)
        if pfn >= 0 and order:
            self._regroup(pfn, 1 << order, order)
        return pfn

    def split(self, head: int) -> None:
        """Every frame of a folio becomes one of its own."""
        self._regroup(head, 1 << self._orders[head], 0)

    def give(self, pfn: int) -> None:
        """The folio of `pfn`, its first frame, is free again."""
        self._recorder.note("zone.free", 0, READ | WRITE)
        order = self._orders[pfn]
        for frame in range(pfn, pfn + (1 << order)):
            self.generations[frame] += 1
        if order:
            self._regroup(pfn, 1 << order, 0)
        self._free[order].append(pfn)

    def _regroup(self, head: int, pages: int, order: int) -> None:
        for frame in range(head, head + pages):
            self._recorder.note("page.head", frame, WRITE)
        self._orders[head : head + pages] = array("B", (order,)) * pages

    def _unused(self, order: int) -> int:
        size = 1 << order
        start = -(-self._never_used // size) * size
        if start + size > self.size:
            return -1
        # Frames that the alignment skips are handed out one by one.
        self._free[0].extend(range(start - 1, self._never_used - 1, -1))
        self._never_used = start + size
        return start

    def _split(self, order: int) -> int:
        for larger in range(order + 1, MAX_ORDER + 1):
            if self._free[larger]:
                pfn = self._free[larger].pop()
                for half in range(larger - 1, order - 1, -1):
                    self._free[half].append(pfn + (1 << half))
                return pfn
        return -1
