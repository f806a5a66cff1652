"""Tracepoints as events for readers of a live run, with no file and no digest: for searches and for `TraceWriter`."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from gupsim.engine.port import ActorPort
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event


class EventReader(Protocol):
    """Anything that is called with each event: a checker suite's `feed`, metrics, a timeline, a list's `append`."""

    def __call__(self, event: Event, /) -> object:
        """Take one event; what it returns is not looked at."""


class LiveEvents:
    """Makes an Event of each tracepoint and passes it to all readers: ``core.on_tracepoint = live.tracepoint``.

    only: the tracepoints that a reader looks at; the others are counted and cost nothing else. None: all.
    """

    __slots__ = ("count", "only", "readers")

    def __init__(self, *readers: EventReader, only: Container[type[Tracepoint]] | None = None) -> None:
        self.readers: list[EventReader] = list(readers)
        self.only = only
        self.count = 0

    def subscribe(self, reader: EventReader) -> None:
        """Pass all events from now on to `reader` too."""
        self.readers.append(reader)

    def tracepoint(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        """What `Core.on_tracepoint` calls."""
        if self.readers and (self.only is None or type(tracepoint) in self.only):
            self.pass_on(port, port.context, tracepoint)
        else:
            self.count += 1

    def pass_on(self, port: ActorPort, context: str, tracepoint: Tracepoint) -> None:
        """As `tracepoint`, for a caller that knows the context already."""
        core = port.core
        current = core.current
        index = self.count
        self.count = index + 1
        source = current[2]
        delivery = (core.ports[source].address if source >= 0 else "", current[3])
        event = Event(index, current[0], port.address, delivery, context, tracepoint)
        for reader in self.readers:
            reader(event)
