"""Marks of a timeline: what kind of change a tracepoint reports, in Unicode or in plain ASCII."""

from __future__ import annotations

from enum import Enum

from gupsim.protocol.block import BlockChecksum, BlockFlush, BlockRead, BlockWrite
from gupsim.protocol.dma import DmaAccess, DmaEnd, DmaStart
from gupsim.protocol.engine import ContextLost, LockContended, Stuck
from gupsim.protocol.fs import BuffersAttached, BuffersReleased
from gupsim.protocol.kernel import KernelBug, KernelWarning
from gupsim.protocol.memmap import PageFlags, PageGet, PagePut
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import Mkclean, Unmap
from gupsim.protocol.pagetable import EntryChanged


class Symbol(Enum):
    """One mark: Unicode, ASCII, and its line in the legend."""

    EVENT = ("●", "*", "event")
    REFERENCED = ("▲", "+", "references taken")
    DROPPED = ("▼", "-", "references dropped")
    FLAGS = ("◆", "f", "page flags changed")
    BUFFERS = ("■", "B", "buffers attached")
    STRIPPED = ("□", "b", "buffers dropped")
    ENTRY = ("◇", "e", "page-table entry changed")
    DEVICE = ("≈", "~", "DMA")
    DISK = ("◎", "o", "disk I/O")
    WAITS = ("…", "w", "waits")
    WARNING = ("▪", "!", "kernel warning")
    VIOLATION = ("✗", "X", "violation")

    @property
    def legend(self) -> str:
        """What it means."""
        return str(self.value[2])

    def draw(self, *, unicode: bool) -> str:
        """One character."""
        return str(self.value[0 if unicode else 1])


_SYMBOLS: dict[type[Tracepoint], Symbol] = {
    PageGet: Symbol.REFERENCED,
    PagePut: Symbol.DROPPED,
    PageFlags: Symbol.FLAGS,
    BuffersAttached: Symbol.BUFFERS,
    BuffersReleased: Symbol.STRIPPED,
    EntryChanged: Symbol.ENTRY,
    Mkclean: Symbol.ENTRY,
    Unmap: Symbol.ENTRY,
    DmaStart: Symbol.DEVICE,
    DmaAccess: Symbol.DEVICE,
    DmaEnd: Symbol.DEVICE,
    BlockRead: Symbol.DISK,
    BlockWrite: Symbol.DISK,
    BlockChecksum: Symbol.DISK,
    BlockFlush: Symbol.DISK,
    LockContended: Symbol.WAITS,
    Stuck: Symbol.WAITS,
    ContextLost: Symbol.WARNING,
    KernelWarning: Symbol.WARNING,
    KernelBug: Symbol.VIOLATION,
}


def symbol_of(point: Tracepoint) -> Symbol:
    """The mark of a tracepoint."""
    return _SYMBOLS.get(type(point), Symbol.EVENT)
