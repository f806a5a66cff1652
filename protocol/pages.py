"""The pages of a buffer, in order, without a list of each of them: a pin of a 1 GiB page is one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class Pages(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Frames by number, as runs: (first frame, how many). A run is a part of one folio as long as somebody has
    references of it, and they are taken and given back run by run; two small pages are two runs, also where they are
    neighbours."""

    runs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, pfns: Iterable[int]) -> Pages:
        """Each of these frames by itself."""
        return cls(tuple((pfn, 1) for pfn in pfns))

    @classmethod
    def folio(cls, first: int, count: int, *, splits: bool) -> Pages:
        """Pages of one folio, `first` and what follows. splits: it may be split while somebody has references."""
        return cls.of(range(first, first + count)) if splits else cls(((first, count),))

    def __len__(self) -> int:
        return sum(count for _, count in self.runs)

    def __iter__(self) -> Iterator[int]:
        for first, count in self.runs:
            yield from range(first, first + count)

    def __getitem__(self, number: int) -> int:
        """The frame of page `number` of the buffer; IndexError beyond its end."""
        left = number
        for first, count in self.runs:
            if 0 <= left < count:
                return first + left
            left -= count
        raise IndexError(number)

    def __add__(self, other: Pages) -> Pages:
        return Pages((*self.runs, *other.runs))

    def upto(self, count: int) -> Pages:
        """The first `count` pages, or all if there are fewer."""
        runs = []
        for first, pages in self.runs:
            if count <= 0:
                break
            runs.append((first, min(pages, count)))
            count -= pages
        return Pages(tuple(runs))

    def after(self, count: int) -> Pages:
        """What comes behind the first `count` pages."""
        runs = []
        for first, pages in self.runs:
            skipped = min(max(count, 0), pages)
            if skipped < pages:
                runs.append((first + skipped, pages - skipped))
            count -= pages
        return Pages(tuple(runs))

    def holds(self, pfn: int) -> bool:
        """Is this frame one of them?"""
        return any(first <= pfn < first + count for first, count in self.runs)

    def say(self) -> str:
        """ "3, 5, 512 to 1023"."""
        return ", ".join(str(first) if count == 1 else f"{first} to {first + count - 1}" for first, count in self.runs)


NO_PAGES = Pages()
