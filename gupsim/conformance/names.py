"""What the names that a case gives stand for, in one of its processes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gupsim.conformance.errors import Unsupported

_HUGE = 512
"""Pages of a huge page."""


class Mapping(msgspec.Struct):
    """A named mapping.

    pages: its size. huge: made of huge pages, or MADV_HUGEPAGE was asked for. untouched: numbers of the whole huge
    ranges in which nobody has touched a page yet. There a read would map the huge zero page, which the model does not
    have: a case that would meet it is unsupported. shmem: of tmpfs.
    """

    pages: int
    huge: bool = False
    hugetlb: bool = False
    untouched: set[int] = msgspec.field(default_factory=set)
    shmem: bool = False

    def copy(self) -> Mapping:
        """The same of a child, or at another address."""
        return msgspec.structs.replace(self, untouched=set(self.untouched))

    def write(self, page: int, pages: int = 1) -> None:
        """Pages are written to: afterwards there is a huge page or a page table."""
        self.untouched.difference_update(_ranges(page, pages))

    def read(self, page: int, pages: int = 1) -> None:
        """Pages are read."""
        if self.huge and not self.hugetlb and not self.untouched.isdisjoint(_ranges(page, pages)):
            raise Unsupported("a read of huge pages that were never written: there is no huge zero page")
        self.write(page, pages)

    def zap(self, page: int, pages: int) -> None:
        """Pages are thrown away: huge pages that lie within are gone as a whole."""
        self.untouched.update(range(-(-page // _HUGE), (page + pages) // _HUGE))


def fresh(pages: int, *, huge: bool = False, hugetlb: bool = False) -> Mapping:
    """A mapping that nobody has touched."""
    return Mapping(pages, huge, hugetlb, set(range(pages // _HUGE)))


class Object(msgspec.Struct, frozen=True):
    """A file of the model, or a memfd of huge pages by its number. shmem: the file is a memfd, of base pages."""

    file: str = ""
    memfd: int = 0
    shmem: bool = False


class Names(msgspec.Struct):
    """Of one process."""

    maps: dict[str, Mapping] = msgspec.field(default_factory=dict)
    objects: dict[str, Object] = msgspec.field(default_factory=dict)
    pins: set[str] = msgspec.field(default_factory=set)

    def copy(self) -> Names:
        """What a child knows."""
        maps = {name: mapping.copy() for name, mapping in self.maps.items()}
        return Names(maps, dict(self.objects), set(self.pins))


def _ranges(page: int, pages: int) -> Iterable[int]:
    return range(page // _HUGE, (page + pages - 1) // _HUGE + 1)
