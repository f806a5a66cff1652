"""What a process is told at the start: its threads and the names by which they know the machine."""

from __future__ import annotations

import msgspec

from gupsim.protocol.steps import AnyStep
from gupsim.protocol.workload import AnyGenerator


class ThreadSpec(msgspec.Struct, frozen=True):
    """One thread. cpu: where it runs, as "cpu/0"; steps: what it does, in order.

    begins: label of a step of another thread of the process, after which it is created; "" for at once.
    last: it starts when everything else is over, and so not with the others of a process that is forked."""

    cpu: str
    steps: tuple[AnyStep, ...]
    begins: str = ""
    last: bool = False


class ProcessSpec(msgspec.Struct, frozen=True):
    """One process. All addresses are local ("driver/nic"): of the process's own host.

    name: of the process, its address space, and of the owner of its registrations. parent: the process that forks it,
    "" if it is there from the beginning. within: bound (ns) of every step that gives none and is no `wait`; 0 for none.
    devices: driver of each device. files: (file system, inode, pages) of each file. hosts: all that are on the fabric.
    scripted: steps heed `after`, `until`, `delay` and report their labels; without it they race freely.
    """

    name: str
    threads: dict[str, ThreadSpec] = {}
    devices: dict[str, str] = {}
    files: dict[str, tuple[str, int, int]] = {}
    filesystems: tuple[str, ...] = ()
    generators: dict[str, AnyGenerator] = {}
    scripted: bool = True
    hosts: tuple[str, ...] = ()
    parent: str = ""
    within: int = 0
