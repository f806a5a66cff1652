"""Page tables, as those see them who take no lock: the MMU of a CPU and the GUP-fast walk; what changes in them.

Addresses are in bytes, `mm` names an address space (as "app").
"""

from __future__ import annotations

from enum import IntEnum

from msgspec.structs import replace

from gupsim.protocol.message import Flag, Message, Request, Tracepoint


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
    """No struct page semantics: the zero page, registers. Who knows the mapping sees it in every case, the fast walk
    only where entries have a bit for it (rule pte_special)."""
    protnone: bool = False
    exclusive: bool = False
    """A SWAP or MIGRATION entry that remembers PageAnonExclusive (5.19)."""
    invalid: bool = False
    """A huge leaf after pmdp_invalidate: absent for the hardware and for the fast walk, huge for everybody else."""
    splitting: bool = False
    """pmd_trans_splitting: the bit of kernels before 4.5."""


class WalkHardware(Request["Translation"], frozen=True):
    """The MMU of `cpu` walks the tables after a TLB miss, and sets the accessed (and for a write the dirty) bit as
    one atomic step with its last read. fresh: it has no translation of this mm yet, and asks for its generation."""

    mm: str
    address: int
    write: bool
    cpu: str
    fresh: bool = False


class Translation(Message, frozen=True):
    """What goes into the TLB; ok False: page fault. Answers WalkHardware.

    pfn: of the page that was asked for. pages: that the leaf maps, 1 for a last-level entry. generation: mm.tlb_gen,
    if that was asked for."""

    ok: bool
    pfn: int = 0
    writable: bool = False
    dirty: bool = False
    pages: int = 1
    generation: int = 0


class ReadTlbGen(Request["TlbGen"], frozen=True):
    """mm.tlb_gen, by which a CPU that returns to an mm sees whether it missed a flush (B4). From a cpu."""

    mm: str


class TlbGen(Message, frozen=True):
    """How often the translations of an mm were flushed. Answers ReadTlbGen."""

    generation: int


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
    that led there; `index` within it; level: 0 for the last one; word: LOW or HIGH of an entry of two words, 0 for all
    of it. From the GUP-fast walk of a cpu."""

    mm: str
    table: int
    generation: int
    index: int
    level: int = 0
    word: int = 0


LOW, HIGH = 1, 2
"""Words of a last-level entry that is wider than a machine word (rule pte_read)."""

_LOW_BITS = 1
"""Bits of the pfn in the low word, beside the flags. PAE has 20 there: with one, small memories show a torn read."""


def word_of(entry: Entry, word: int) -> Entry:
    """One word of an entry, as an entry whose other word is zero."""
    mask = (1 << _LOW_BITS) - 1
    return replace(entry, target=entry.target & mask) if word == LOW else Entry(target=entry.target & ~mask)


def join_words(low: Entry, high: Entry) -> Entry:
    """What two words read one after the other are taken for; they may belong to different entries."""
    return replace(low, target=low.target | high.target) if low.kind != EntryKind.NONE else Entry()


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
    """A page-table entry changed. now: "none", "ro", "rw", "rw,dirty", "protnone", "swap", "migration", "table";
    pfn: of the page that it maps now, or did before, or -1. level: 0 for a last-level entry, 1 for a pmd, 2 for a pud;
    pages: that it covers. why: the function that did it."""

    mm: str
    address: int
    pfn: int
    now: str
    why: str
    level: int = 0
    pages: int = 1

    def say(self) -> str:
        what = ("entry", "pmd", "pud")[self.level] if self.level < 3 else f"level-{self.level} entry"
        page = f" (page {self.pfn})" if self.pfn >= 0 else ""
        return f"{self.why}: {what} of {self.mm} at {self.address:#x}{page} is {self.now}"


class TableAlloc(Tracepoint, frozen=True, tag="table:alloc"):
    """A page that was a page table before is one again, of `mm`. generation: how often it was one, this time
    included."""

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
    Entry, WalkHardware, Translation, ReadTlbGen, TlbGen, SetDirtyBit, ReadRoot, ReadEntry, FastPinBegin, PinSequence,
    FastPinEnd,
)  # fmt: skip
TRACEPOINTS: tuple[type[Tracepoint], ...] = (EntryChanged, TableAlloc, TableFree, TableRead)
