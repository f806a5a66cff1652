"""Writeback: the loop that finds dirty pages by tag and writes them (B11)."""

from __future__ import annotations

from gupsim.protocol.message import Message, Request, Tracepoint


class Writeback(Request["WritebackDone"], frozen=True):
    """One pass of writeback. From process (a nudge to the flusher thread), and from fs for fsync, in the caller's
    context.

    ino: one file, or 0 for all dirty ones. sync: WB_SYNC_ALL: write what was dirty at the start and wait for it."""

    ino: int = 0
    sync: bool = False


class WritebackDone(Message, frozen=True):
    """Pages submitted; error: 0 or a negative errno. Answers Writeback."""

    pages: int
    error: int = 0


class StartPeriodic(Message, frozen=True):
    """Wake the flusher thread every `interval` ns until `until` ns of virtual time (dirty_writeback_interval)."""

    interval: int
    until: int


class WritebackPass(Tracepoint, frozen=True, tag="writeback:pass"):
    """A pass over dirty pages began."""

    fs: str
    ino: int
    sync: bool

    def say(self) -> str:
        scope = f"inode {self.ino}" if self.ino else "all dirty inodes"
        return f"writeback of {scope} on {self.fs} begins{' (sync)' if self.sync else ''}"


class WritebackStart(Tracepoint, frozen=True, tag="writeback:start"):
    """A page goes under writeback: dirty cleared, PG_writeback set, I/O submitted from frame `source`."""

    pfn: int
    fs: str
    ino: int
    index: int
    source: int

    def say(self) -> str:
        source = "" if self.source == self.pfn else f" from bounce page {self.source}"
        return f"writeback of page {self.pfn} starts{source}"


class WritebackEnd(Tracepoint, frozen=True, tag="writeback:end"):
    """end_page_writeback()."""

    pfn: int
    fs: str
    ino: int
    index: int
    error: int

    def say(self) -> str:
        return (
            f"writeback of page {self.pfn} ends, buffers are clean"
            if not self.error
            else f"writeback of page {self.pfn} failed: {self.error}"
        )


class WritebackSkip(Tracepoint, frozen=True, tag="writeback:skip"):
    """A page found by tag was not written. why: "clean", "moved", "under_writeback", "pinned"."""

    pfn: int
    why: str

    def say(self) -> str:
        return f"writeback skips page {self.pfn}: {self.why.replace('_', ' ')}"


class WritebackBounce(Tracepoint, frozen=True, tag="writeback:bounce"):
    """Proposal P6: a pinned page was copied, and the copy `bounce` will be written."""

    pfn: int
    bounce: int

    def say(self) -> str:
        return f"page {self.pfn} may be pinned: its snapshot, page {self.bounce}, will be written instead"


MESSAGES: tuple[type[Message], ...] = (Writeback, WritebackDone, StartPeriodic)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (
    WritebackPass,
    WritebackStart,
    WritebackEnd,
    WritebackSkip,
    WritebackBounce,
)
