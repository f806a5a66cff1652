"""How long a message is under way: a seeded stream of latencies for each link."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import Final, Protocol
from zlib import crc32

import msgspec


class Route(Protocol):
    """The way from one actor to another, for every driver. rank: of the other end."""

    rank: int

    def due(self, now: int) -> int:
        """When a message sent now arrives (ns)."""


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

_DRAWS: Final = 1021


@functools.lru_cache(maxsize=64)
def _latencies(seed: int, base: int, spread: int) -> tuple[int, ...]:
    draw = Random(f"{seed}/{base}+{spread}").random
    return tuple(base + int(draw() * (spread + 1)) for _ in range(_DRAWS))


class Link:
    """One direction between two actors, in order: no message overtakes an earlier one.

    All links of one speed walk round one table of latencies, each from a place of its own. A generator of its own
    for each link costs twice the time of a message (100 ns against 55), and 2.5 KiB.
    """

    __slots__ = ("_last", "_latencies", "_left", "rank")

    def __init__(self, rank: int, latencies: tuple[int, ...], name: str) -> None:
        self.rank = rank
        self._latencies = latencies
        self._left = crc32(name.encode()) % _DRAWS
        self._last = 0

    def due(self, now: int) -> int:
        """When a message sent now arrives (ns)."""
        self._left = left = (self._left or _DRAWS) - 1
        due = now + self._latencies[left]
        if due < self._last:
            return self._last
        self._last = due
        return due


class Links:
    """All links of a world. A timed run keeps every link in order, which keeps every context in order."""

    def __init__(self, seed: int, speeds: Sequence[LinkSpeed] = ()) -> None:
        for speed in speeds:
            if speed.base < 1 or speed.spread < 0:
                raise ValueError(f"link {speed.src} -> {speed.dst}: latency must be at least 1 ns, spread at least 0")
        self._seed = seed
        self._speeds = (*speeds, DEFAULT_SPEED)
        self.names: list[str] = []

    def route(self, src: int, dst: int) -> Link:
        """A new link between two ranks. Each end asks once and keeps it."""
        source, sink = self.names[src], self.names[dst]
        speed = self.speed(source, sink)
        return Link(dst, _latencies(self._seed, speed.base, speed.spread), f"{self._seed}/{source}>{sink}")

    def speed(self, source: str, sink: str) -> LinkSpeed:
        """The first rule that matches both addresses."""
        here, there = source.partition("/")[2], sink.partition("/")[2]
        for speed in self._speeds:
            if fnmatchcase(here, speed.src) and fnmatchcase(there, speed.dst):
                return speed
        return DEFAULT_SPEED
