"""Slow get_user_pages() and pin_user_pages() (B2)."""

from __future__ import annotations

import errno
from enum import Enum

from actors.base import handles
from actors.mm.core import EFAULT, ENOMEM
from actors.mm.faults import Faults
from actors.mm.spaces import AddressSpace, Vma
from actors.mm.tables import Slot
from actors.rules.gup_flags import refuse_flags
from actors.rules.rules import ForceCow, LongtermFileWrite, PinUnderWriteback, UnshareForPin
from protocol import fs, memmap
from protocol.memmap import Page
from protocol.memory import PAGE_SIZE
from protocol.mm import Foll, GetUserPages, PagesPinned, Prot, UserPages
from protocol.pagetable import Entry, EntryKind, FastPinBegin, FastPinEnd, PinSequence


class _Follow(Enum):
    """What slow GUP does after its look at an entry."""

    TAKE = 1
    FAULT = 2
    UNSHARE = 3
    WAIT = 4


class Gup(Faults):
    """The walk under mmap_lock and page-table locks. The fast walk is in actors.cpu."""

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
        error, why = refuse_flags(msg.flags, self.rules)
        if error:
            self.warn("mm/gup.c", why)
            result = UserPages(error)
        else:
            result = await self._locked(msg)
        if not msg.inner:
            self.trace(PagesPinned.of(msg, result, fast=False))
        return result

    async def _locked(self, msg: GetUserPages) -> UserPages:
        """__get_user_pages()."""
        space = self.space(msg.mm)
        start = msg.address & -PAGE_SIZE
        pfns: list[int] = []
        error = 0
        async with space.mmap_lock.shared():
            if msg.flags & Foll.PIN:
                space.has_pinned = True
            for number in range(msg.nr):
                address = start + number * PAGE_SIZE
                vma = space.find_vma(address)
                if vma is None:
                    error = EFAULT
                else:
                    error = await self._check_vma(vma, msg.flags)
                if not error and space.killed:
                    error = -errno.EINTR
                if error or vma is None:
                    break
                pfn = await self._one_page(space, vma, address, msg.flags, msg.holder)
                if pfn < 0:
                    error = pfn
                    break
                pfns.append(pfn)
        return UserPages(len(pfns) or error, tuple(pfns))

    async def _check_vma(self, vma: Vma, flags: int) -> int:
        """check_vma_flags() (B2, step 3)."""
        write, force = bool(flags & Foll.WRITE), bool(flags & Foll.FORCE)
        if write:
            longterm_pin = flags & Foll.PIN and flags & Foll.LONGTERM
            refused = self.rules.longterm_file_write is LongtermFileWrite.REFUSED
            if refused and longterm_pin and vma.fs and vma.shared and vma.writable():
                tracked = await self.ask(self.at(vma.fs), fs.NeedsDirtyTracking(vma.ino))
                if tracked.yes:
                    return EFAULT
            if not vma.writable() and (not force or vma.shared):
                return EFAULT
        elif not vma.prot & Prot.READ and not force:
            return EFAULT
        return 0

    async def _one_page(self, space: AddressSpace, vma: Vma, address: int, flags: int, holder: str) -> int:
        """follow_page_mask() and faultin_page() (B2, steps 5 and 6): a pfn with a reference, or a negative errno.

        The result of a fault is never trusted: the walk is redone. Each round ends either with a page, or with a
        fault that made progress, so this loop is the kernel's and does not spin."""
        write = bool(flags & Foll.WRITE)
        cowed = False
        while True:
            slot = self.tables.make(space, address)
            async with slot.lock:
                entry = slot.entry
                verdict = await self._follow(entry, vma, flags, cowed=cowed)
                if verdict is _Follow.TAKE:
                    return await self._take(vma, slot, entry, flags, holder)
            if verdict is _Follow.WAIT:
                await self.ask(self.memmap, memmap.WaitWriteback(entry.target))
                continue
            if flags & Foll.NOFAULT:
                return EFAULT
            error = await self.fault(space, vma, address, write=write, unshare=verdict is _Follow.UNSHARE)
            if error:
                return ENOMEM if error == ENOMEM else EFAULT
            cowed = write and not vma.writable()

    async def _follow(self, entry: Entry, vma: Vma, flags: int, *, cowed: bool) -> _Follow:
        """follow_page_pte(), page-table lock held: what to do with the entry that stands there now."""
        if entry.kind != EntryKind.PAGE or (entry.protnone and not flags & Foll.FORCE):
            return _Follow.FAULT
        if flags & Foll.WRITE and not entry.writable and not await self._may_force(entry, vma, flags, cowed=cowed):
            return _Follow.FAULT
        if await self._must_unshare(entry, flags):
            return _Follow.UNSHARE
        if await self._under_writeback(entry, flags):
            return _Follow.WAIT
        return _Follow.TAKE

    async def _may_force(self, entry: Entry, vma: Vma, flags: int, *, cowed: bool) -> bool:
        """FOLL_FORCE through a read-only entry (rule force_cow; S13, S14)."""
        if not flags & Foll.FORCE or vma.shared:
            return False
        if self.rules.force_cow is ForceCow.COW_DIRTY:
            return cowed and entry.dirty
        if not self.anon_rmap.get(entry.target, ()):
            return False
        exclusive = await self.ask(self.memmap, memmap.ReadFlags(entry.target, Page.ANON_EXCLUSIVE))
        return bool(exclusive.flags)

    async def _must_unshare(self, entry: Entry, flags: int) -> bool:
        """gup_must_unshare(): a read-only pin of an anonymous page that may be shared."""
        if self.rules.unshare_for_pin is UnshareForPin.AS_IS or entry.writable or entry.special:
            return False
        if not flags & Foll.PIN or flags & Foll.WRITE or not self.anon_rmap.get(entry.target, ()):
            return False
        flag = await self.ask(self.memmap, memmap.ReadFlags(entry.target, Page.ANON_EXCLUSIVE))
        return not flag.flags

    async def _under_writeback(self, entry: Entry, flags: int) -> bool:
        """Proposal P1: no reference is taken on a page under writeback."""
        if self.rules.pin_under_writeback is PinUnderWriteback.ALLOWED or not flags & Foll.WRITE:
            return False
        flag = await self.ask(self.memmap, memmap.ReadFlags(entry.target, Page.WRITEBACK))
        return bool(flag.flags)

    async def _take(self, vma: Vma, slot: Slot, entry: Entry, flags: int, holder: str) -> int:
        """try_grab_folio() under the page-table lock, then FOLL_TOUCH."""
        pfn = entry.target
        pin = bool(flags & Foll.PIN)
        grabbed = await self.ask(self.memmap, memmap.GrabFolio(pfn, 1, pin, holder))
        if grabbed.error:
            return grabbed.error
        if flags & Foll.WRITE and not entry.dirty:
            # The page lock is not held here: the real kernel does not either.
            clean = await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.DIRTY))
            if not clean.flags:
                await self.mark_page_dirty(pfn, vma, slot.address, "get_user_pages")
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.REFERENCED))
        return pfn
