"""What can go wrong while actors run; each with a message for a person."""

from __future__ import annotations


class EngineError(Exception):
    """Base of every error that the engine raises."""


class NoSuchActor(EngineError):
    """A message for an address where nobody lives."""


class NoHandler(EngineError):
    """An actor got a message that it does not handle."""


class BadAnswer(EngineError):
    """A handler of a request returned no message, or something that is none."""


class BadDelay(EngineError):
    """A message to another actor that would take no time: no order in time could be kept."""


class ForeignAwait(EngineError):
    """A handler awaited something that is not the engine's: an asyncio future, a real sleep."""


class Refused(EngineError):
    """An actor reached for real time, real sleep, a thread or unseeded randomness."""


class ActorFailed(EngineError):
    """A handler raised an exception: a bug of the actor program, not of the modelled kernel."""


class LimitReached(EngineError):
    """The run did more deliveries than it was allowed."""
