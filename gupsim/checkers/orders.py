"""Which tracepoints a checker compares with each other, so that a search tries both orders of them.

A search runs one execution of all that are equal up to the order of independent events. What is decided at one actor,
from its recorded state, has its order there. A checker that compares what happened at two actors looks at an order that
no actor knows of; it names that order in `relates`. What two tracepoints are about must be equal, and one of them must
look (READ) at what the other changes (WRITE) or adds to (COMMUTE).

A checker needs nothing of the kind for what is causally ordered anyway, for what one and the same event reads and
emits, and for what it judges at the end of a history.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.checkers.names import host_of
from gupsim.protocol.memmap import PageAlloc, PageFree
from gupsim.protocol.message import Tracepoint

Related: TypeAlias = tuple[tuple[Hashable, int], ...]
"""What a tracepoint is about for a checker, and whether it looks at it, changes it or adds to it."""

About: TypeAlias = Callable[[str, Any], Related]
"""Of a tracepoint, with the host of its actor."""

Orders: TypeAlias = Mapping[type[Tracepoint], About]

LIFE: Final = "life"
FRAME: Final = "frame"
BEGUN: Final = "begun"
ENDED: Final = "ended"
HELD: Final = "held"
STALE: Final = "stale"
PARTED: Final = "parted"
DIRECT: Final = "direct"


def looks(what: str) -> About:
    """A look at what the host has of `what`."""
    return lambda host, _: (((what, host), READ),)


def adds(what: str) -> About:
    """An addition to what the host has of `what`: two of them need no order."""
    return lambda host, _: (((what, host), COMMUTE),)


def changes_life(host: str, point: Any) -> Related:
    """PageAlloc, PageFree: another life of each of the frames begins or ends."""
    return tuple(((LIFE, host, pfn), READ | WRITE) for pfn in range(point.pfn, point.pfn + (1 << point.order)))


def needs_life(host: str, point: Any) -> Related:
    """An access to a frame, which belongs to somebody."""
    return (((LIFE, host, point.pfn), READ),)


LIVES: Final[Orders] = {PageAlloc: changes_life, PageFree: changes_life}
"""For checkers that ask whose a frame was."""


class Relates:
    """What some checkers compare. Call it with the address of an actor and a tracepoint."""

    def __init__(self, every: Iterable[Orders]) -> None:
        about: dict[type[Tracepoint], dict[About, None]] = {}
        for orders in every:
            for kind, function in orders.items():
                about.setdefault(kind, {})[function] = None
        self._about = {kind: tuple(functions) for kind, functions in about.items()}

    def __call__(self, address: str, point: Tracepoint) -> Related:
        functions = self._about.get(type(point), ())
        if not functions:
            return ()
        host = host_of(address)
        if len(functions) == 1:
            return functions[0](host, point)
        return tuple(related for function in functions for related in function(host, point))
