"""The director of a timed run: knows which steps have ended and which tracepoints were seen, so that a scenario can
script its timing with `after` and `until`. A searched run has no director: there the threads race freely."""

from __future__ import annotations

from typing import Final

from gupsim.protocol.message import Done, Message, Request

DIRECTOR: Final = "h0/director"
"""Where it is reached, from every host: there is one director in a world."""


class Seen(Message, frozen=True):
    """A labelled step ended, or a watched tracepoint was emitted. From processes and, through the engine, any actor."""

    name: str


class WaitFor(Request[Done], frozen=True):
    """Wait until all `names` were seen; "block:checksum#2" is the second time of block:checksum.
    From processes and DMA engines."""

    names: tuple[str, ...]


MESSAGES: tuple[type[Message], ...] = (Seen, WaitFor)
