"""Page tables: their pages, their entries, and the way down to an entry (B1)."""

from __future__ import annotations

from collections.abc import Iterator

from gupsim.actors.base import Actor, Map, TicketLock
from gupsim.actors.mm.spaces import AddressSpace
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.pagetable import Entry, EntryKind, TableAlloc

NONE = Entry()


class PageTables:
    """The page tables of all address spaces, each entry an object of its own in footprints.

    levels: how many; bits: address bits decoded per level. Level 0 is the last one, whose entries map base pages; a
    PAGE entry at level 1 is a pmd leaf of 2**bits pages, at level 2 a pud leaf.

    A table page has an id, a generation, which counts its uses as a table, and a lock. A freed one keeps its content
    until it is used again, and the page that was freed last is used first: who still walks it reads that.
    """

    def __init__(self, owner: Actor, levels: int, bits: int) -> None:
        self._owner = owner
        self.levels = levels
        self.bits = bits
        self._entries: Map[tuple[int, int], Entry] = Map(owner, "pte")
        self._generations: Map[int, int] = Map(owner, "table")
        """Table pages in use, with their generation."""
        self._pool: Map[str, int] = Map(owner, "table pool")
        self._free: Map[int, tuple[int, int]] = Map(owner, "free table")
        """Depth in the stack of free tables -> table, last generation."""
        self._locks: dict[int, TicketLock] = {}

    @property
    def task_size(self) -> int:
        """First address beyond the user half."""
        return 1 << (self.bits * self.levels + 11)

    def pages(self, level: int) -> int:
        """How many base pages one leaf of a level maps."""
        return 1 << (self.bits * level)

    def span(self, level: int) -> int:
        """How many bytes one entry of a level covers."""
        return self.pages(level) * PAGE_SIZE

    # Table pages

    def new_table(self) -> tuple[int, int]:
        """pte_alloc_one(): id and generation of an empty table page."""
        depth = self._pool.get("free", 0)
        if depth:
            self._pool["free"] = depth - 1
            table, generation = self._free[depth - 1]
            self._clear(table)
        else:
            table, generation = self._pool.get("next", 1), 0
            self._pool["next"] = table + 1
            self._locks[table] = TicketLock(self._owner, f"page-table lock {table}")
        self._generations[table] = generation + 1
        return table, generation + 1

    def free_table(self, table: int) -> int:
        """pte_free(): the page may be used again at once. Returns its generation."""
        generation = self._generations[table]
        self._generations.pop(table)
        depth = self._pool.get("free", 0)
        self._free[depth] = (table, generation)
        self._pool["free"] = depth + 1
        return generation

    def renew(self, table: int) -> int:
        """A page table from the reserve of a huge leaf comes into use: its new generation."""
        self._generations[table] += 1
        return self._generations[table]

    def generation(self, table: int) -> int:
        """Generation of a table page in use, 0 if it is free."""
        return self._generations.get(table, 0)

    def lock(self, table: int) -> TicketLock:
        """The lock of the entries of a table: of a last-level table the page-table lock, above it the pmd lock."""
        return self._locks[table]

    def empty(self, table: int) -> bool:
        """No entry stands in it."""
        return all(self.read(table, index).kind == EntryKind.NONE for index in range(1 << self.bits))

    # Entries

    def read(self, table: int, index: int) -> Entry:
        """One entry, as a whole."""
        return self._entries.get((table, index), NONE)

    def write(self, table: int, index: int, entry: Entry) -> None:
        """set_pte()."""
        self._entries[(table, index)] = entry

    # The way down

    def indexes(self, address: int) -> list[int]:
        """The index at each level, from the top."""
        page = address // PAGE_SIZE
        mask = (1 << self.bits) - 1
        return [page >> (self.bits * level) & mask for level in reversed(range(self.levels))]

    def leaf(self, space: AddressSpace, address: int) -> Slot:
        """The entry at which the walk of an address ends: a last-level entry, a huge leaf, or an empty entry above."""
        table = space.root
        slot = None
        for level, index in zip(reversed(range(self.levels)), self.indexes(address), strict=True):
            slot = Slot(self, table, index, level, address)
            if level == 0:
                return slot  # whoever looks at it takes its lock first
            entry = slot.entry
            if entry.kind != EntryKind.TABLE:
                return slot
            table = entry.target
        raise AssertionError("a walk ends at the last level")

    def find(self, space: AddressSpace, address: int, level: int = 0) -> Slot | None:
        """The entry of one level, or None if a table above it is missing or a huge leaf stands in its place."""
        table = space.root
        *upper, last = self.indexes(address)[: self.levels - level]
        for index in upper:
            entry = self.read(table, index)
            if entry.kind != EntryKind.TABLE:
                return None
            table = entry.target
        return Slot(self, table, last, level, address)

    def make(self, space: AddressSpace, address: int, level: int = 0) -> Slot:
        """As `find`, allocating the tables that are missing. Where a huge leaf is in the way: the entry of that."""
        table = space.root
        *upper, last = self.indexes(address)[: self.levels - level]
        for above, index in zip(reversed(range(self.levels)), upper, strict=False):
            entry = self.read(table, index)
            if entry.kind == EntryKind.NONE:
                fresh, generation = self.new_table()
                if generation > 1:
                    alloc = TableAlloc(mm=space.mm, table=fresh, generation=generation, level=above - 1)
                    self._owner.trace(alloc)
                entry = Entry(kind=EntryKind.TABLE, target=fresh, generation=generation)
                self.write(table, index, entry)
            elif entry.kind != EntryKind.TABLE:
                return Slot(self, table, index, above, address)
            table = entry.target
        return Slot(self, table, last, level, address)

    def range(self, space: AddressSpace, start: int, end: int) -> Iterator[Slot]:
        """The entries that the walks of [start, end) end at, each once; where a table is missing, nothing."""
        address = start
        while address < end:
            slot = self.leaf(space, address)
            if slot.level == 0 or slot.entry.kind != EntryKind.NONE:
                yield slot
            address = slot.start + self.span(slot.level)

    def linked(self, space: AddressSpace, slot: Slot) -> bool:
        """Does the walk still lead to this place? To be asked under its lock, as pte_offset_map_lock() does."""
        now = self.find(space, slot.start, slot.level)
        return now is not None and now.table == slot.table

    def _clear(self, table: int) -> None:
        for index in range(1 << self.bits):
            if self.read(table, index) is not NONE:
                self.write(table, index, NONE)


class Slot:
    """The place of one entry. address: the one that was walked to; start: the first one that the entry covers."""

    __slots__ = ("_tables", "address", "index", "level", "table")

    def __init__(self, tables: PageTables, table: int, index: int, level: int, address: int) -> None:
        self._tables = tables
        self.table = table
        self.index = index
        self.level = level
        self.address = address

    @property
    def start(self) -> int:
        """First address that the entry covers."""
        return self.address & -self._tables.span(self.level)

    @property
    def pages(self) -> int:
        """Base pages that a leaf at this place maps."""
        return self._tables.pages(self.level)

    @property
    def table_end(self) -> int:
        """First address beyond the reach of the table."""
        span = self._tables.span(self.level + 1)
        return (self.address & -span) + span

    def beside(self, address: int) -> Slot:
        """The entry of another address in the same table."""
        index = self.index + (address // PAGE_SIZE - self.address // PAGE_SIZE) // self.pages
        return Slot(self._tables, self.table, index, self.level, address)

    @property
    def sub_page(self) -> int:
        """Number of the base page of `address` within a leaf at this place."""
        return (self.address - self.start) // PAGE_SIZE

    @property
    def lock(self) -> TicketLock:
        """The lock that protects it."""
        return self._tables.lock(self.table)

    @property
    def entry(self) -> Entry:
        return self._tables.read(self.table, self.index)

    @entry.setter
    def entry(self, entry: Entry) -> None:
        self._tables.write(self.table, self.index, entry)
