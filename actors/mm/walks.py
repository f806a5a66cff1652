"""Reads of the page tables that take no lock: the MMU's and the GUP-fast walk's (B0, B1)."""

from __future__ import annotations

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.core import MmCore
from gupsim.actors.mm.tables import Slot
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import NO, YES, Flag
from gupsim.protocol.pagetable import (
    Entry,
    EntryKind,
    ReadEntry,
    ReadRoot,
    ReadTlbGen,
    SetDirtyBit,
    TableRead,
    TlbGen,
    Translation,
    WalkHardware,
    word_of,
)

_MISS = Translation(ok=False)


class Walks(MmCore):
    """One request, one read of one word; the MMU's whole walk is one step, since nobody can stop it halfway."""

    @handles(ReadRoot)
    def read_root(self, msg: ReadRoot) -> Entry:
        space = self.space(msg.mm)
        return Entry(kind=EntryKind.TABLE, target=space.root, generation=space.root_generation)

    @handles(ReadEntry)
    def read_entry(self, msg: ReadEntry) -> Entry:
        """Whatever the table page is by now, its content is what the walker gets."""
        now = self.tables.generation(msg.table)
        by = self.local(self.port.context)
        self.trace(TableRead(by=by, mm=msg.mm, table=msg.table, generation=msg.generation, now=now))
        entry = self.tables.read(msg.table, msg.index)
        return word_of(entry, msg.word) if msg.word else entry

    @handles(WalkHardware)
    def walk_hardware(self, msg: WalkHardware) -> Translation:
        """The accessed and dirty bits are set by the same locked operation that reads the entry."""
        space = self.space(msg.mm)
        slot = self.tables.leaf(space, msg.address & -PAGE_SIZE)
        entry = slot.entry
        if not _present(entry) or (msg.write and not entry.writable):
            return _MISS
        marked = replace(entry, young=True, dirty=entry.dirty or msg.write)
        if marked != entry:
            slot.entry = marked
        return Translation(
            ok=True,
            pfn=_frame(slot, entry),
            writable=entry.writable,
            dirty=marked.dirty,
            pages=slot.pages,
            generation=space.tlb_gen if msg.fresh else 0,
        )

    @handles(SetDirtyBit)
    def set_dirty_bit(self, msg: SetDirtyBit) -> Flag:
        """B0, case b: the trap on which deferred flushes rely."""
        slot = self.tables.leaf(self.space(msg.mm), msg.address & -PAGE_SIZE)
        entry = slot.entry
        if not _present(entry) or _frame(slot, entry) != msg.pfn or not entry.writable:
            return NO
        slot.entry = replace(entry, dirty=True)
        return YES

    @handles(ReadTlbGen)
    def read_tlb_gen(self, msg: ReadTlbGen) -> TlbGen:
        return TlbGen(self.space(msg.mm).tlb_gen)


def _present(entry: Entry) -> bool:
    """For the hardware. A splitting leaf still is: that bit means something to software only."""
    return entry.kind == EntryKind.PAGE and not entry.protnone and not entry.invalid


def _frame(slot: Slot, entry: Entry) -> int:
    """The frame of the address that was walked to."""
    return entry.target + slot.sub_page
