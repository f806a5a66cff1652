"""A case as a program of the model: which steps its processes have, and what is looked at in between."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from gupsim.conformance.says import Say
from gupsim.conformance.vocabulary import Args
from gupsim.protocol.steps import AnyStep


class Play(msgspec.Struct, frozen=True):
    """Let a process play some of its steps, up to the first that fails; the result is the last one played.

    process: its name in the case. first, count: which of its steps. says: how the result is written."""

    process: str
    first: int
    count: int
    says: Say


class Hold(msgspec.Struct, frozen=True):
    """Start a request that stays in flight: the step `number` of a process, left to run by itself."""

    process: str
    number: int


class Finish(msgspec.Struct, frozen=True):
    """Answer the request that `hold` started, by step `number` of a process. read: the device gives, else it takes."""

    process: str
    number: int
    hold: Hold
    read: bool


class Scan(msgspec.Struct, frozen=True):
    """Let khugepaged look at so many ranges."""

    ranges: int


class Join(msgspec.Struct, frozen=True):
    """What became of the step of this process that was not waited for."""

    process: str


class Look(msgspec.Struct, frozen=True):
    """Look at the machine. op, args: of the vocabulary; process: whose memory."""

    process: str
    op: str
    args: Args


Action: TypeAlias = Play | Hold | Finish | Scan | Join | Look


class Program(msgspec.Struct, frozen=True):
    """What a machine is to do.

    actors: name in the model of each process, the first of which is there from the beginning. steps: of each, in order;
    the first process plays what comes before its first action at once. actions: one for each step of the case. files:
    (name, pages) that are there at boot, 0 pages for one that will be written; memfds: the same of tmpfs. holds: files
    of a page each, on served disks of their own. blocks: that the disk must have. frames: of memory; swap: pages of
    it."""

    actors: dict[str, str]
    steps: dict[str, tuple[AnyStep, ...]]
    actions: tuple[Action, ...]
    files: tuple[tuple[str, int], ...]
    memfds: tuple[tuple[str, int], ...]
    holds: tuple[str, ...]
    blocks: int
    frames: int
    swap: int
