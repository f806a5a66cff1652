"""Who maps which page of the folios that have several, and before 4.5 who pinned it."""

from __future__ import annotations

from gupsim.actors.base import Map
from gupsim.actors.base.state import Owner


class FolioMaps:
    """`_entire_mapcount` and the `_mapcount` of each page, of folios of several pages only."""

    def __init__(self, owner: Owner) -> None:
        self._entire: Map[int, int] = Map(owner, "folio._entire_mapcount")
        self._pages: Map[int, int] = Map(owner, "page._mapcount")

    def add_entire(self, head: int, pages: int, amount: int) -> int:
        """A huge leaf maps it, or no longer does; by how many the number of mapped pages changes."""
        before = self._entire.get(head, 0)
        self._set(self._entire, head, before + amount)
        if (before > 0) == (before + amount > 0):
            return 0
        alone = sum(1 for pfn in range(head, head + pages) if self._pages.get(pfn, 0) <= 0)
        return alone if amount > 0 else -alone

    def add_page(self, head: int, pfn: int, amount: int) -> int:
        """The same for an entry that maps one page."""
        before = self._pages.get(pfn, 0)
        self._set(self._pages, pfn, before + amount)
        if self._entire.get(head, 0) > 0:
            return 0
        return (before + amount > 0) - (before > 0)

    def most(self, head: int, pages: int) -> int:
        """Mappings of the page that has the most."""
        single = max(self._pages.get(pfn, 0) for pfn in range(head, head + pages))
        return self._entire.get(head, 0) + single

    def page(self, pfn: int) -> int:
        """Entries that map one page by itself."""
        return self._pages.get(pfn, 0)

    def clear(self, head: int, pages: int) -> None:
        """The folio is gone."""
        self._entire.pop(head)
        for pfn in range(head, head + pages):
            self._pages.pop(pfn)

    def _set(self, counts: Map[int, int], at: int, value: int) -> None:
        if value:
            counts[at] = value
        else:
            counts.pop(at)


class TailPins:
    """Before 4.5 the `_mapcount` of a tail said how many references of the head were meant for it, so that a split
    could hand them over (get_huge_page_tail). Who holds them is for the tracepoints."""

    def __init__(self, owner: Owner, *, kept: bool) -> None:
        self._kept = kept
        self._pins: Map[int, tuple[tuple[str, int], ...]] = Map(owner, "tail._mapcount")

    def add(self, head: int, pfn: int, holder: str, amount: int) -> None:
        """References of a page were taken (amount > 0) or dropped."""
        if not self._kept or pfn == head:
            return
        pins = dict(self._pins.get(pfn, ()))
        left = pins.get(holder, 0) + amount
        if left > 0:
            pins[holder] = left
        else:
            pins.pop(holder, None)
        if pins:
            self._pins[pfn] = tuple(sorted(pins.items()))
        else:
            self._pins.pop(pfn)

    def add_each(self, head: int, pfns: range, holder: str, amount: int = 1) -> None:
        """References of each of several pages were taken (amount > 0) or dropped."""
        for pfn in pfns if self._kept else ():
            self.add(head, pfn, holder, amount)

    def take(self, pfn: int) -> tuple[tuple[str, int], ...]:
        """(holder, references) of a tail, which becomes a page of its own."""
        return (self._pins.pop(pfn) or ()) if self._kept else ()
