"""What every actor is made of."""

from actors.base.actor import Actor, handles
from actors.base.footprint import Recorder
from actors.base.kernel import KernelActor, chunks_of
from actors.base.locks import TicketLock, WaitQueue
from actors.base.port import AskTimeout, Cancelled, ContextDied, Port, TaskHandle
from actors.base.refs import Refs
from actors.base.state import Bits, Column, Entity, Field, Fifo, Map

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
