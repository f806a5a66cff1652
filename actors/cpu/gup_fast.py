"""get_user_pages_fast() and pin_user_pages_fast(): the lockless walk with interrupts off (B1)."""

from __future__ import annotations

import errno

from actors.base import handles
from actors.cpu.cpu import CpuCore
from actors.rules.gup_flags import refuse_flags
from actors.rules.rules import (
    FastPmdRecheck,
    FastRange,
    ForkSequence,
    LongtermFileWrite,
    PinUnderWriteback,
    UnshareForPin,
)
from protocol import memmap, mm, pagetable
from protocol.cpu import GetUserPagesFast
from protocol.memmap import Page
from protocol.memory import PAGE_SIZE
from protocol.mm import Foll, PagesPinned, UserPages
from protocol.pagetable import Entry, EntryKind

_FILE_WRITE = Foll.PIN | Foll.LONGTERM | Foll.WRITE


class GupFast(CpuCore):
    """Results are always a gap-free prefix of the range; whatever the walk does not dare goes to the slow path."""

    @handles(GetUserPagesFast)
    async def get_user_pages_fast(self, msg: GetUserPagesFast) -> UserPages:
        """Short counts are no error; the errno of a later page is lost if an earlier one was obtained."""
        error, why = refuse_flags(msg.flags, self.rules)
        if error:
            self.warn("mm/gup.c", why)
            return self._report(msg, UserPages(error))
        refused = self._refuse_range(msg.address, msg.nr)
        if refused is not None:
            return self._report(msg, UserPages(refused))
        got = await self._fast(msg)
        if len(got) == msg.nr or msg.flags & Foll.FAST_ONLY:
            return self._report(msg, UserPages(len(got), tuple(got)))
        start = (msg.address & -PAGE_SIZE) + len(got) * PAGE_SIZE
        rest = mm.GetUserPages(msg.mm, start, msg.nr - len(got), msg.flags, msg.holder, inner=True)
        slow = await self.ask(self.mm, rest)
        if slow.result < 0:
            return self._report(msg, UserPages(len(got) or slow.result, tuple(got)))
        return self._report(msg, UserPages(len(got) + slow.result, (*got, *slow.pfns)))

    def _refuse_range(self, address: int, nr: int) -> int | None:
        """Steps 3 and 4: what a bad range gives, by era; None if the range is good."""
        task_size = 1 << (self.bits * self.levels + 11)
        end = (address & -PAGE_SIZE) + nr * PAGE_SIZE
        overflow = end >= 1 << 64
        beyond = end > task_size
        if self.rules.fast_range is FastRange.ACCESS_OK:
            if nr <= 0:
                return 0
            return -errno.EFAULT if beyond else None
        if self.rules.fast_range is FastRange.EMPTY_ZERO:
            if nr <= 0 or overflow:
                return 0
            return -errno.EFAULT if beyond else None
        if self.rules.fast_range is FastRange.OVERFLOW_ZERO:
            if overflow:
                return 0
            return -errno.EFAULT if beyond else None
        if overflow:
            return -errno.EOVERFLOW
        return -errno.EFAULT if beyond else None

    async def _fast(self, msg: GetUserPagesFast) -> list[int]:
        """Steps 2, 5 and 6, the walk, and the exit."""
        pin = bool(msg.flags & Foll.PIN)
        sequence = 0
        if pin:
            sequence = (await self.ask(self.mm, pagetable.FastPinBegin(msg.mm))).sequence
            if self.rules.fork_sequence is ForkSequence.SEQCOUNT and sequence % 2:
                return []
        await self.irq_save("GUP-fast")
        got = await self._walk(msg)
        self.irq_restore()
        if pin and self.rules.fork_sequence is ForkSequence.SEQCOUNT:
            now = (await self.ask(self.mm, pagetable.FastPinEnd(msg.mm))).sequence
            if now != sequence:
                for pfn in got:
                    await self._drop(pfn, msg)
                return []
        return got

    async def _walk(self, msg: GetUserPagesFast) -> list[int]:
        """Each level is read once and descended by the copy; a last-level table serves all its entries."""
        got: list[int] = []
        if not self.pte_special:
            return got  # such an architecture is fast on huge leaves only
        tables: list[Entry] = []
        reached: list[int] = []
        for number in range(msg.nr):
            address = (msg.address & -PAGE_SIZE) + number * PAGE_SIZE
            indexes = self._indexes(address)
            if indexes[:-1] != reached:
                tables = await self._descend(msg.mm, indexes[:-1])
                reached = indexes[:-1]
            if len(tables) < self.levels:
                break
            pfn = await self._one_entry(msg, tables, indexes)
            if pfn < 0:
                break
            got.append(pfn)
        return got

    async def _descend(self, space: str, indexes: list[int]) -> list[Entry]:
        """The tables on the way down, the root first; fewer than `levels` if one is missing."""
        tables = [await self.ask(self.mm, pagetable.ReadRoot(space))]
        for index in indexes:
            entry = await self._read(space, tables[-1], index)
            if entry.kind != EntryKind.TABLE:
                break
            tables.append(entry)
        return tables

    async def _one_entry(self, msg: GetUserPagesFast, tables: list[Entry], indexes: list[int]) -> int:
        """gup_fast_pte_range() for one entry, P1 to P12: a pfn with a reference, or -1 for "stop"."""
        write, pin = bool(msg.flags & Foll.WRITE), bool(msg.flags & Foll.PIN)
        entry = await self._read(msg.mm, tables[-1], indexes[-1])  # P1
        if entry.kind != EntryKind.PAGE or entry.protnone:  # P2
            return -1
        if (write and not entry.writable) or entry.special:  # P3, P5
            return -1
        pfn = entry.target
        if not (await self.ask(self.memmap, memmap.TryGet(pfn, 1, msg.holder))).yes:  # P6
            return -1
        if pin:
            await self.ask(self.memmap, memmap.ToPin(pfn, 1, msg.holder))  # P7
        keep = (
            await self._unchanged(msg.mm, tables, indexes, entry)  # P8
            and await self._allowed(pfn, msg.flags)  # P9
            and not await self._must_unshare(pfn, entry, msg.flags)  # P10
            and not await self._under_writeback(pfn)
        )
        if not keep:
            await self._drop(pfn, msg)
            return -1
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.REFERENCED))  # P12
        return pfn

    async def _unchanged(self, space: str, tables: list[Entry], indexes: list[int], entry: Entry) -> bool:
        """P8: with the reference taken, does the entry (and, since 6.0, the pmd above it) still say the same?"""
        if self.rules.fast_pmd_recheck is FastPmdRecheck.YES:
            pmd = await self._read(space, tables[-2], indexes[-2])
            if pmd != tables[-1]:
                return False
        again = await self._read(space, tables[-1], indexes[-1])
        # Accessed and dirty bits are part of pte_val() in the kernel's comparison, too.
        return again == entry

    async def _allowed(self, pfn: int, flags: int) -> bool:
        """P9: since 6.5 a long-term write pin of a file page goes to the slow path, which refuses it."""
        if self.rules.longterm_file_write is LongtermFileWrite.ALLOWED or flags & _FILE_WRITE != _FILE_WRITE:
            return True
        mapping = await self.ask(self.memmap, memmap.ReadMapping(pfn))
        return mapping.anon

    async def _must_unshare(self, pfn: int, entry: Entry, flags: int) -> bool:
        """P10: a read-only pin of an anonymous page that may be shared."""
        if self.rules.unshare_for_pin is UnshareForPin.AS_IS or entry.writable or not flags & Foll.PIN:
            return False
        found = (await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.ANON | Page.ANON_EXCLUSIVE))).flags
        return found == Page.ANON

    async def _under_writeback(self, pfn: int) -> bool:
        """Proposal P1: leave a page under writeback to the slow path, which can wait."""
        if self.rules.pin_under_writeback is PinUnderWriteback.ALLOWED:
            return False
        return bool((await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.WRITEBACK))).flags)

    async def _drop(self, pfn: int, msg: GetUserPagesFast) -> None:
        """gup_put_folio()."""
        if msg.flags & Foll.PIN:
            await self.ask(self.memmap, memmap.UnpinRefs(pfn, 1, msg.holder))
        else:
            await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "gup", msg.holder))

    async def _read(self, space: str, table: Entry, index: int) -> Entry:
        return await self.ask(self.mm, pagetable.ReadEntry(space, table.target, table.generation, index))

    def _indexes(self, address: int) -> list[int]:
        page = address // PAGE_SIZE
        mask = (1 << self.bits) - 1
        return [page >> (self.bits * level) & mask for level in reversed(range(self.levels))]

    def _report(self, msg: GetUserPagesFast, result: UserPages) -> UserPages:
        self.trace(PagesPinned.of(msg, result, fast=True))
        return result
