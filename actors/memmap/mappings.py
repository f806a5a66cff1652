"""page->mapping and page->index of every page."""

from __future__ import annotations

from array import array

from gupsim.actors.base.footprint import READ, WRITE
from gupsim.actors.base.state import Owner


class PageMappings:
    """Which page of which file a page caches: three columns, one object in footprints."""

    __slots__ = ("_fs", "_indices", "_inos", "_names", "_numbers", "_recorder")

    def __init__(self, owner: Owner, size: int) -> None:
        self._recorder = owner.recorder
        self._fs = array("H", bytes(2 * size))
        self._inos = array("I", bytes(4 * size))
        self._indices = array("I", bytes(4 * size))
        self._names = [""]
        self._numbers = {"": 0}

    @property
    def bytes_per_page(self) -> int:
        """What a page costs in here."""
        return self._fs.itemsize + self._inos.itemsize + self._indices.itemsize

    def read(self, pfn: int) -> tuple[str, int, int]:
        """(file system, inode, index); ("", 0, 0) if the page is in no page cache."""
        self._recorder.note("page.mapping", pfn, READ)
        return self._names[self._fs[pfn]], self._inos[pfn], self._indices[pfn]

    def mapped(self, pfn: int) -> bool:
        """True if the page is in a page cache."""
        self._recorder.note("page.mapping", pfn, READ)
        return self._inos[pfn] != 0

    def set(self, pfn: int, fs: str, ino: int, index: int) -> None:
        """The page enters a page cache, or leaves it (ino 0)."""
        self._recorder.note("page.mapping", pfn, WRITE)
        number = self._numbers.get(fs)
        if number is None:
            number = self._numbers[fs] = len(self._names)
            self._names.append(fs)
        self._fs[pfn], self._inos[pfn], self._indices[pfn] = number, ino, index
