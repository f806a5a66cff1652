"""For whom each part of the machine reads and writes memory, and what a process may see of another one."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Final, TypeAlias

import msgspec

from gupsim.checkers.labels import Label
from gupsim.checkers.names import FrameKey, host_of, short
from gupsim.protocol.cpu import CpuAccess
from gupsim.protocol.driver import Registered
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.pages import Pages
from gupsim.protocol.pipe import PipeFilled
from gupsim.protocol.process import ProcessForked, StepBegin
from gupsim.protocol.uring import FixedRegistered
from gupsim.trace.records import Event

_REMEMBERED: Final = 64
"""Buffers remembered per host and device, or pipes, or rings."""

_DIO: Final = " dio of "
_PROCESS_VM: Final = "process_vm of "

_Who: TypeAlias = tuple[str, str]
"""(host, a process, or what works for one: "nic", "dio", "io_uring", "pipe")."""


class _Given(msgspec.Struct, frozen=True):
    """Pages that a process gave to a device, an I/O or a pipe."""

    pages: Pages
    owner: str


class Domains:
    """Feed it what `reads` lists."""

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        CpuAccess,
        StepBegin,
        ProcessForked,
        Registered,
        PagesPinned,
        FixedRegistered,
        PipeFilled,
    )

    def __init__(self) -> None:
        self._parents: dict[_Who, tuple[str, int]] = {}
        """Of a process: its parent, and the event at which they parted."""
        self._threads: dict[str, str] = {}
        """The process of a kernel context."""
        self._running: dict[str, str] = {}
        """The mm of the last access of a context."""
        self._given: dict[_Who, deque[_Given]] = {}
        self._targets: dict[tuple[str, str], str] = {}
        """(context, process): the process whose pages it has by process_vm_readv() or process_vm_writev()."""

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        kind = type(point)
        if kind is CpuAccess:
            self._running[event.context] = point.mm
        elif kind is StepBegin:
            self._threads[event.context] = short(event.actor)
        elif kind is PagesPinned:
            if _DIO in point.holder:
                self._give(event, "dio", point.pfns, point.mm)
            elif point.holder.startswith(_PROCESS_VM):
                self._targets[event.context, point.holder.removeprefix(_PROCESS_VM)] = point.mm
        elif kind is ProcessForked:
            self._parents[host_of(event.actor), point.child] = (point.parent, event.index)
        elif kind is Registered:
            self._give(event, short(point.driver), point.pfns, point.owner)
        elif kind is FixedRegistered:
            self._give(event, "io_uring", point.pfns, point.mm)
        elif kind is PipeFilled:
            self._give(event, "pipe", point.pfns, point.mm)

    def givers(self, key: FrameKey, who: str) -> list[str]:
        """The processes that gave it this frame, the last one first."""
        return [given.owner for given in reversed(self._given.get((key[0], who), ())) if given.pages.holds(key[1])]

    def giver(self, event: Event, key: FrameKey, who: str) -> str:
        """The process for which it has this frame: the one that asks now, if it is one of them. "" if nobody is."""
        givers = self.givers(key, who)
        now = self.asks(event)
        return now if now in givers else next(iter(givers), "")

    def asks(self, event: Event) -> str:
        """The process in whose system call this happens, "" outside of one."""
        return self._threads.get(event.context, "")

    def reaches_over(self, event: Event, by: str) -> bool:
        """Is this process_vm_readv()? Who may call it may see everything."""
        return (event.context, by) in self._targets

    def process(self, event: Event, key: FrameKey, by: str) -> str:
        """The process for which `by` reads or writes a frame; "" for the kernel itself."""
        if by.startswith("cpu/"):
            return self._running.get(event.context, "")
        if by.startswith("dma/"):
            return self.giver(event, key, short(by))
        if by.startswith("block/"):
            return self.giver(event, key, "dio")
        if by == "io_uring":
            return self.giver(event, key, by)
        return self._targets.get((event.context, by), "")

    def may_see(self, host: str, reader: str, label: Label) -> bool:
        """Its own bytes, and those of its ancestors from before they parted."""
        while reader != label.owner:
            parent = self._parents.get((host, reader))
            if parent is None or label.index > parent[1]:
                return False
            reader = parent[0]
        return True

    def related(self, host: str, reader: str, writer: str) -> bool:
        """Is the one a child of the other?"""
        parents = (self._parents.get((host, reader), ("",))[0], self._parents.get((host, writer), ("",))[0])
        return writer == parents[0] or reader == parents[1]

    def _give(self, event: Event, who: str, pages: Pages, owner: str) -> None:
        given = self._given.setdefault((host_of(event.actor), who), deque(maxlen=_REMEMBERED))
        given.append(_Given(pages, owner))
