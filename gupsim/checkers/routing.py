"""Which reader gets which tracepoint: most tracepoints interest few readers, and asking each one is what costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias

from gupsim.trace.records import Event
from protocol.message import Tracepoint


class Model(Protocol):
    """A part of the world as the tracepoints tell it, fed by the checkers that need it."""

    reads: ClassVar[tuple[type[Tracepoint], ...]]

    def feed(self, event: Event, /) -> object:
        """Take the next event."""


Routes: TypeAlias = dict[type[Tracepoint], tuple[Callable[[Event], object], ...]]


def routes(*models: Model) -> Routes:
    """For each tracepoint the models that read it."""
    found: Routes = {}
    for model in models:
        for kind in dict.fromkeys(model.reads):
            found[kind] = (*found.get(kind, ()), model.feed)
    return found
