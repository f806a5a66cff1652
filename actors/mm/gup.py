"""Slow get_user_pages() and pin_user_pages() (B2)."""

from __future__ import annotations

import errno
from enum import Enum

from gupsim.actors.base import handles
from gupsim.actors.mm.core import EFAULT, ENOMEM
from gupsim.actors.mm.faults import Faults
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import Slot
from gupsim.actors.rules.gup_flags import ERESTARTSYS, refuse_flags, touches
from gupsim.actors.rules.hugetlb import HugetlbForce
from gupsim.actors.rules.pins import (
    ForceCow,
    GupSignal,
    LongtermFileWrite,
    PinUnderWriteback,
    SlowNumaFault,
    UnshareForPin,
)
from gupsim.actors.rules.thp import ThpSplit
from gupsim.protocol import fs, memmap
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll, GetUserPages, PagesPinned, Prot, UserPages
from gupsim.protocol.pages import Pages
from gupsim.protocol.pagetable import Entry, EntryKind, FastPinBegin, FastPinEnd, PinSequence


class _Follow(Enum):
    """What slow GUP does after its look at an entry."""

    TAKE = 1
    FAULT = 2
    UNSHARE = 3
    WAIT = 4
    AGAIN = 5


class Gup(Faults):
    """The walk under mmap_lock and page-table locks. The fast walk is in gupsim.actors.cpu."""

    @handles(FastPinBegin)
    def fast_pin_begin(self, msg: FastPinBegin) -> PinSequence:
        """MMF_HAS_PINNED before the walk, then the sequence (B1, steps 2 and 5)."""
        space = self.space(msg.mm)
        space.has_pinned = True
        return PinSequence(space.write_protect_seq)

    @handles(FastPinEnd)
    def fast_pin_end(self, msg: FastPinEnd) -> PinSequence:
        return PinSequence(self.space(msg.mm).write_protect_seq)

    @handles(GetUserPages)
    async def get_user_pages(self, msg: GetUserPages) -> UserPages:
        """The number of pages obtained, a prefix of what was asked; an errno only if there are none."""
        error, why = refuse_flags(msg.flags, self.rules, fast=msg.inner)
        if error:
            self.warn("mm/gup.c", why)
            result = UserPages(error)
        else:
            result = await self._locked(msg)
        if not msg.inner:
            self.trace(PagesPinned.of(msg, result, fast=False))
        return result

    async def _locked(self, msg: GetUserPages) -> UserPages:
        """Step 1, then __get_user_pages() with the mmap lock held."""
        lock = self.space(msg.mm).mmap_lock
        if not self.space(msg.mm).killed or self.rules.gup_signal is not GupSignal.KILLABLE:
            async with lock.shared():
                return await self._get_user_pages(msg)
        # down_read_killable(): who is being killed does not wait, and finds out later if it need not.
        if not lock.try_acquire(shared=True):
            return UserPages(-errno.EAGAIN)
        result = await self._get_user_pages(msg)
        lock.release()
        return result

    async def _get_user_pages(self, msg: GetUserPages) -> UserPages:
        """__get_user_pages(): steps 2 to 8."""
        space = self.space(msg.mm)
        start = msg.address & -PAGE_SIZE
        runs: list[tuple[int, int]] = []
        splits = self.rules.thp_split is ThpSplit.SPLITTING_BIT
        done = error = 0
        if msg.flags & Foll.PIN:
            space.has_pinned = True
        while done < msg.nr:
            address = start + done * PAGE_SIZE
            vma = space.find_vma(address)
            if vma is None:
                error = EFAULT
            else:
                error = await self._check_vma(vma, msg.flags)
            if not error:
                error = self._killed(space)
            if error or vma is None:
                break
            left = min(msg.nr - done, (vma.end - address) // PAGE_SIZE)
            pfn, count, error = await self._follow_page(space, vma, address, left, msg)
            if error:
                break
            runs += Pages.folio(pfn, count, splits=splits).runs
            done += count
        return UserPages(done or error, Pages(tuple(runs)))

    def _killed(self, space: AddressSpace) -> int:
        """fatal_signal_pending() (B2, step 4): the errno, or 0."""
        if not space.killed:
            return 0
        return -ERESTARTSYS if self.rules.gup_signal is GupSignal.RESTART else -errno.EINTR

    async def _check_vma(self, vma: Vma, flags: int) -> int:
        """check_vma_flags() (B2, step 3). In no kernel here does the era of FOLL_LONGTERM matter beyond its flag: what
        it refused after the fact (4.15) or before (5.2) were mappings of DAX files, and there are none."""
        write, force = bool(flags & Foll.WRITE), bool(flags & Foll.FORCE)
        if vma.pfnmap:
            return EFAULT
        if write:
            longterm_pin = flags & Foll.PIN and flags & Foll.LONGTERM
            shared_file = vma.fs and vma.shared and vma.writable()
            if longterm_pin and shared_file and self.rules.longterm_file_write is LongtermFileWrite.REFUSED:
                tracked = await self.ask(self.at(vma.fs), fs.NeedsDirtyTracking(vma.ino))
                if tracked.yes:
                    return EFAULT
            if not vma.writable() and (not force or vma.shared):
                return EFAULT
            if not vma.writable() and vma.hugetlb and self.rules.hugetlb_force is HugetlbForce.REFUSED:
                return EFAULT
        elif not vma.prot & Prot.READ and not force:
            return EFAULT
        return 0

    async def _follow_page(
        self, space: AddressSpace, vma: Vma, address: int, wanted: int, msg: GetUserPages
    ) -> tuple[int, int, int]:
        """follow_page_mask() and faultin_page() (B2, steps 5 to 7): first page, number of pages with references, 0; or
        an error.

        The result of a fault is never trusted: the walk is redone. Each round ends either with a page, or with a
        fault that made progress, so this loop is the kernel's and does not spin."""
        flags = msg.flags
        cowed = False
        while True:
            slot = self.tables.leaf(space, address)
            if slot.level and slot.entry.kind == EntryKind.NONE:
                verdict = _Follow.FAULT  # no_page_table(): the fault makes the table, or maps a huge page
            else:
                async with slot.lock:
                    entry = slot.entry
                    verdict = await self._follow(slot, entry, vma, flags, cowed=cowed)
                    if verdict is _Follow.TAKE:
                        pfn, error = await self._take(vma, slot, entry, flags, msg)
            if verdict is _Follow.TAKE:
                count = min(slot.pages - slot.sub_page, wanted)
                if not error and count > 1:
                    error = await self._take_rest(pfn, count - 1, flags, msg.holder)
                return pfn, count, error
            if verdict is _Follow.AGAIN:
                continue
            if verdict is _Follow.WAIT:
                await self.ask(self.memmap, memmap.WaitWriteback(entry.target))
                continue
            if flags & Foll.NOFAULT:
                return -1, 0, EFAULT
            write = bool(flags & Foll.WRITE)
            error = await self.fault(space, vma, address, write=write, unshare=verdict is _Follow.UNSHARE)
            if error:
                return -1, 0, ENOMEM if error == ENOMEM else EFAULT
            if error := self._killed(space):  # before each look, not only before the first
                return -1, 0, error
            cowed = write and not vma.writable()
            if cowed and self.rules.force_cow is ForceCow.DROP_WRITE:
                # Dirty COW: the private copy is taken for granted, whatever stands there at the next look (S13).
                flags &= ~Foll.WRITE

    async def _follow(self, slot: Slot, entry: Entry, vma: Vma, flags: int, *, cowed: bool) -> _Follow:
        """follow_page_pte(), follow_pmd_mask(), page-table lock held: what to do with what stands there now."""
        if entry.kind == EntryKind.TABLE:
            return _Follow.AGAIN  # a huge leaf was split before its lock was free
        if entry.kind != EntryKind.PAGE or entry.splitting or not self._accessible(entry, flags):
            return _Follow.FAULT
        writable = entry.writable and not entry.protnone
        if flags & Foll.WRITE and not writable and not await self._may_force(entry, vma, flags, cowed=cowed):
            return _Follow.FAULT
        if await self._must_unshare(entry, vma, flags):
            return _Follow.UNSHARE
        if await self._under_writeback(entry, flags):
            return _Follow.WAIT
        return _Follow.TAKE

    def _accessible(self, entry: Entry, flags: int) -> bool:
        """gup_can_follow_protnone(): since 6.6 a NUMA-hinting entry is followed, before only with FOLL_FORCE."""
        return not entry.protnone or bool(flags & Foll.FORCE) or self.rules.slow_numa_fault is SlowNumaFault.FOLLOW

    async def _may_force(self, entry: Entry, vma: Vma, flags: int, *, cowed: bool) -> bool:
        """FOLL_FORCE through a read-only entry (rule force_cow; S13, S14). The walk of hugetlb knew nothing of it until
        6.14: the fault made the entry writable, or failed."""
        if vma.hugetlb and self.rules.hugetlb_force is not HugetlbForce.READ_ONLY:
            return False
        if not flags & Foll.FORCE or vma.shared or entry.protnone or self.rules.force_cow is ForceCow.DROP_WRITE:
            return False
        if self.rules.force_cow is ForceCow.COW_DIRTY:
            return cowed and entry.dirty
        return await self._exclusive_page(entry.target)

    async def _exclusive_page(self, pfn: int) -> bool:
        """PageAnon() and PageAnonExclusive(). Of a huge leaf the first page's flag counts."""
        if not self.anon_rmap.get(pfn, ()):
            return False
        return bool((await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))).flags)

    async def _must_unshare(self, entry: Entry, vma: Vma, flags: int) -> bool:
        """gup_must_unshare(): a read-only pin of an anonymous page that may be shared; a long-term one, since 6.2, of
        whatever the next write to a private mapping will leave behind."""
        rule = self.rules.unshare_for_pin
        if rule is UnshareForPin.AS_IS or entry.writable or not flags & Foll.PIN or flags & Foll.WRITE:
            return False
        if not self.anon_rmap.get(entry.target, ()):
            return rule is UnshareForPin.UNSHARE_FILES and bool(flags & Foll.LONGTERM) and not vma.shared
        return not await self._exclusive_page(entry.target)

    async def _under_writeback(self, entry: Entry, flags: int) -> bool:
        """Proposal P1: no reference is taken on a page under writeback."""
        if self.rules.pin_under_writeback is PinUnderWriteback.ALLOWED or not flags & Foll.WRITE:
            return False
        if not (await self.ask(self.memmap, memmap.ReadFlags(entry.target, Page.WRITEBACK))).flags:
            return False
        self.rules.decide("pin_under_writeback")
        return True

    async def _take(self, vma: Vma, slot: Slot, entry: Entry, flags: int, msg: GetUserPages) -> tuple[int, int]:
        """try_grab_folio() under the page-table lock, then FOLL_TOUCH, which hugetlb does not know: the page and an
        errno."""
        pfn = entry.target + slot.sub_page
        pin = bool(flags & Foll.PIN)
        grabbed = await self.ask(self.memmap, memmap.GrabFolio(pfn, 1, pin, msg.holder))
        if grabbed.error or vma.hugetlb or not touches(msg, self.rules):
            return pfn, grabbed.error
        if flags & Foll.WRITE and not entry.dirty:
            # The page lock is not held here: the real kernel does not either.
            clean = await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.DIRTY))
            if not clean.flags:
                await self.mark_page_dirty(pfn, vma, slot.address, "get_user_pages")
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.REFERENCED))
        return pfn, 0

    async def _take_rest(self, pfn: int, count: int, flags: int, holder: str) -> int:
        """Step 7: references for the remaining pages of a leaf with one addition, the lock dropped by now: the first
        one keeps the folio. If that fails, the first one goes again."""
        pin = bool(flags & Foll.PIN)
        grabbed = await self.ask(self.memmap, memmap.GrabFolio(pfn + 1, count, pin, holder))
        if not grabbed.error:
            return 0
        if pin:
            await self.ask(self.memmap, memmap.UnpinRefs(pfn, 1, holder))
        else:
            await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "gup", holder))
        return EFAULT
