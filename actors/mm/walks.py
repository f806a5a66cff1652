"""Reads of the page tables that take no lock: the MMU's and the GUP-fast walk's (B0, B1)."""

from __future__ import annotations

from msgspec.structs import replace

from actors.base import handles
from actors.mm.core import MmCore
from protocol.memory import PAGE_SIZE
from protocol.message import NO, YES, Flag
from protocol.pagetable import Entry, EntryKind, ReadEntry, ReadRoot, SetDirtyBit, Translation, WalkHardware

_MISS = Translation(ok=False)


class Walks(MmCore):
    """One request, one read of one word; the MMU's whole walk is one step, since nobody can stop it halfway."""

    @handles(ReadRoot)
    def read_root(self, msg: ReadRoot) -> Entry:
        space = self.space(msg.mm)
        return Entry(kind=EntryKind.TABLE, target=space.root, generation=space.root_generation)

    @handles(ReadEntry)
    def read_entry(self, msg: ReadEntry) -> Entry:
        return self.tables.read(msg.table, msg.index)

    @handles(WalkHardware)
    def walk_hardware(self, msg: WalkHardware) -> Translation:
        """The accessed and dirty bits are set by the same locked operation that reads the entry."""
        space = self.space(msg.mm)
        slot = self.tables.find(space, msg.address & -PAGE_SIZE)
        if slot is None:
            return _MISS
        entry = slot.entry
        if entry.kind != EntryKind.PAGE or entry.protnone or (msg.write and not entry.writable):
            return _MISS
        marked = replace(entry, young=True, dirty=entry.dirty or msg.write)
        if marked != entry:
            slot.entry = marked
        return Translation(ok=True, pfn=entry.target, writable=entry.writable, dirty=marked.dirty)

    @handles(SetDirtyBit)
    def set_dirty_bit(self, msg: SetDirtyBit) -> Flag:
        """B0, case b: the trap on which deferred flushes rely."""
        slot = self.tables.find(self.space(msg.mm), msg.address & -PAGE_SIZE)
        if slot is None:
            return NO
        entry = slot.entry
        if entry.kind != EntryKind.PAGE or entry.target != msg.pfn or not entry.writable:
            return NO
        slot.entry = replace(entry, dirty=True)
        return YES
