"""Traces that are called the same in every process."""

from __future__ import annotations

from typing import Final

from gupsim.search.names import OUTSIDE, Names
from gupsim.search.order import Order, members
from gupsim.search.traces import Traces

BYTES: Final = 8
"""Of a trace on the wire."""
_OTHER: Final = 0x9E37_79B9_7F4A_7C15


class NamedTraces(Traces):
    """As `Traces`, but a message counts by its path: its mid is another one in every process."""

    def __init__(self, order: Order, names: Names) -> None:
        super().__init__(order)
        self._events = order
        self._names = names
        self._paths: dict[int, int] = {OUTSIDE: 0}
        self._pairs: list[tuple[int, int]] = []
        self._named: list[int] = []

    def shrink(self, length: int) -> None:
        """Forget all events from number `length` on."""
        del self._pairs[length:], self._named[length:]

    def identities(self) -> list[int]:
        """The identity of each event so far."""
        order, pairs, named = self._events, self._pairs, self._named
        paths = self._paths
        for number in range(len(named), len(order.mids)):
            mid = order.mids[number]
            path = paths.get(mid) or self._path(mid)
            causes = [pairs[other] for other in members(order.direct[number])]
            if len(causes) == 1:
                low, high = causes[0]
                pair = hash((path, low)), hash((path ^ _OTHER, high))
            else:
                lows, highs = sorted(low for low, _ in causes), sorted(high for _, high in causes)
                pair = hash((path, *lows)), hash((path ^ _OTHER, *highs))
            pairs.append(pair)
            named.append(pair[1] << 64 ^ pair[0])
        return named

    def encoded(self) -> bytes:
        """The trace of the execution so far."""
        return (self.trace() & (1 << 8 * BYTES) - 1).to_bytes(BYTES, "little")

    def _path(self, mid: int) -> int:
        names, paths = self._names, self._paths
        above = []
        while mid not in paths:
            above.append(mid)
            mid = names.parents[mid]
        value = paths[mid]
        for named in reversed(above):
            value = paths[named] = hash((value, names.step(named) + 2))  # hash(-1) is hash(-2)
        return value
