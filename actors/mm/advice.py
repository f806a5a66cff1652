"""madvise(2), but for MADV_DONTNEED, which is a zap (B4, B5, B8)."""

from __future__ import annotations

import errno
from typing import Final

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.collapse import Collapse
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.introduced import ABSENT, ADVICE
from gupsim.protocol import memmap
from gupsim.protocol.folio import MostMapped
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Status
from gupsim.protocol.mm import Madvise, MmLayout, Prot
from gupsim.protocol.pagetable import EntryKind
from gupsim.protocol.reclaim import IsolatePage, MarkLazyfree, ReclaimPages, SwapFree
from gupsim.protocol.thp import CollapseRange, KhugepagedEnter

_THP: Final = {"hugepage": True, "nohugepage": False}
_FORK: Final = {"dontfork": "dont", "dofork": "copy", "wipeonfork": "wipe", "keeponfork": "copy"}
_EINVAL: Final = -errno.EINVAL


class Advice(Collapse):
    """What changes a mapping takes mmap_lock for writing, what touches pages for reading, collapse by itself."""

    @handles(Madvise)
    async def madvise(self, msg: Madvise) -> Status:
        """madvise_vma_behavior()."""
        if msg.advice in ADVICE and getattr(self.rules, ADVICE[msg.advice]).value == ABSENT:
            return Status(_EINVAL)  # madvise_behavior_valid()
        space = self.space(msg.mm)
        start, end = msg.address, msg.address + msg.pages * PAGE_SIZE
        if msg.advice in _THP or msg.advice in _FORK:
            async with space.mmap_lock:
                error = self._change(space, start, end, msg.advice)
            if not error and msg.advice == "hugepage":
                await self.ask(self.at("khugepaged"), KhugepagedEnter(msg.mm))
        elif msg.advice == "collapse":
            error = await self._collapse_all(space, start, end)
        else:
            async with space.mmap_lock.shared():
                error = await self._touch(space, start, end, msg.advice)
        self.trace(MmLayout(mm=msg.mm, what=msg.advice, address=start, pages=msg.pages))
        return Status(error)

    def _change(self, space: AddressSpace, start: int, end: int, advice: str) -> int:
        """hugepage_madvise() and the VM_ flags of fork."""
        hole = 0 if space.covered(start, end) else -errno.ENOMEM
        inside = space.carve(start, end)
        refused = any(_refuses(vma, advice) for vma in inside)
        if not refused and advice in _THP:
            inside = [replace(vma, thp=_THP[advice]) for vma in inside]
        elif not refused:
            inside = [replace(vma, fork=_FORK[advice]) for vma in inside]
        space.set_vmas([*space.vmas, *inside])
        return _EINVAL if refused else hole

    async def _collapse_all(self, space: AddressSpace, start: int, end: int) -> int:
        """madvise_collapse(): every huge range within; the last failure is what it returns. A mapping without room for
        a huge page is refused (hugepage_vma_check), a range within one that has room is not."""
        if not space.covered(start, end):
            return -errno.ENOMEM
        span = self.tables.span(1)
        for vma in space.vmas:
            if vma.start < end and start < vma.end and -(-vma.start // span) * span + span > vma.end:
                return _EINVAL
        first, behind = -(-start // span) * span, end // span * span
        error = 0
        for address in range(first, behind, span):
            failed = (await self.collapse_range(CollapseRange(space.mm, address, advised=True))).error
            error = failed or error
            if failed == -errno.ENOMEM:
                break
        return error

    async def _touch(self, space: AddressSpace, start: int, end: int, advice: str) -> int:
        """madvise_walk_vmas(): holes are an error only after the rest was done; populate stops at one."""
        hole = 0 if space.covered(start, end) else -errno.ENOMEM
        if advice in ("populate_read", "populate_write"):
            return await self._populate(space, start, end, write=advice == "populate_write")
        if advice == "pageout":
            return await self._page_out(space, start, end) or hole
        return (await self._free(space, start, end) or hole) if advice == "free" else _EINVAL

    async def _populate(self, space: AddressSpace, start: int, end: int, *, write: bool) -> int:
        """faultin_page_range()."""
        for address in range(start & -PAGE_SIZE, end, PAGE_SIZE):
            vma = space.find_vma(address)
            if vma is None:
                return -errno.ENOMEM
            if not vma.prot & (Prot.WRITE if write else Prot.READ):
                return _EINVAL
            error = await self.fault(space, vma, address, write=write)
            if error:
                return error
        return 0

    async def _free(self, space: AddressSpace, start: int, end: int) -> int:
        """madvise_free_pte_range(): the entries become clean and old, and reclaim may drop the pages. Huge pages and
        pages that others map, too, are left alone."""
        if any((vma.fs or vma.shared or vma.device) and vma.start < end and start < vma.end for vma in space.vmas):
            return _EINVAL
        for slot in self.tables.range(space, start & -PAGE_SIZE, end):
            async with slot.lock:
                entry = slot.entry
                if slot.level or not self.tables.linked(space, slot):
                    continue
                if entry.kind == EntryKind.SWAP:
                    await self.set_entry(space, slot, NONE, "madvise_free")
                    await self.ask(self.reclaim, SwapFree(entry.target, cache=True))
                elif entry.kind == EntryKind.PAGE and not entry.special:
                    await self._free_page(space, slot)
        await self.shootdown(space, start, (end - start) // PAGE_SIZE)
        return 0

    async def _free_page(self, space: AddressSpace, slot: Slot) -> None:
        pfn = slot.entry.target
        if (await self.ask(self.memmap, memmap.ReadFolio(pfn))).pages > 1:
            return
        if (await self.ask(self.memmap, memmap.ReadCounts(pfn))).maps != 1:
            return
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
        await self.set_entry(space, slot, replace(slot.entry, young=False, dirty=False), "madvise_free")
        await self.ask(self.reclaim, MarkLazyfree(pfn))

    async def _page_out(self, space: AddressSpace, start: int, end: int) -> int:
        """madvise_cold_or_pageout_pte_range(): pages that others map, too, are left alone."""
        isolated: list[int] = []
        for slot in self.tables.range(space, start & -PAGE_SIZE, end):
            if not (start <= slot.start and slot.start + slot.pages * PAGE_SIZE <= end):
                continue  # a part of a huge page: it would have to be split first
            async with slot.lock:
                # Under the lock: as long as it is mapped here, the page is alive.
                entry = slot.entry
                if entry.kind == EntryKind.PAGE and not entry.special and self.tables.linked(space, slot):
                    isolated += await self._isolate_mapped(entry.target)
        if isolated:
            await self.ask(self.reclaim, ReclaimPages(tuple(isolated)))
        return 0

    async def _isolate_mapped(self, pfn: int) -> list[int]:
        head = (await self.ask(self.memmap, memmap.ReadFolio(pfn))).head
        if (await self.ask(self.memmap, MostMapped(head))).maps != 1:
            return []
        return [head] if (await self.ask(self.reclaim, IsolatePage(head))).yes else []


def _refuses(vma: Vma, advice: str) -> bool:
    if advice in _THP:
        return bool(vma.hugetlb)
    return advice == "wipeonfork" and (bool(vma.fs or vma.device) or vma.shared)
