"""Which reader gets which tracepoint: most tracepoints interest few readers, and asking each one is what costs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias

from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event


class Reader(Protocol):
    """Whoever takes events. reads: the tracepoints that it wants (twice is as good as once)."""

    reads: ClassVar[tuple[type[Tracepoint], ...]]

    def feed(self, event: Event, /) -> object:
        """Take the next event."""


class Model(Reader, Protocol):
    """A part of the world as the tracepoints tell it. The checkers of a history share one. It takes an event
    before they do, so that nobody can ask it how things were just before."""

    def feed(self, event: Event, /) -> None:
        """Take the next event."""


Routes: TypeAlias = dict[type[Tracepoint], tuple[Callable[[Event], object], ...]]


def routes(*readers: Reader) -> Routes:
    """For each tracepoint those who read it, in their order."""
    numbers = _numbers(tuple(map(type, readers)))
    feeds = [reader.feed for reader in readers]
    return {kind: tuple([feeds[number] for number in wanted]) for kind, wanted in numbers.items()}


@functools.lru_cache(maxsize=64)
def _numbers(readers: tuple[type[Reader], ...]) -> dict[type[Tracepoint], tuple[int, ...]]:
    """As `routes`, by number. Kept: a search has new readers for each execution, but always the same kinds."""
    found: dict[type[Tracepoint], tuple[int, ...]] = {}
    for number, reader in enumerate(readers):
        for kind in dict.fromkeys(reader.reads):
            found[kind] = (*found.get(kind, ()), number)
    return found
