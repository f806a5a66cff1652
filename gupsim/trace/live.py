"""Tracepoints as events for readers of a live run, with no file and no digest: for searches and for `TraceWriter`."""

from __future__ import annotations

from typing import Protocol

from gupsim.engine.port import ActorPort
from gupsim.trace.records import Event
from protocol.message import Tracepoint


class EventReader(Protocol):
    """Anything that is called with each event: a checker suite's `feed`, metrics, a timeline, a list's `append`."""

    def __call__(self, event: Event, /) -> object:
        """Take one event; what it returns is not looked at."""


class LiveEvents:
    """Makes an Event of each tracepoint and passes it to all readers: ``core.on_tracepoint = live.tracepoint``."""

    __slots__ = ("count", "readers")

    def __init__(self, *readers: EventReader) -> None:
        self.readers: list[EventReader] = list(readers)
        self.count = 0

    def subscribe(self, reader: EventReader) -> None:
        """Pass all events from now on to `reader` too."""
        self.readers.append(reader)

    def tracepoint(self, port: ActorPort, tracepoint: Tracepoint) -> None:
        """What `Core.on_tracepoint` calls."""
        if self.readers:
            self.pass_on(port, port.context, tracepoint)
        else:
            self.count += 1

    def pass_on(self, port: ActorPort, context: str, tracepoint: Tracepoint) -> None:
        """As `tracepoint`, for a caller that knows the context already."""
        core = port.core
        current = core.current
        index = self.count
        self.count = index + 1
        delivery = (core.name_of(current[2]), current[3])
        event = Event(index, core.now, port.address, delivery, context, tracepoint)
        for reader in self.readers:
            reader(event)
