"""The page cache of one file: an index of pages with tags, as the kernel's xarray `i_pages`."""

from __future__ import annotations

from bisect import bisect_left, insort
from enum import StrEnum
from typing import Final

from gupsim.actors.base.footprint import READ, WRITE
from gupsim.actors.base.state import Owner


class Tag(StrEnum):
    """PAGECACHE_TAG_*: writeback finds its work by these, not by the flags of the pages."""

    DIRTY = "dirty"
    TOWRITE = "towrite"
    WRITEBACK = "writeback"


_PAGES: Final = "pages"
_BEYOND: Final = "beyond"


class PageTree:
    """index -> pfn, and the indices that carry each tag.

    Every slot and every tag of an index is an object of its own in footprints. A search for the first page from an
    index on has read all places that it passed, and no others.

    name: what it is called in footprints. size: pages of the file; growing beyond is a change that every search sees
    that ran to the end.
    """

    __slots__ = ("_fields", "_indices", "_limit", "_pages", "_recorder", "_size", "name")

    def __init__(self, owner: Owner, name: str, size: int) -> None:
        self._recorder = owner.recorder
        self.name = name
        self._size = size
        self._limit = size
        self._pages: dict[int, int] = {}
        # Sorted, so that a pass over a large file costs its pages once.
        self._indices: dict[str, list[int]] = {kind: [] for kind in (_PAGES, *(tag.value for tag in Tag))}
        self._fields = {kind: f"{name}.{kind}" for kind in self._indices}

    def load(self, index: int) -> int | None:
        """xa_load(): the page at `index`."""
        self._note(_PAGES, index, READ)
        return self._pages.get(index)

    def store(self, index: int, pfn: int) -> None:
        """The page enters the cache, without tags."""
        self._wrote(_PAGES, index)
        self._pages[index] = pfn
        insort(self._indices[_PAGES], index)

    def erase(self, index: int) -> None:
        """The page leaves the cache with all its tags."""
        self._wrote(_PAGES, index)
        del self._pages[index]
        self._forget(_PAGES, index)
        for tag in Tag:
            self.clear_tag(index, tag)

    def set_tag(self, index: int, tag: Tag) -> None:
        """xa_set_mark()."""
        self._wrote(tag.value, index)
        indices = self._indices[tag.value]
        place = bisect_left(indices, index)
        if place == len(indices) or indices[place] != index:
            indices.insert(place, index)

    def clear_tag(self, index: int, tag: Tag) -> None:
        """xa_clear_mark()."""
        self._wrote(tag.value, index)
        self._forget(tag.value, index)

    def tagged(self, index: int, tag: Tag) -> bool:
        """xa_get_mark()."""
        self._note(tag.value, index, READ)
        indices = self._indices[tag.value]
        place = bisect_left(indices, index)
        return place < len(indices) and indices[place] == index

    def first(self, start: int, tag: Tag | None = None) -> int | None:
        """The first index from `start` on that has a page, or that carries `tag`."""
        kind = tag.value if tag else _PAGES
        indices = self._indices[kind]
        place = bisect_left(indices, start)
        found = indices[place] if place < len(indices) else None
        if self._recorder.log is not None:
            for index in range(start, self._limit if found is None else found + 1):
                self._note(kind, index, READ)
            if found is None:
                self._recorder.note(self.name, _BEYOND, READ)
        return found

    def copy_tag(self, source: Tag, target: Tag) -> None:
        """tag_pages_for_writeback(): whatever carries `source` gets `target` too."""
        index = self.first(0, source)
        while index is not None:
            self.set_tag(index, target)
            index = self.first(index + 1, source)

    def items(self) -> list[tuple[int, int]]:
        """All (index, pfn), in order of index."""
        found, index = [], self.first(0)
        while index is not None:
            found.append((index, self._pages[index]))
            index = self.first(index + 1)
        return found

    def _forget(self, kind: str, index: int) -> None:
        indices = self._indices[kind]
        place = bisect_left(indices, index)
        if place < len(indices) and indices[place] == index:
            del indices[place]

    def _wrote(self, kind: str, index: int) -> None:
        if index >= self._size:
            # Whether this is the first one there depends on who came before.
            self._recorder.note(self.name, _BEYOND, READ)
        if index >= self._limit:
            self._limit = index + 1
            self._recorder.note(self.name, _BEYOND, WRITE)
        self._note(kind, index, WRITE)

    def _note(self, kind: str, index: int, mode: int) -> None:
        if self._recorder.log is not None:
            self._recorder.note(self._fields[kind], index, mode)
