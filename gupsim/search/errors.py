"""What can go wrong in a search; each with a message for a person."""

from __future__ import annotations

from gupsim.engine.errors import EngineError


class NotPending(EngineError):
    """A schedule delivers a message that is not under way, or may not overtake another: it is not of this program."""


class Unrecorded(EngineError):
    """Equivalent executions differ: an actor keeps state that is in no recorded container."""
