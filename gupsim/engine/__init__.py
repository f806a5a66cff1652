"""Runs actors: deterministically, in virtual time."""

from gupsim.engine.core import Core, Item
from gupsim.engine.errors import (
    ActorFailed,
    BadAnswer,
    EngineError,
    ForeignAwait,
    LimitReached,
    NoHandler,
    NoSuchActor,
    Refused,
)
from gupsim.engine.links import LinkSpeed
from gupsim.engine.port import ActorPort
from gupsim.engine.timed import TimedWorld
from gupsim.engine.waitgraph import WaitGraph

__all__ = [
    "ActorFailed",
    "ActorPort",
    "BadAnswer",
    "Core",
    "EngineError",
    "ForeignAwait",
    "Item",
    "LimitReached",
    "LinkSpeed",
    "NoHandler",
    "NoSuchActor",
    "Refused",
    "TimedWorld",
    "WaitGraph",
]
