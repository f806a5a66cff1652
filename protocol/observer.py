"""The observer: looks at the end of a history from outside, as root with /proc and a disk editor would."""

from __future__ import annotations

from gupsim.protocol.message import Message, Request, Tracepoint


class Observe(Request["Observation"], frozen=True):
    """Read vmstat, and each file's cache and disk content. files: (name, fs address, ino, block address)."""

    memmap: str
    files: tuple[tuple[str, str, int, str], ...]


class Observation(Message, frozen=True):
    """vmstat counters in a fixed order. Answers Observe."""

    vmstat: tuple[tuple[str, int], ...]


class ObservePage(Message, frozen=True):
    """Look at a page of a process: pagemap, smaps, kpagecount, kpageflags. From outside the world; told by a PageSeen.

    process: address of its actor; map, page: the place by the program's own name."""

    process: str
    map: str
    page: int


class ObserveFrame(Message, frozen=True):
    """Look at a frame, whoever has it: kpagecount, kpageflags. host: as "h0". From outside; told by a FrameSeen."""

    host: str
    pfn: int


class ObserveTask(Message, frozen=True):
    """Look at /proc/PID/status. process: address of its actor. From outside; told by a TaskSeen."""

    process: str


class ObserveContent(Message, frozen=True):
    """What is in files and in mapped memory at the end. From outside; told by a ContentSeen for each page.

    host: as "h0". files: (name, fs address, ino, pages, block address or ""); maps: (name of the process, map, pages).
    chunk: bytes of which the first one is told."""

    host: str
    files: tuple[tuple[str, str, int, int, str], ...]
    maps: tuple[tuple[str, str, int], ...]
    chunk: int


class ContentSeen(Tracepoint, frozen=True, tag="observer:content"):
    """place: "file data:0" (as read(2) shows page 0), "disk data:0" (its block), "memory app/buf:0" (page 0 of mapping
    buf of process app). bytes: the first one of each chunk, where it differs from the one before: "0xaa", "0x11/0xaa";
    "hole", "none" or "swap" where there are none."""

    place: str
    bytes: str

    def say(self) -> str:
        return f"{self.place} holds {self.bytes}"


class FrameSeen(Tracepoint, frozen=True, tag="observer:frame"):
    """A frame. flags: bits of `Page`, those of its folio; maps: number of mappings; head, folio: first page of its
    folio, and how many it has."""

    pfn: int
    flags: int
    maps: int
    head: int
    folio: int

    def say(self) -> str:
        return f"page {self.pfn}: mapped {self.maps} time(s), folio of {self.folio} page(s)"


class PageSeen(Tracepoint, frozen=True, tag="observer:page"):
    """A page of a process. mapped: is there a mapping at all; state: "none", "present" or "swap"; pfn: -1 if not
    present; anon_huge: pages of the whole mapping that huge leaves map and that are anonymous."""

    mm: str
    address: int
    mapped: bool
    state: str
    pfn: int
    anon_huge: int

    def say(self) -> str:
        return f"{self.mm} at {self.address:#x}: {self.state}" + (f", page {self.pfn}" if self.pfn >= 0 else "")


class TaskSeen(Tracepoint, frozen=True, tag="observer:task"):
    """VmPin and VmLck in pages."""

    mm: str
    pinned: int
    locked: int

    def say(self) -> str:
        return f"{self.mm}: VmPin {self.pinned} page(s), VmLck {self.locked} page(s)"


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


MESSAGES: tuple[type[Message], ...] = (Observe, Observation, ObservePage, ObserveFrame, ObserveTask, ObserveContent)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (FileSeen, VmstatSeen, FrameSeen, PageSeen, TaskSeen, ContentSeen)
