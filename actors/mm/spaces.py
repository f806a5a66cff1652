"""Address spaces: VMAs and page tables (B1)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from actors.base import Actor, Entity, Field, Map, TicketLock
from protocol.memory import PAGE_SIZE
from protocol.mm import Entry, EntryKind, Prot

NONE = Entry()


class Vma(msgspec.Struct, frozen=True):
    """One mapping: [start, end) in bytes.

    prot: bits of `Prot`. fs, ino, pgoff: file system, inode and first page of a file mapping; fs "" if anonymous.
    """

    start: int
    end: int
    prot: int
    shared: bool
    fs: str = ""
    ino: int = 0
    pgoff: int = 0

    def writable(self) -> bool:
        return bool(self.prot & Prot.WRITE)

    def index_of(self, address: int) -> int:
        """Page index in the file of an address in this mapping."""
        return self.pgoff + (address - self.start) // PAGE_SIZE

    def part(self, start: int, end: int) -> Vma:
        """The same mapping, cut to [start, end)."""
        return msgspec.structs.replace(
            self, start=start, end=end, pgoff=self.pgoff + (start - self.start) // PAGE_SIZE if self.fs else 0
        )


class AddressSpace(Entity):
    """mm_struct.

    vmas: ordered by address. cpus: mm_cpumask, addresses of the CPUs that may cache translations.
    """

    vmas = Field[tuple[Vma, ...]](())
    cpus = Field[tuple[str, ...]](())
    next_address = Field[int](0)
    has_pinned = Field[bool](False)
    write_protect_seq = Field[int](0)
    killed = Field[bool](False)

    def __init__(self, owner: Actor, name: str, root: int) -> None:
        super().__init__(owner, f"mm {name}")
        self.mm = name
        self.root = root
        self.mmap_lock = TicketLock(owner, f"mmap_lock of {name}")

    def find_vma(self, address: int) -> Vma | None:
        """The mapping that contains an address."""
        for vma in self.vmas:
            if vma.start <= address < vma.end:
                return vma
        return None

    def covered(self, start: int, end: int) -> bool:
        """True if no byte of [start, end) is unmapped."""
        for vma in self.vmas:
            if vma.start <= start < vma.end:
                start = vma.end
        return start >= end

    def carve(self, start: int, end: int) -> list[Vma]:
        """Split the mappings at the edges of [start, end) and take out, and return, those inside."""
        inside: list[Vma] = []
        outside: list[Vma] = []
        for vma in self.vmas:
            low, high = max(vma.start, start), min(vma.end, end)
            if low >= high:
                outside.append(vma)
                continue
            inside.append(vma.part(low, high))
            if vma.start < low:
                outside.append(vma.part(vma.start, low))
            if high < vma.end:
                outside.append(vma.part(high, vma.end))
        self.set_vmas(outside)
        return inside

    def set_vmas(self, vmas: list[Vma]) -> None:
        """Replace all mappings."""
        self.vmas = tuple(sorted(vmas, key=lambda vma: vma.start))


class PageTables:
    """The page tables of all address spaces, each entry an object of its own in footprints.

    levels: how many; bits: address bits decoded per level; a table page has an id, a generation and, at the last
    level, a page-table lock (PTL).
    """

    def __init__(self, owner: Actor, levels: int, bits: int) -> None:
        self._owner = owner
        self.levels = levels
        self.bits = bits
        self._entries: Map[tuple[int, int], Entry] = Map(owner, "pte")
        self._pool: Map[str, int] = Map(owner, "table pool")
        self._locks: dict[int, TicketLock] = {}

    @property
    def task_size(self) -> int:
        """First address beyond the user half."""
        return 1 << (self.bits * self.levels + 11)

    def new_table(self) -> int:
        """pte_alloc_one(): id of an empty table page."""
        table = self._pool.get("next", 1)
        self._pool["next"] = table + 1
        self._locks[table] = TicketLock(self._owner, f"page-table lock {table}")
        return table

    def lock(self, table: int) -> TicketLock:
        """The page-table lock of a last-level table."""
        return self._locks[table]

    def read(self, table: int, index: int) -> Entry:
        """One entry, as a whole."""
        return self._entries.get((table, index), NONE)

    def write(self, table: int, index: int, entry: Entry) -> None:
        """set_pte()."""
        self._entries[(table, index)] = entry

    def indexes(self, address: int) -> list[int]:
        """The index at each level, from the top."""
        page = address // PAGE_SIZE
        mask = (1 << self.bits) - 1
        return [page >> (self.bits * level) & mask for level in reversed(range(self.levels))]

    def find(self, space: AddressSpace, address: int) -> Slot | None:
        """Where the last-level entry of an address is, or None if a table is missing."""
        table = space.root
        *upper, last = self.indexes(address)
        for index in upper:
            entry = self.read(table, index)
            if entry.kind != EntryKind.TABLE:
                return None
            table = entry.target
        return Slot(self, table, last, address)

    def make(self, space: AddressSpace, address: int) -> Slot:
        """As `find`, allocating the tables that are missing."""
        table = space.root
        *upper, last = self.indexes(address)
        for index in upper:
            entry = self.read(table, index)
            if entry.kind != EntryKind.TABLE:
                entry = Entry(kind=EntryKind.TABLE, target=self.new_table(), generation=1)
                self.write(table, index, entry)
            table = entry.target
        return Slot(self, table, last, address)

    def range(self, space: AddressSpace, start: int, end: int) -> Iterator[Slot]:
        """The last-level entries of [start, end) whose tables exist."""
        for address in range(start, end, PAGE_SIZE):
            slot = self.find(space, address)
            if slot is not None:
                yield slot


class Slot:
    """The place of one last-level entry."""

    __slots__ = ("_tables", "address", "index", "table")

    def __init__(self, tables: PageTables, table: int, index: int, address: int) -> None:
        self._tables = tables
        self.table = table
        self.index = index
        self.address = address

    @property
    def lock(self) -> TicketLock:
        """The page-table lock that protects it."""
        return self._tables.lock(self.table)

    @property
    def entry(self) -> Entry:
        return self._tables.read(self.table, self.index)

    @entry.setter
    def entry(self, entry: Entry) -> None:
        self._tables.write(self.table, self.index, entry)
