"""The lockless page-table walk of GUP-fast: what happens with interrupts off (B1)."""

from __future__ import annotations

import msgspec

from gupsim.actors.cpu.cpu import CpuCore
from gupsim.actors.rules.pins import (
    FastGup,
    FastPmdRecheck,
    FastProtnone,
    LongtermFileWrite,
    PinUnderWriteback,
    PteRead,
    PteSpecial,
    UnshareForPin,
)
from gupsim.actors.rules.thp import ThpSplit
from gupsim.protocol import folio, gup, memmap, pagetable
from gupsim.protocol.cpu import GetUserPagesFast
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll
from gupsim.protocol.pages import NO_PAGES, Pages
from gupsim.protocol.pagetable import HIGH, LOW, Entry, EntryKind
from gupsim.protocol.shmem import SHMEM

_FILE_WRITE = Foll.PIN | Foll.LONGTERM | Foll.WRITE


class Place(msgspec.Struct, frozen=True):
    """Where an entry was read, and what was read there."""

    table: Entry
    index: int
    level: int
    entry: Entry


class LocklessWalk(CpuCore):
    """Results are always a gap-free prefix of the range; what the walk does not dare, it leaves to the slow path."""

    async def walk(self, msg: GetUserPagesFast) -> Pages:
        """gup_fast_pgd_range(): each level is read once and descended by the copy, never by a second look."""
        got = NO_PAGES
        tables: list[Entry] = []
        reached: list[int] = []
        while len(got) < msg.nr:
            address = (msg.address & -PAGE_SIZE) + len(got) * PAGE_SIZE
            indexes = self._indexes(address)
            del tables[1 + _common(reached, indexes) :]
            end = await self._descend(msg.mm, tables, indexes)
            reached = indexes[: len(tables) - 1]
            if end is None:
                taken = await self._small_page(msg, tables, indexes)
            else:
                taken = await self._huge_leaf(msg, end, address, msg.nr - len(got))
            if not taken:
                break
            got += taken
        return got

    async def drop(self, pfn: int, amount: int, msg: GetUserPagesFast) -> None:
        """gup_put_folio()."""
        if msg.flags & Foll.PIN:
            await self.ask(self.memmap, memmap.UnpinRefs(pfn, amount, msg.holder))
        else:
            await self.ask(self.memmap, memmap.PutRefs(pfn, amount, "gup", msg.holder))

    async def _descend(self, space: str, tables: list[Entry], indexes: list[int]) -> Place | None:
        """Add the tables that are missing, the root first; the entry above the last level at which the way ends."""
        if not tables:
            tables.append(await self.ask(self.mm, pagetable.ReadRoot(space)))
        for depth in range(len(tables) - 1, self.levels - 1):
            level = self.levels - 1 - depth
            entry = await self._read(space, tables[-1], indexes[depth], level)
            if entry.kind != EntryKind.TABLE:
                return Place(tables[-1], indexes[depth], level, entry)
            tables.append(entry)
        return None

    async def _small_page(self, msg: GetUserPagesFast, tables: list[Entry], indexes: list[int]) -> Pages:
        """gup_fast_pte_range() for one entry: a page with a reference, or nothing for "stop"."""
        if self.rules.pte_special is PteSpecial.NO:
            return NO_PAGES  # whether a page has a struct page cannot be told here; futexes need huge leaves (B1)
        entry = await self._read(msg.mm, tables[-1], indexes[-1], 0)  # P1
        if not self._permitted(entry, msg.flags):  # P2, P3, P5
            return NO_PAGES
        again = [Place(tables[-1], indexes[-1], 0, entry)]
        if self.rules.fast_pmd_recheck is FastPmdRecheck.YES:
            again.insert(0, Place(tables[-2], indexes[-2], 1, tables[-1]))
        return Pages.of((entry.target,)) if await self._take(msg, entry.target, 1, again) else NO_PAGES

    async def _huge_leaf(self, msg: GetUserPagesFast, leaf: Place, address: int, wanted: int) -> Pages:
        """gup_fast_pmd_leaf(), gup_fast_pud_leaf(): all that the range and the leaf have in common in one get."""
        entry = leaf.entry
        if not self._permitted(entry, msg.flags):
            return NO_PAGES
        pages = 1 << (self.bits * leaf.level)
        first = address // PAGE_SIZE % pages
        refs = min(pages - first, wanted)
        pfn = entry.target + first
        if not await self._take(msg, pfn, refs, [leaf]):
            return NO_PAGES
        return Pages.folio(pfn, refs, splits=self.rules.thp_split is ThpSplit.SPLITTING_BIT)

    def _permitted(self, entry: Entry, flags: int) -> bool:
        """P2, P3 and P5, on the copy. A leaf that pmdp_invalidate() made absent for the hardware fails P3.

        Where entries have no special bit, only the mapping says that there is no page behind one: nobody asks it."""
        if entry.kind != EntryKind.PAGE or entry.invalid or entry.splitting:
            return False
        if entry.special and self.rules.pte_special is PteSpecial.YES:
            return False
        if entry.protnone and self.rules.fast_protnone is FastProtnone.STOP:
            return False
        return entry.writable or not flags & Foll.WRITE

    async def _take(self, msg: GetUserPagesFast, pfn: int, refs: int, again: list[Place]) -> bool:
        """P6 to P12: a reference on the page first, then the question whether it is still the right one."""
        head = await self._get(msg, pfn, refs, again[-1])
        if head < 0:
            return False
        if msg.flags & Foll.PIN:
            await self.ask(self.memmap, memmap.ToPin(head, refs, msg.holder))  # P7
        entry = again[-1].entry
        keep = (
            await self._unchanged(msg.mm, again)  # P8
            and await self._allowed(pfn, msg.flags)  # P9
            and not await self._must_unshare(entry, msg.flags, entry.target if again[-1].level else pfn)  # P10
            and not await self._under_writeback(pfn)
        )
        if not keep:
            await self.drop(head, refs, msg)
            return False
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.REFERENCED))  # P12
        return True

    async def _get(self, msg: GetUserPagesFast, pfn: int, refs: int, leaf: Place) -> int:
        """P6: the page that has the references now, -1 for none. x86's own walk trusted its entry blindly."""
        if self.rules.fast_gup is FastGup.X86:
            if leaf.level:
                await self.ask(self.memmap, folio.GetTails(leaf.entry.target, pfn, refs, msg.holder))
                return leaf.entry.target
            await self.ask(self.memmap, memmap.GetRefs(pfn, refs, "gup", msg.holder))
            return pfn
        return (await self.ask(self.memmap, gup.TryGrab(pfn, refs, msg.holder))).head

    async def _unchanged(self, space: str, again: list[Place]) -> bool:
        """P8: with the reference taken, does each entry that led here still say the same?"""
        if self.rules.fast_gup is FastGup.X86:
            return True
        for place in again:
            # Accessed and dirty bits are part of pte_val() in the kernel's comparison, too.
            if await self._read(space, place.table, place.index, place.level) != place.entry:
                return False
        return True

    async def _allowed(self, pfn: int, flags: int) -> bool:
        """P9, folio_fast_pin_allowed(): since 6.5 a long-term write pin of a file page goes to the slow path, which
        refuses it. Of hugetlb and tmpfs, whose files need no dirty tracking, it does not."""
        if flags & _FILE_WRITE != _FILE_WRITE or self.rules.longterm_file_write is LongtermFileWrite.ALLOWED:
            return True
        mapping = await self.ask(self.memmap, memmap.ReadMapping(pfn))
        if mapping.anon or mapping.fs == f"{self.host}/{SHMEM}":
            return True
        return bool((await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.HUGETLB))).flags)

    async def _must_unshare(self, entry: Entry, flags: int, pfn: int) -> bool:
        """P10: a read-only pin of an anonymous page that may be shared; a long-term one of any other page, since the
        slow path knows the mapping. pfn: the page whose flag says so."""
        rule = self.rules.unshare_for_pin
        if rule is UnshareForPin.AS_IS or entry.writable or not flags & Foll.PIN:
            return False
        found = (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.ANON | Page.ANON_EXCLUSIVE))).flags
        if not found & Page.ANON:
            return rule is UnshareForPin.UNSHARE_FILES and bool(flags & Foll.LONGTERM)
        return found == Page.ANON

    async def _under_writeback(self, pfn: int) -> bool:
        """Proposal P1: leave a page under writeback to the slow path, which can wait."""
        if self.rules.pin_under_writeback is PinUnderWriteback.ALLOWED:
            return False
        if not (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.WRITEBACK))).flags:
            return False
        self.rules.decide("pin_under_writeback")
        return True

    async def _read(self, space: str, table: Entry, index: int, level: int) -> Entry:
        """READ_ONCE() of an entry; gup_get_pte() of one that is wider than a word ("Torn reads")."""
        if level or self.rules.pte_read is PteRead.ATOMIC:
            return await self._read_word(space, table, index, level)
        while True:
            low = await self._read_word(space, table, index, level, LOW)
            high = await self._read_word(space, table, index, level, HIGH)
            naive = self.rules.pte_read is PteRead.NAIVE
            if naive or await self._read_word(space, table, index, level, LOW) == low:
                return pagetable.join_words(low, high)

    async def _read_word(self, space: str, table: Entry, index: int, level: int, word: int = 0) -> Entry:
        read = pagetable.ReadEntry(space, table.target, table.generation, index, level, word)
        return await self.ask(self.mm, read)

    def _indexes(self, address: int) -> list[int]:
        page = address // PAGE_SIZE
        mask = (1 << self.bits) - 1
        return [page >> (self.bits * level) & mask for level in reversed(range(self.levels))]


def _common(reached: list[int], indexes: list[int]) -> int:
    """How many tables below the root the last address and this one share."""
    for depth, index in enumerate(reached):
        if index != indexes[depth]:
            return depth
    return len(reached)
