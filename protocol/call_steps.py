"""Steps that are system calls around user memory: io_uring, vmsplice, process_vm_readv, msync and the like."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gupsim.protocol.step import Byte, Count, Name, Step, word_of

SealName = Literal["seal", "shrink", "grow", "write", "future_write"]
"""F_SEAL_*."""


class Mincore(Step, frozen=True, tag=word_of, kw_only=True):
    """mincore(2): a 1 for each page that is in memory, a 0 for each that is not."""

    map: Name
    page: Count = 0
    pages: Count = 0


class Msync(Step, frozen=True, tag=word_of, kw_only=True):
    """msync(2) with MS_SYNC: fsync of the files that are mapped there, shared."""

    map: Name
    page: Count = 0
    pages: Count = 0


class PunchHole(Step, frozen=True, tag=word_of, kw_only=True):
    """fallocate(2) with FALLOC_FL_PUNCH_HOLE, on a memfd of huge pages."""

    memfd: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    page: Count = 0
    pages: Count = 1


class Truncate(Step, frozen=True, tag=word_of, kw_only=True):
    """ftruncate(2) to `pages` pages."""

    file: str
    pages: Count


class Fallocate(Step, frozen=True, tag=word_of, kw_only=True):
    """fallocate(2): FALLOC_FL_PUNCH_HOLE, or FALLOC_FL_ZERO_RANGE, which memfds do not know."""

    file: str
    mode: Literal["punch", "zero"] = "punch"
    page: Count = 0
    pages: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1


class Seal(Step, frozen=True, tag=word_of, kw_only=True):
    """fcntl(2) with F_ADD_SEALS on a memfd."""

    file: str
    seals: Annotated[tuple[SealName, ...], msgspec.Meta(min_length=1)]


class SyncFileRange(Step, frozen=True, tag=word_of, kw_only=True):
    """sync_file_range(2) of the whole file, waited for: no flush of the disk's cache."""

    file: str


class RegisterBuffers(Step, frozen=True, tag=word_of, kw_only=True):
    """A new io_uring and IORING_REGISTER_BUFFERS of one buffer: a long-term pin for writing that belongs to the ring.

    The name stands for the ring: dma_write is IORING_OP_READ_FIXED, dma_read IORING_OP_WRITE_FIXED, unpin
    IORING_UNREGISTER_BUFFERS. fork shares the ring, and the last of its users to exit releases it."""

    name: Name = msgspec.field(name="as")
    map: Name
    page: Count = 0
    pages: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1


class Vmsplice(Step, frozen=True, tag=word_of, kw_only=True):
    """A new pipe and vmsplice(2) of user pages into it: plain references, for reading. unpin closes the pipe."""

    name: Name = msgspec.field(name="as")
    map: Name
    page: Count = 0
    pages: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


class PipeRead(Step, frozen=True, tag=word_of, kw_only=True):
    """read(2) of whole pages from a pipe; they leave it. The result is the first byte of each."""

    pin: Name
    pages: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


class ProcessVm(Step, frozen=True, tag=word_of, kw_only=True):
    """process_vm_readv(2) ("read") or process_vm_writev(2) of whole pages of another process, at the addresses that
    `map` has in this one."""

    dir: Literal["read", "write"]
    target: Name
    map: Name
    page: Count = 0
    pages: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1
    value: Byte = 0


class Serve(Step, frozen=True, tag=word_of, kw_only=True):
    """The program behind a served disk answers its oldest request: a read gets `value`. The result is the byte that was
    read or written."""

    disk: str
    value: Byte = 0


class Setrlimit(Step, frozen=True, tag=word_of, kw_only=True):
    """setrlimit(2): RLIMIT_MEMLOCK in pages."""

    memlock: Count


class Setuid(Step, frozen=True, tag=word_of, kw_only=True):
    """setuid(2) to a user without capabilities."""

    uid: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 65534
