"""How often something happens in histories that differ in nothing but their seed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

_Z = 1.959964
"""Of the normal distribution, for 95 %."""


class Rate(msgspec.Struct, frozen=True):
    """`hits` of `total` histories. seeds: the first of them."""

    hits: int
    total: int
    seeds: tuple[int, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the probability (Wilson 1927, J. Am. Stat. Assoc. 22: 209), which holds for no hit and
        for nothing but hits, too."""
        share, z2 = self.hits / self.total, _Z * _Z
        middle = share + z2 / (2 * self.total)
        half = _Z * math.sqrt(share * (1 - share) / self.total + z2 / (4 * self.total**2))
        scale = 1 + z2 / self.total
        # At both ends the formula gives the share itself, but for the last bit of a float.
        return min(share, max(0.0, (middle - half) / scale)), max(share, min(1.0, (middle + half) / scale))

    def say(self) -> str:
        """ "37 of 100 histories: 37.0 % (95 %: 28.2 to 46.8 %); seeds 0, 3, 4, ..."."""
        low, high = (100 * end for end in self.interval)
        more = ", ..." if self.hits > len(self.seeds) else ""
        seeds = f"; seed {', '.join(map(str, self.seeds))}{more}" if self.seeds else ""
        share = 100 * self.hits / self.total
        return f"{self.hits} of {self.total} histories: {share:.1f} % (95 %: {low:.1f} to {high:.1f} %){seeds}"


_FIRST = 3


def rates(shown: Iterable[tuple[int, frozenset[str]]]) -> dict[str, Rate]:
    """For each kind of violation, and "any", in how many histories it was. shown: seed and kinds of each."""
    seeds: dict[str, list[int]] = {"any": []}
    total = 0
    for seed, kinds in shown:
        total += 1
        for kind in (*kinds, *(["any"] if kinds else [])):
            seeds.setdefault(kind, []).append(seed)
    return {kind: Rate(len(hits), total, tuple(hits[:_FIRST])) for kind, hits in sorted(seeds.items())}


def rates_json(found: dict[str, Rate]) -> dict[str, Any]:
    """As --json tells them."""
    return {
        kind: {
            "histories": rate.hits,
            "of": rate.total,
            "rate": round(rate.hits / rate.total, 6),
            "interval": [round(end, 6) for end in rate.interval],
            "seeds": list(rate.seeds),
        }
        for kind, rate in found.items()
    }
