"""How long a message is under way: a seeded stream of latencies for each link."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from random import Random

import msgspec


class LinkSpeed(msgspec.Struct, frozen=True):
    """Latency of the links whose ends match.

    src, dst: address patterns as in the shell, without the host ("cpu/*"); "*" matches all.
    base, spread: nanoseconds; a message takes base .. base + spread, base at least 1.
    """

    src: str
    dst: str
    base: int
    spread: int = 0


DEFAULT_SPEED = LinkSpeed("*", "*", base=40, spread=20)
"""About one contended cache-line transfer between two cores; a model parameter, not a measurement."""


class _Link:
    __slots__ = ("base", "last", "random", "spread")

    def __init__(self, speed: LinkSpeed, random: Random) -> None:
        self.base = speed.base
        self.spread = speed.spread
        self.random = random
        self.last = 0


class Links:
    """Latencies of a world. A timed run keeps every link in order, which keeps every context in order."""

    def __init__(self, seed: int, speeds: Sequence[LinkSpeed] = ()) -> None:
        for speed in speeds:
            if speed.base < 1 or speed.spread < 0:
                raise ValueError(f"link {speed.src} -> {speed.dst}: latency must be at least 1 ns, spread at least 0")
        self._seed = seed
        self._speeds = (*speeds, DEFAULT_SPEED)
        self._links: dict[tuple[int, int], _Link] = {}
        self.names: list[str] = []

    def due(self, src: int, dst: int, now: int) -> int:
        """When a message sent now arrives."""
        link = self._links.get((src, dst))
        if link is None:
            link = self._links[src, dst] = self._make(src, dst)
        due = now + link.base
        if link.spread:
            due += int(link.random.random() * (link.spread + 1))
        if due < link.last:
            due = link.last
        link.last = due
        return due

    def _make(self, src: int, dst: int) -> _Link:
        source, sink = self.names[src], self.names[dst]
        return _Link(self.speed(source, sink), Random(f"{self._seed}/{source}>{sink}"))

    def speed(self, source: str, sink: str) -> LinkSpeed:
        """The first rule that matches both addresses."""
        here, there = source.partition("/")[2], sink.partition("/")[2]
        for speed in self._speeds:
            if fnmatchcase(here, speed.src) and fnmatchcase(there, speed.dst):
                return speed
        return DEFAULT_SPEED
