"""Page tables, as those see them who take no lock: the MMU of a CPU and the GUP-fast walk; what changes in them.

Addresses are in bytes, `mm` names an address space (as "app").
"""

from __future__ import annotations

from enum import IntEnum

from protocol.message import Flag, Message, Request, Tracepoint


class EntryKind(IntEnum):
    """What a page-table entry is (B1). A PAGE above the last level is a huge leaf."""

    NONE = 0
    TABLE = 1
    PAGE = 2
    SWAP = 3
    MIGRATION = 4
    """A migration entry: the page is on its way, or being split; whoever faults waits."""


class Entry(Message, frozen=True):
    """One page-table entry, read as a whole.

    target: pfn of a PAGE (the first one of a huge leaf) or of a MIGRATION, id of a TABLE, slot of a SWAP entry.
    generation: of the table page that it points to.
    """

    kind: int = EntryKind.NONE
    target: int = 0
    generation: int = 0
    writable: bool = False
    dirty: bool = False
    young: bool = False
    special: bool = False
    """pte_special: no struct page semantics (the zero page)."""
    protnone: bool = False
    exclusive: bool = False
    """A SWAP or MIGRATION entry that remembers PageAnonExclusive (5.19)."""
    invalid: bool = False
    """A huge leaf after pmdp_invalidate: absent for the hardware and for the fast walk, huge for everybody else."""
    splitting: bool = False
    """pmd_trans_splitting: the bit of kernels before 4.5."""


class WalkHardware(Request["Translation"], frozen=True):
    """The MMU of `cpu` walks the tables after a TLB miss, and sets the accessed (and for a write the dirty) bit as
    one atomic step with its last read."""

    mm: str
    address: int
    write: bool
    cpu: str


class Translation(Message, frozen=True):
    """What goes into the TLB; ok False: page fault. Answers WalkHardware."""

    ok: bool
    pfn: int = 0
    writable: bool = False
    dirty: bool = False


class SetDirtyBit(Request[Flag], frozen=True):
    """A store through a TLB entry without D: the MMU sets D in the page-table entry, and faults (answers no) if the
    entry is no longer present and writable (B0, case b)."""

    mm: str
    address: int
    pfn: int


class ReadRoot(Request[Entry], frozen=True):
    """pgd of the mm, as a TABLE entry. From the GUP-fast walk of a cpu."""

    mm: str


class ReadEntry(Request[Entry], frozen=True):
    """One lockless read of one page-table entry (B1). table: id of the table page, generation as found in the entry
    that led there; `index` within it; level: 0 for the last one. From the GUP-fast walk of a cpu."""

    mm: str
    table: int
    generation: int
    index: int
    level: int = 0


class FastPinBegin(Request["PinSequence"], frozen=True):
    """Before a fast pin: set MMF_HAS_PINNED and read write_protect_seq (B1, steps 2 and 5)."""

    mm: str


class PinSequence(Message, frozen=True):
    """write_protect_seq: odd while a fork write-protects. Answers FastPinBegin and FastPinEnd."""

    sequence: int


class FastPinEnd(Request[PinSequence], frozen=True):
    """After a fast pin: read write_protect_seq again."""

    mm: str


class EntryChanged(Tracepoint, frozen=True, tag="mm:pte"):
    """A page-table entry changed. now: "none", "ro", "rw", "rw,dirty", "swap", "migration", "table"; level: 0 for a
    last-level entry, 1 for a pmd, 2 for a pud. why: the function that did it."""

    mm: str
    address: int
    pfn: int
    now: str
    why: str
    level: int = 0

    def say(self) -> str:
        what = ("entry", "pmd", "pud")[self.level] if self.level < 3 else f"level-{self.level} entry"
        return f"{self.why}: {what} of {self.mm} at {self.address:#x} (page {self.pfn}) is {self.now}"


class TableAlloc(Tracepoint, frozen=True, tag="table:alloc"):
    """A page became a page table of `mm`. generation: how often this table page was in use before, plus one."""

    mm: str
    table: int
    generation: int
    level: int

    def say(self) -> str:
        return f"table {self.table} (generation {self.generation}) is a level-{self.level} page table of {self.mm}"


class TableFree(Tracepoint, frozen=True, tag="table:free"):
    """A page-table page returned to the allocator. how: "rcu", "flush", "sync", "at once"."""

    table: int
    generation: int
    how: str

    def say(self) -> str:
        return f"table {self.table} (generation {self.generation}) freed ({self.how})"


class TableRead(Tracepoint, frozen=True, tag="table:read"):
    """A lockless walker read an entry of a table page. generation: of the table that the walker believes to read;
    now: of what is there, 0 if the page is free."""

    by: str
    mm: str
    table: int
    generation: int
    now: int

    def say(self) -> str:
        state = "" if self.now == self.generation else f", which is {f'generation {self.now}' if self.now else 'free'}"
        return f"{self.by} reads table {self.table} (generation {self.generation}){state}"


MESSAGES: tuple[type[Message], ...] = (
    Entry, WalkHardware, Translation, SetDirtyBit, ReadRoot, ReadEntry, FastPinBegin, PinSequence, FastPinEnd,
)  # fmt: skip
TRACEPOINTS: tuple[type[Tracepoint], ...] = (EntryChanged, TableAlloc, TableFree, TableRead)
