"""The seam behind which every kind of checker stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from gupsim.checkers.orders import Orders
from gupsim.checkers.violation import Violation
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event


class Checker(Protocol):
    """Reads tracepoints, and nothing else, in their order; so it says the same live and over a stored trace.

    kind: of the violations that it reports. reads: the tracepoints that it wants (twice is as good as once); it is
    fed no others. relates: those whose order it looks at although no actor knows of it (see `orders`). One with a class
    variable `models: tuple[type[Model], ...]` is made with one of each.
    """

    kind: ClassVar[str]
    reads: ClassVar[tuple[type[Tracepoint], ...]]
    relates: ClassVar[Orders]

    def feed(self, event: Event, /) -> Iterable[Violation]:
        """Take the next event; what is wrong at this moment."""

    def finish(self, end_time: int, /) -> Iterable[Violation]:
        """The history is over, at `end_time` (ns); what is wrong with it as a whole."""
