"""What every actor is made of."""

from gupsim.actors.base.actor import Actor, handles
from gupsim.actors.base.footprint import Recorder
from gupsim.actors.base.kernel import KernelActor, chunks_of
from gupsim.actors.base.locks import TicketLock, WaitQueue
from gupsim.actors.base.port import AskTimeout, Cancelled, ContextDied, Port, TaskHandle
from gupsim.actors.base.refs import Refs
from gupsim.actors.base.state import Bits, Column, Entity, Field, Fifo, Map

__all__ = [
    "Actor",
    "AskTimeout",
    "Bits",
    "Cancelled",
    "Column",
    "ContextDied",
    "Entity",
    "Field",
    "Fifo",
    "KernelActor",
    "Map",
    "Port",
    "Recorder",
    "Refs",
    "TaskHandle",
    "TicketLock",
    "WaitQueue",
    "chunks_of",
    "handles",
]
