"""The steps of a scenario: system calls, device commands and daemon nudges, in a kernel developer's words.

A scenario file writes a step as ``- mmap: {as: buf, file: F}``; the class name in lower case with underscores is
the word. Pages are counted in 4 KiB, offsets and lengths in bytes; `map`, `pin`, `file`, `device` are names that the
scenario or an earlier step of the same process gave.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from gupsim.protocol.call_steps import (
    Fallocate,
    Mincore,
    Msync,
    PipeRead,
    ProcessVm,
    PunchHole,
    RegisterBuffers,
    Seal,
    Serve,
    Setrlimit,
    Setuid,
    SyncFileRange,
    Truncate,
    Vmsplice,
)
from gupsim.protocol.step import Byte, Count, Gate, Name, Step, word_of
from gupsim.protocol.units import Duration

PinFlag = Literal["write", "longterm", "force", "get", "pin", "fast", "remote", "nofault", "fast_only"]
Advice = Literal[
    "dontneed",
    "free",
    "pageout",
    "populate_read",
    "populate_write",
    "hugepage",
    "nohugepage",
    "collapse",
    "dontfork",
    "dofork",
    "wipeonfork",
    "keeponfork",
]


class Mmap(Step, frozen=True, tag=word_of, kw_only=True):
    """mmap(2). Without `file`: anonymous memory. shared: MAP_SHARED; default: true for files, false for anonymous.

    align: start at a multiple of so many bytes (0: of a page). hugetlb: MAP_HUGETLB with pages of this order. memfd:
    which file of such pages (memfd_create with MFD_HUGETLB), the same for everybody; 0 for none. device: memory that
    its driver maps, pages of its own (vm_insert_page, VM_MIXEDMAP), or registers (VM_PFNMAP), which are no memory."""

    name: Name = msgspec.field(name="as")
    pages: Count = 1
    file: str = ""
    offset: Count = 0
    prot: Literal["none", "r", "rw", "w"] = "rw"
    shared: bool | None = None
    align: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0
    hugetlb: Annotated[int, msgspec.Meta(ge=0, le=18)] = 0
    memfd: Count = 0
    device: str = ""
    backing: Literal["pages", "registers"] = "pages"


class Munmap(Step, frozen=True, tag=word_of, kw_only=True):
    """munmap(2) of `pages` pages (0: the rest) from `page` of the mapping."""

    map: Name
    page: Count = 0
    pages: Count = 0


class Mprotect(Step, frozen=True, tag=word_of, kw_only=True):
    """mprotect(2)."""

    map: Name
    page: Count = 0
    pages: Count = 0
    prot: Literal["none", "r", "rw", "w"] = "r"


class Mremap(Step, frozen=True, tag=word_of, kw_only=True):
    """mremap(2) of `pages` pages (0: the rest) to a fresh address. `as` names it; by default the name moves along."""

    map: Name
    page: Count = 0
    pages: Count = 0
    name: str = msgspec.field(name="as", default="")


class Madvise(Step, frozen=True, tag=word_of, kw_only=True):
    """madvise(2)."""

    map: Name
    page: Count = 0
    pages: Count = 0
    advice: Advice = "dontneed"


class Store(Step, frozen=True, tag=word_of, kw_only=True):
    """The CPU stores `value` into `length` bytes."""

    map: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 8
    value: Byte


class Load(Step, frozen=True, tag=word_of, kw_only=True):
    """The CPU loads `length` bytes."""

    map: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 8


class Write(Step, frozen=True, tag=word_of, kw_only=True):
    """write(2) of `length` bytes of `value` at `offset` of the file, through the page cache."""

    file: str
    offset: int = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 4096
    value: Byte


class Read(Step, frozen=True, tag=word_of, kw_only=True):
    """read(2) through the page cache."""

    file: str
    offset: int = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)] = 4096


class DirectIo(Step, frozen=True, tag=word_of, kw_only=True):
    """O_DIRECT between whole pages of a file and a mapping. dir "read": from disk into memory.

    fast: pages are taken with get_user_pages_fast(), as the kernel does it; by default with the slow walk alone, which
    leaves less to search."""

    file: str
    map: Name
    page: Count = 0
    pages: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    file_page: Count = 0
    dir: Literal["read", "write"]
    fast: bool = False


class Fsync(Step, frozen=True, tag=word_of, kw_only=True):
    """fsync(2)."""

    file: str


class Sync(Step, frozen=True, tag=word_of, kw_only=True):
    """sync(2) of one file system (default: the only one)."""

    fs: str = ""


class Fadvise(Step, frozen=True, tag=word_of, kw_only=True):
    """posix_fadvise(POSIX_FADV_DONTNEED): start writeback, and drop what is clean and unused from the page cache."""

    file: str


class Pin(Step, frozen=True, tag=word_of, kw_only=True):
    """Let a driver pin user memory for its device.

    flags: "write", "longterm", "force", "nofault" are FOLL_*; "get" or "pin" choose get_user_pages or
    pin_user_pages (default: what drivers of the era use); "fast" and "remote" their variants. times: call it so often
    for its one page, as somebody does who wants to make a count overflow.
    """

    name: Name = msgspec.field(name="as")
    device: str
    map: Name
    page: Count = 0
    pages: Count = 1
    flags: tuple[PinFlag, ...] = ("write",)
    times: Annotated[int, msgspec.Meta(ge=1, le=(1 << 32) - 1)] = 1


class DmaWrite(Step, frozen=True, tag=word_of, kw_only=True):
    """The device writes `value` into a pinned page, chunk by chunk."""

    pin: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 4096
    value: Byte


class DmaRead(Step, frozen=True, tag=word_of, kw_only=True):
    """The device reads a pinned page, chunk by chunk."""

    pin: Name
    page: Count = 0
    offset: Count = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 4096


class SetDirty(Step, frozen=True, tag=word_of, kw_only=True):
    """The driver marks the pinned pages dirty: under the page lock, without it, or only the flag ("raw", as VFIO did
    before 5.6)."""

    pin: Name
    how: Literal["lock", "nolock", "raw"] = "lock"


class Unpin(Step, frozen=True, tag=word_of, kw_only=True):
    """The driver gives the pages back. dirty: mark them dirty first. how: "match" is the partner of the call that took
    them; "put" and "unpin" are a driver's unconverted error path. pages: the driver does not look at what it got but
    gives back so many: behind what it got its array has pages of an earlier call, and a negative number is an errno
    that it took for a count."""

    pin: Name
    dirty: bool = False
    how: Literal["match", "put", "unpin"] = "match"
    pages: Annotated[int, msgspec.Meta(ge=-4095, le=1 << 20)] | None = None


class Migrate(Step, frozen=True, tag=word_of, kw_only=True):
    """The kernel moves one anonymous page to another frame: NUMA balancing, compaction, move_pages(2)."""

    map: Name
    page: Count = 0


class Writeback(Step, frozen=True, tag=word_of, kw_only=True):
    """Wake the flusher thread for one pass over all dirty files (default: of the only file system)."""

    fs: str = ""


class Shrink(Step, frozen=True, tag=word_of, kw_only=True):
    """Memory pressure: kswapd scans `pages` pages of the inactive lists. direct: direct reclaim, which writes no file
    pages. anon: also anonymous pages (needs swap). force: take pages although they were referenced since the last
    scan; without it a page that was touched is only seen to be old the second time."""

    pages: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1
    direct: bool = False
    anon: bool = True
    force: bool = False


class Collapse(Step, frozen=True, tag=word_of, kw_only=True):
    """khugepaged looks at the huge range that holds this page, and collapses it if it can. For the program's own
    request see madvise with advice "collapse"."""

    map: Name
    page: Count = 0


class Idle(Step, frozen=True, tag=word_of, kw_only=True):
    """The thread sleeps and its CPU runs a kernel thread, which borrows the address space (lazy TLB), until a thread
    needs that CPU again. map: the CPU's MMU walks ahead to this `page` meanwhile, as it may at any time."""

    map: Name | None = None
    page: Count = 0


class Preempt(Step, frozen=True, tag=word_of, kw_only=True):
    """The hypervisor takes a CPU from the guest, interrupts off or not: it does nothing until `resume`. Only on the
    platform x86-paravirt."""

    cpu: Count


class Resume(Step, frozen=True, tag=word_of, kw_only=True):
    """The hypervisor lets the CPU run again."""

    cpu: Count


class Wait(Step, frozen=True, tag=word_of, kw_only=True):
    """Let virtual time pass."""

    time: Duration


class Signal(Step, frozen=True, tag=word_of, kw_only=True):
    """kill(2): SIGKILL is pending for a process."""

    process: Name
    signal: Literal["SIGKILL"] = "SIGKILL"


class Fork(Step, frozen=True, tag=word_of, kw_only=True):
    """fork(2): the threads of process `child` start when it has ended. The child knows the names of the parent's
    mappings and pins, and has its devices open."""

    child: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,39}$")]


class Waitpid(Step, frozen=True, tag=word_of, kw_only=True):
    """waitpid(2): sleeps until a child has ended."""

    child: Name


class Exit(Step, frozen=True, tag=word_of, kw_only=True):
    """The process ends: devices are closed, the address space goes."""


AnyStep: TypeAlias = (
    Mmap
    | Munmap
    | Mprotect
    | Mremap
    | Madvise
    | Mincore
    | Msync
    | Store
    | Load
    | Write
    | Read
    | Truncate
    | Fallocate
    | Seal
    | PunchHole
    | DirectIo
    | Fsync
    | SyncFileRange
    | Sync
    | Fadvise
    | Pin
    | DmaWrite
    | DmaRead
    | SetDirty
    | Unpin
    | RegisterBuffers
    | Vmsplice
    | PipeRead
    | ProcessVm
    | Serve
    | Setrlimit
    | Setuid
    | Migrate
    | Writeback
    | Shrink
    | Collapse
    | Idle
    | Preempt
    | Resume
    | Wait
    | Signal
    | Fork
    | Waitpid
    | Exit
)
STEPS: tuple[type[Step], ...] = AnyStep.__args__


def word(step: type[Step] | Step) -> str:
    """How a scenario file writes this step: "dma_write"."""
    return str(step.__struct_config__.tag)


__all__ = [
    "STEPS", "Advice", "AnyStep", "Byte", "Collapse", "Count", "DirectIo", "DmaRead", "DmaWrite", "Exit",
    "Fadvise", "Fallocate", "Fork", "Fsync", "Gate", "Idle", "Load", "Madvise", "Migrate", "Mincore", "Mmap",
    "Mprotect", "Mremap", "Msync", "Munmap", "Name", "Pin", "PinFlag", "PipeRead", "Preempt", "ProcessVm", "PunchHole",
    "Read", "RegisterBuffers", "Resume", "Seal", "Serve", "SetDirty", "Setrlimit", "Setuid", "Shrink", "Signal", "Step",
    "Store", "Sync", "SyncFileRange", "Truncate", "Unpin", "Vmsplice", "Wait", "Waitpid", "Write", "Writeback", "word",
]  # fmt: skip
