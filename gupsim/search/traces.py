"""Which executions are the same up to the order of independent events: Mazurkiewicz traces."""

from __future__ import annotations

from random import Random

from gupsim.search.order import Order


class Traces:
    """Names events by what they are and all that happened before them.

    Two events of one identity, in whatever executions, had the same past and so did the same. An execution's trace
    is the set of its events' identities, told by a number of 128 bits.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._numbers: dict[tuple[int, ...], int] = {}
        self._marks: list[int] = []
        self._random = Random(0)
        self._identities: list[int] = []

    def share_names(self, other: Traces) -> None:
        """Give the same traces the same numbers as `other` does."""
        self._numbers, self._marks, self._random = other._numbers, other._marks, other._random

    def shrink(self, length: int) -> None:
        """Forget all events from number `length` on."""
        del self._identities[length:]

    def identities(self) -> list[int]:
        """The identity of each event so far."""
        order, identities = self._order, self._identities
        for number in range(len(identities), len(order.mids)):
            causes = []
            left = order.direct[number]
            while left:
                last = left.bit_length() - 1
                causes.append(identities[last])
                left ^= 1 << last
            causes.sort()
            key = (order.mids[number], *causes)
            identity = self._numbers.get(key)
            if identity is None:
                identity = self._numbers[key] = len(self._marks)
                self._marks.append(self._random.getrandbits(128))
            identities.append(identity)
        return identities

    def trace(self) -> int:
        """The trace of the execution so far."""
        marks, trace = self._marks, 0
        for identity in self.identities():
            trace ^= marks[identity]
        return trace
