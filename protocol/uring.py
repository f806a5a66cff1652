"""io_uring: a ring with fixed buffers, which are user pages pinned for as long as the ring keeps them.

A ring is a file: who forks shares it, and it lives until its last descriptor is closed. `ring` is its number.
"""

from __future__ import annotations

from gupsim.protocol.message import Done, Message, Request, Status, Tracepoint
from gupsim.protocol.pages import Pages


class SetupRing(Request["Ring"], frozen=True):
    """io_uring_setup(2). From process.

    user: uid whose RLIMIT_MEMLOCK is charged, or -1 for a task with CAP_IPC_LOCK. memlock: that limit in pages.
    """

    user: int
    memlock: int


class Ring(Message, frozen=True):
    """Number of the ring, or a negative errno. Answers SetupRing."""

    ring: int


class RegisterBuffers(Request[Status], frozen=True):
    """IORING_REGISTER_BUFFERS of one buffer. From process, on `cpu` (an address).

    memlock: RLIMIT_MEMLOCK of the caller in pages. -14 (-EFAULT): not all of it can be pinned; -12 (-ENOMEM): beyond
    the limit; -95 (-EOPNOTSUPP): a file (rule uring_file); -16 (-EBUSY): there are buffers already.
    """

    ring: int
    mm: str
    address: int
    pages: int
    memlock: int
    cpu: str


class UnregisterBuffers(Request[Status], frozen=True):
    """IORING_UNREGISTER_BUFFERS: unpin; the ring stays open. -6 (-ENXIO): there are none. From process."""

    ring: int


class ReadFixed(Request["Copied"], frozen=True):
    """IORING_OP_READ_FIXED from a file of `fill` bytes: the kernel writes into the pinned page. From process."""

    ring: int
    page: int
    offset: int
    length: int
    fill: int


class WriteFixed(Request["Copied"], frozen=True):
    """IORING_OP_WRITE_FIXED: the kernel reads the pinned page. From process."""

    ring: int
    page: int
    offset: int
    length: int


class Copied(Message, frozen=True):
    """error: 0 or a negative errno (-14: no such buffer or page); first byte moved. Answers ReadFixed, WriteFixed."""

    error: int
    first: int = 0


class GetRing(Request[Done], frozen=True):
    """One more descriptor of the ring (fork: dup_fd). From process."""

    ring: int


class PutRing(Request[Done], frozen=True):
    """A descriptor of the ring is closed. The last one lets a worker release it all. From process."""

    ring: int


class FixedRegistered(Tracepoint, frozen=True, tag="uring:register"):
    """A fixed buffer of these pages. charged: pages that it costs (a huge page costs all of its pages)."""

    ring: int
    mm: str
    pfns: Pages
    charged: int

    def say(self) -> str:
        return f"io_uring {self.ring} of {self.mm} holds {len(self.pfns)} page(s), charged {self.charged}"


class FixedReleased(Tracepoint, frozen=True, tag="uring:release"):
    """The fixed buffer is unpinned."""

    ring: int
    mm: str

    def say(self) -> str:
        return f"io_uring {self.ring} of {self.mm} gave its pages back"


MESSAGES: tuple[type[Message], ...] = (
    SetupRing,
    Ring,
    RegisterBuffers,
    UnregisterBuffers,
    ReadFixed,
    WriteFixed,
    Copied,
    GetRing,
    PutRing,
)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (FixedRegistered, FixedReleased)
