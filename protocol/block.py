"""A disk: blocks of one page, a write cache, guard tags (checksums). It reads and writes memory by itself."""

from __future__ import annotations

from gupsim.protocol.memory import Data
from gupsim.protocol.message import Message, Request, Status, Tracepoint


class SubmitBio(Message, frozen=True):
    """submit_bio(): move one block between the disk and frame `pfn`, in chunks. From fs, reclaim.

    write: memory to disk. tag: given back in BioEnd. The interrupt at the end goes to the sender as BioEnd."""

    lba: int
    pfn: int
    write: bool
    tag: int
    sender: str


class BioEnd(Message, frozen=True):
    """bio_endio(), in interrupt context. error: 0, or -84 (-EILSEQ): the guard tag did not match on a read."""

    tag: int
    error: int


class FlushDisk(Request[Status], frozen=True):
    """REQ_OP_FLUSH: everything in the write cache goes to the media. From fs, in fsync."""


class ServeNext(Request["Served"], frozen=True):
    """The program behind a served disk (a loop device over FUSE, ublk) answers the oldest request. From process.
    fill: the byte that a read gets."""

    fill: int


class Served(Message, frozen=True):
    """error: 0, or -11 (-EAGAIN): there is no request. first: byte that was read or written. Answers ServeNext."""

    error: int
    first: int = 0


class ReadBlock(Request["BlockContent"], frozen=True):
    """What a reader of the raw device would get now, without any I/O time. From the observer."""

    lba: int


class BlockContent(Message, frozen=True):
    """data: content; intact: it matches its guard tag; durable: not only in the write cache. Answers ReadBlock."""

    data: Data
    intact: bool
    durable: bool


class BlockInit(Tracepoint, frozen=True, tag="block:init"):
    """At boot, blocks first .. first + count - 1 all hold content with these chunk digests."""

    block: str
    first: int
    count: int
    digests: tuple[int, ...]

    def say(self) -> str:
        return f"{self.block} holds {self.count} block(s) from {self.first} at boot"


class BlockChecksum(Tracepoint, frozen=True, tag="block:checksum"):
    """The guard tag of a write was computed from live memory (B11, step 7)."""

    block: str
    lba: int
    pfn: int
    guard: int

    def say(self) -> str:
        return f"{self.block}: checksum for block {self.lba} computed from page {self.pfn}"


class BlockWrite(Tracepoint, frozen=True, tag="block:write"):
    """A write reached the disk. digests: CRC-32 of each chunk stored; checked: the device keeps guard tags;
    intact: the guard matches what was stored."""

    block: str
    lba: int
    pfn: int
    digests: tuple[int, ...]
    checked: bool
    intact: bool

    def say(self) -> str:
        bad = "" if self.intact else ", which does NOT match its checksum"
        return f"{self.block} stored page {self.pfn} as block {self.lba}{bad}"


class BlockRead(Tracepoint, frozen=True, tag="block:read"):
    """A block was read into memory. digests as in block:write; error: 0 or -84 for a wrong guard."""

    block: str
    lba: int
    pfn: int
    digests: tuple[int, ...]
    error: int

    def say(self) -> str:
        return f"{self.block} read block {self.lba} into page {self.pfn}" + (
            f": error {self.error}" if self.error else ""
        )


class BlockFlush(Tracepoint, frozen=True, tag="block:flush"):
    """The write cache is on the media."""

    block: str
    blocks: int

    def say(self) -> str:
        return f"{self.block}: write cache flushed ({self.blocks} blocks)"


MESSAGES: tuple[type[Message], ...] = (
    SubmitBio,
    BioEnd,
    FlushDisk,
    ServeNext,
    Served,
    ReadBlock,
    BlockContent,
)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (BlockInit, BlockChecksum, BlockWrite, BlockRead, BlockFlush)
