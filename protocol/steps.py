"""The steps of a scenario: system calls, device commands and daemon nudges, in a kernel developer's words.

A scenario file writes a step as ``- mmap: {as: buf, file: F}``; the class name in lower case with underscores is
the word. Pages are counted in 4 KiB, offsets and lengths in bytes; `map`, `pin`, `file`, `device` are names that the
scenario or an earlier step of the same process gave.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

import msgspec

from protocol.units import Duration

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,39}$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
Gate = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*(:[a-z_]+)?(#[0-9]+)?$", max_length=60)]
PinFlag = Literal["write", "longterm", "force", "get", "pin", "fast", "remote", "nofault", "fast_only"]


def _word(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Step(msgspec.Struct, frozen=True, tag=_word, tag_field="op", forbid_unknown_fields=True, kw_only=True):
    """What every step has.

    label: names the end of this step, for `after` and `until` of others.
    after: start only when these have been seen: labels, or tracepoints as "block:checksum" ("#2": the second time).
    until: end only when these have been seen; a DMA step holds back its last chunk, others wait when done.
    delay: let this much virtual time pass first.
    `after`, `until` and `delay` script a timed run; a search ignores them and lets the threads race.
    """

    label: Name = ""
    after: tuple[Gate, ...] = ()
    until: tuple[Gate, ...] = ()
    delay: Duration = "0ns"


class Mmap(Step, frozen=True, tag=_word, kw_only=True):
    """mmap(2). Without `file`: anonymous memory. shared: MAP_SHARED; default: true for files, false for anonymous."""

    name: Name = msgspec.field(name="as")
    pages: Count = 1
    file: str = ""
    offset: Count = 0
    prot: Literal["none", "r", "rw", "w"] = "rw"
    shared: bool | None = None


class Munmap(Step, frozen=True, tag=_word, kw_only=True):
    """munmap(2) of `pages` pages (0: the rest) from `page` of the mapping."""

    map: Name
    page: Count = 0
    pages: Count = 0


class Mprotect(Step, frozen=True, tag=_word, kw_only=True):
    """mprotect(2)."""

    map: Name
    page: Count = 0
    pages: Count = 0
    prot: Literal["none", "r", "rw", "w"] = "r"


class Madvise(Step, frozen=True, tag=_word, kw_only=True):
    """madvise(2)."""

    map: Name
    page: Count = 0
    pages: Count = 0
    advice: Literal["dontneed"] = "dontneed"


class Store(Step, frozen=True, tag=_word, kw_only=True):
    """The CPU stores `value` into `length` bytes."""

    map: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 8
    value: Byte


class Load(Step, frozen=True, tag=_word, kw_only=True):
    """The CPU loads `length` bytes."""

    map: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 8


class Write(Step, frozen=True, tag=_word, kw_only=True):
    """write(2) of `length` bytes of `value` at `offset` of the file, through the page cache."""

    file: str
    offset: int = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 4096
    value: Byte


class Read(Step, frozen=True, tag=_word, kw_only=True):
    """read(2) through the page cache."""

    file: str
    offset: int = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)] = 4096


class DirectIo(Step, frozen=True, tag=_word, kw_only=True):
    """O_DIRECT between whole pages of a file and a mapping. dir "read": from disk into memory."""

    file: str
    map: Name
    page: Count = 0
    pages: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    file_page: Count = 0
    dir: Literal["read", "write"]


class Fsync(Step, frozen=True, tag=_word, kw_only=True):
    """fsync(2)."""

    file: str


class Sync(Step, frozen=True, tag=_word, kw_only=True):
    """sync(2) of one file system (default: the only one)."""

    fs: str = ""


class Fadvise(Step, frozen=True, tag=_word, kw_only=True):
    """posix_fadvise(POSIX_FADV_DONTNEED): drop what is clean and unused from the page cache."""

    file: str


class Pin(Step, frozen=True, tag=_word, kw_only=True):
    """Let a driver pin user memory for its device.

    flags: "write", "longterm", "force", "nofault" are FOLL_*; "get" or "pin" choose get_user_pages or
    pin_user_pages (default: what drivers of the era use); "fast" and "remote" their variants.
    """

    name: Name = msgspec.field(name="as")
    device: str
    map: Name
    page: Count = 0
    pages: Count = 1
    flags: tuple[PinFlag, ...] = ("write",)


class DmaWrite(Step, frozen=True, tag=_word, kw_only=True):
    """The device writes `value` into a pinned page, chunk by chunk."""

    pin: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 4096
    value: Byte


class DmaRead(Step, frozen=True, tag=_word, kw_only=True):
    """The device reads a pinned page, chunk by chunk."""

    pin: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 4096


class SetDirty(Step, frozen=True, tag=_word, kw_only=True):
    """The driver marks the pinned pages dirty: under the page lock, without it, or only the flag ("raw", as VFIO did
    before 5.6)."""

    pin: Name
    how: Literal["lock", "nolock", "raw"] = "lock"


class Unpin(Step, frozen=True, tag=_word, kw_only=True):
    """The driver gives the pages back. dirty: mark them dirty first. how: "match" is the partner of the call that took
    them; "put" and "unpin" are a driver's unconverted error path."""

    pin: Name
    dirty: bool = False
    how: Literal["match", "put", "unpin"] = "match"


class Writeback(Step, frozen=True, tag=_word, kw_only=True):
    """Wake the flusher thread for one pass over all dirty files (default: of the only file system)."""

    fs: str = ""


class Shrink(Step, frozen=True, tag=_word, kw_only=True):
    """Memory pressure: kswapd scans `pages` pages of the inactive lists. direct: direct reclaim, which writes no file
    pages. anon: also anonymous pages (needs swap). force: take pages although they were referenced since the last
    scan; without it a page that was touched is only seen to be old the second time."""

    pages: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1
    direct: bool = False
    anon: bool = True
    force: bool = False


class Wait(Step, frozen=True, tag=_word, kw_only=True):
    """Let virtual time pass."""

    time: Duration


class Signal(Step, frozen=True, tag=_word, kw_only=True):
    """kill(2): SIGKILL is pending for a process."""

    process: Name
    signal: Literal["SIGKILL"] = "SIGKILL"


class Exit(Step, frozen=True, tag=_word, kw_only=True):
    """The process ends: devices are closed, the address space goes."""


AnyStep: TypeAlias = (
    Mmap
    | Munmap
    | Mprotect
    | Madvise
    | Store
    | Load
    | Write
    | Read
    | DirectIo
    | Fsync
    | Sync
    | Fadvise
    | Pin
    | DmaWrite
    | DmaRead
    | SetDirty
    | Unpin
    | Writeback
    | Shrink
    | Wait
    | Signal
    | Exit
)
STEPS: tuple[type[Step], ...] = AnyStep.__args__


def word(step: type[Step] | Step) -> str:
    """How a scenario file writes this step: "dma_write"."""
    return str(step.__struct_config__.tag)
