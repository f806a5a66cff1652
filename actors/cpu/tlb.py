"""The translations that one CPU has cached, and up to which shootdown they are good (B0, B4)."""

from __future__ import annotations

import msgspec

from gupsim.actors.base import Map
from gupsim.actors.base.state import Owner
from gupsim.protocol.memory import PAGE_SIZE


class Translation(msgspec.Struct, frozen=True):
    """A TLB entry: the first frame, and what may be done without asking the page tables again."""

    pfn: int
    writable: bool
    dirty: bool


class Hit(msgspec.Struct, frozen=True):
    """The translation of one address. pfn: of its page; first, pages: page numbers that the entry covers."""

    pfn: int
    first: int
    pages: int
    writable: bool
    dirty: bool


class Tlb:
    """One entry for a last-level entry or for a huge leaf. An entry may be stale: only a flush makes it go.

    levels, bits: of the page tables, for the sizes that a leaf may have.
    """

    def __init__(self, owner: Owner, levels: int, bits: int) -> None:
        self._entries: Map[tuple[str, int, int], Translation] = Map(owner, "tlb")
        """(mm, first page number, pages) -> translation."""
        self._generations: Map[str, int] = Map(owner, "tlb_gen")
        self._sizes = tuple(1 << (bits * level) for level in range(min(levels, 3)))

    def find(self, mm: str, address: int) -> Hit | None:
        """What the CPU uses, whatever the page tables say by now."""
        page = address // PAGE_SIZE
        for pages in self._sizes:
            first = page & -pages
            cached = self._entries.get((mm, first, pages))
            if cached is not None:
                return Hit(cached.pfn + page - first, first, pages, cached.writable, cached.dirty)
        return None

    def fill(self, mm: str, address: int, pfn: int, pages: int, *, writable: bool, dirty: bool) -> None:
        """After a walk that ended at a leaf of `pages` pages, `pfn` the one of the address."""
        page = address // PAGE_SIZE
        first = page & -pages
        self._entries[(mm, first, pages)] = Translation(pfn - (page - first), writable, dirty)

    def drop(self, mm: str, hit: Hit) -> None:
        """INVLPG of one entry: after a fault."""
        self._entries.pop((mm, hit.first, hit.pages))

    def flush(self, mm: str, first: int, count: int) -> int:
        """Drop what overlaps `count` pages from address `first` (count 0: all of the mm); how many went."""
        start = first // PAGE_SIZE
        going = [
            at
            for at in self._entries
            if at[0] == mm and (not count or (at[1] < start + count and start < at[1] + at[2]))
        ]
        for at in going:
            self._entries.pop(at)
        return len(going)

    def spaces(self) -> list[str]:
        """Every mm of which something is cached."""
        return sorted({mm for mm, _, _ in self._entries})

    def generation(self, mm: str) -> int:
        """Up to which shootdown the translations of an mm are good, 0 if there was never one."""
        return self._generations.get(mm, 0)

    def reached(self, mm: str, generation: int) -> None:
        """They are good up to this one now."""
        self._generations[mm] = generation
