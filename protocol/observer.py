"""The observer: looks at the end of a history from outside, as root with /proc and a disk editor would."""

from __future__ import annotations

from protocol.message import Message, Request, Tracepoint


class Observe(Request["Observation"], frozen=True):
    """Read vmstat, and each file's cache and disk content. files: (name, fs address, ino, block address)."""

    memmap: str
    files: tuple[tuple[str, str, int, str], ...]


class Observation(Message, frozen=True):
    """vmstat counters in a fixed order. Answers Observe."""

    vmstat: tuple[tuple[str, int], ...]


class FileSeen(Tracepoint, frozen=True, tag="observer:file"):
    """One page of a file. cached: first byte in memory, or -1; disk: first byte on disk, or -1; buffers, dirty: of the
    cached page; same: memory and disk hold the same bytes; intact: the disk's guard tag matches."""

    file: str
    index: int
    pfn: int
    cached: int
    disk: int
    buffers: bool
    dirty: bool
    same: bool
    intact: bool

    def say(self) -> str:
        memory = f"{self.cached:#04x} in page {self.pfn}" if self.cached >= 0 else "not cached"
        disk = f"{self.disk:#04x} on disk" if self.disk >= 0 else "no block on disk"
        both = self.cached >= 0 and self.disk >= 0
        state = (", same content" if self.same else ", content DIFFERS") if both else ""
        return f"{self.file} page {self.index}: {memory}, {disk}{state}"


class VmstatSeen(Tracepoint, frozen=True, tag="observer:vmstat"):
    """All counters, by name."""

    host: str
    counters: dict[str, int]

    def say(self) -> str:
        return "vmstat: " + ", ".join(f"{name} {value}" for name, value in self.counters.items() if value)


MESSAGES: tuple[type[Message], ...] = (Observe, Observation)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (FileSeen, VmstatSeen)
