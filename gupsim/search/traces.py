"""Which executions are the same up to the order of independent events: Mazurkiewicz traces."""

from __future__ import annotations

from typing import Final

from gupsim.search.order import Order, members

_OTHER: Final = 0x9E37_79B9_7F4A_7C15


class Traces:
    """Names events by what they are and all that happened before them.

    Two events of one identity, in whatever executions, had the same past and so did the same. An execution's trace
    is the set of its events' identities. Both are told by two independent 64-bit hashes side by side: a table of all
    identities would take a kilobyte for each execution. Hashes of integers are the same in every process.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._low: list[int] = []
        self._high: list[int] = []
        self._identities: list[int] = []

    def shrink(self, length: int) -> None:
        """Forget all events from number `length` on."""
        del self._low[length:], self._high[length:], self._identities[length:]

    def identities(self) -> list[int]:
        """The identity of each event so far."""
        order, identities = self._order, self._identities
        low, high = self._low, self._high
        for number in range(len(identities), len(order.mids)):
            mid, direct = order.mids[number], order.direct[number]
            if direct and not direct & direct - 1:
                cause = direct.bit_length() - 1
                one, other = hash((mid, low[cause])), hash((mid ^ _OTHER, high[cause]))
            else:
                causes = list(members(direct))
                one = hash((mid, *sorted(low[cause] for cause in causes)))
                other = hash((mid ^ _OTHER, *sorted(high[cause] for cause in causes)))
            low.append(one)
            high.append(other)
            identities.append(other << 64 ^ one)
        return identities

    def trace(self) -> int:
        """The trace of the execution so far."""
        trace = 0
        for identity in self.identities():
            trace ^= identity
        return trace
