"""The owner of struct page: each handler is one atomic operation on one page, or a wait for it."""

from __future__ import annotations

from gupsim.actors.base import handles
from gupsim.actors.memmap.folios import PER_PAGE
from gupsim.actors.memmap.hugetlb import HugetlbFolios
from gupsim.protocol.memmap import (
    AddMaps,
    ChangeFlags,
    Counts,
    DirtyPagesOver,
    Folio,
    LeaveCharged,
    LockPage,
    Mapping,
    OldFlags,
    Page,
    PageFlags,
    PageMapped,
    ReadCounts,
    ReadFlags,
    ReadFolio,
    ReadMapping,
    ReadVmstat,
    SetMapping,
    TryLockPage,
    UnlockPage,
    Vmstat,
    WaitUnpinned,
    WaitWriteback,
)
from gupsim.protocol.message import DONE, NO, YES, Done, Flag


class Memmap(HugetlbFolios):
    """struct page in columns: 35 bytes a page and no Python object, so that large memories are cheap.

    A folio is addressed by any of its pages; counts, flags, mapping and lock are those of its first page.

    frames: size of the memory in 4 KiB frames, the zero page (frame 0) included.
    """

    @handles(ReadCounts)
    def read_counts(self, msg: ReadCounts) -> Counts:
        """folio_ref_count(), folio_mapcount()."""
        pfn = self.folio(msg.pfn)
        return Counts(refs=self.counts.refs.read(pfn), maps=self.counts.maps[pfn])

    @handles(ReadFolio)
    def read_folio(self, msg: ReadFolio) -> Folio:
        """page_folio()."""
        head = self.folio(msg.pfn)
        return Folio(head=head, pages=1 << self.frames.order(head))

    @handles(PageMapped)
    def page_mapped(self, msg: PageMapped) -> Flag:
        """folio_mapped()."""
        return Flag(self.counts.maps[self.folio(msg.pfn)] > 0)

    @handles(AddMaps)
    def add_maps(self, msg: AddMaps) -> Done:
        """folio_add_rmap, folio_remove_rmap. A reference may become the mapping's own."""
        pfn = self.folio(msg.pfn)
        before = self.counts.maps.data[pfn]
        self.counts.maps.add(pfn, msg.amount)
        after = before + msg.amount
        if after < 0:
            self.warn("page_remove_rmap", f"bad map count of page {pfn}: {after}")
        order = self.frames.order(pfn)
        if not order:
            # The sum of these steps is the same in every order, so that the additions still commute.
            mapped = (after > 0) - (before > 0)
        elif msg.entire:
            mapped = self.folio_maps.add_entire(pfn, 1 << order, msg.amount)
        else:
            mapped = self.folio_maps.add_page(pfn, msg.pfn, msg.amount)
        anon = self.flags.test(pfn, Page.ANON)
        self.vmstat.add("nr_anon_pages" if anon else "nr_mapped", mapped)
        if msg.adopt:
            self.counts.rename(pfn, msg.amount, (msg.adopt, self.port.context), ("map", msg.ledger))
        return DONE

    # Flags

    @handles(ChangeFlags)
    def change_flags(self, msg: ChangeFlags) -> OldFlags:
        """test_and_set, test_and_clear. The end of writeback wakes its waiters."""
        pfn = self.folio(msg.pfn)
        # Plain ints: arithmetic on IntFlag members is ten times slower, and this is the hottest handler.
        setting, clearing = int(msg.set), int(msg.clear)
        own = 0
        if pfn != msg.pfn and (setting | clearing) & PER_PAGE:
            own = self._change_own(msg.pfn, setting & PER_PAGE, clearing & PER_PAGE)
            setting, clearing = setting & ~PER_PAGE, clearing & ~PER_PAGE
        before = self.flags.change(pfn, setting, clearing)
        gained, lost = setting & ~before, clearing & before & ~setting
        if gained or lost:
            self.account(pfn, gained, lost)
            self.trace(PageFlags(pfn=pfn, set=gained, cleared=lost))
        if lost & int(Page.WRITEBACK):
            self.writeback_sleepers.wake(pfn)
        return OldFlags(before | own)

    def _change_own(self, pfn: int, setting: int, clearing: int) -> int:
        before = self.flags.change(pfn, setting, clearing)
        gained, lost = setting & ~before, clearing & before & ~setting
        if gained or lost:
            self.trace(PageFlags(pfn=pfn, set=gained, cleared=lost))
        return before

    @handles(ReadFlags)
    def read_flags(self, msg: ReadFlags) -> OldFlags:
        """PageDirty() and its sisters."""
        pfn = self.folio(msg.pfn)
        mask = int(msg.mask)
        if pfn != msg.pfn and mask & PER_PAGE:
            own = self.flags.test(msg.pfn, PER_PAGE)
            return OldFlags(own | (self.flags.test(pfn, mask & ~PER_PAGE) if mask != PER_PAGE else 0))
        return OldFlags(self.flags.test(pfn, mask))

    @handles(LeaveCharged)
    def leave_charged(self, msg: LeaveCharged) -> Done:
        """What was counted as cleaned is counted as dirty again."""
        self.vmstat.add("nr_dirty", msg.pages)
        return DONE

    @handles(DirtyPagesOver)
    async def dirty_pages_over(self, msg: DirtyPagesOver) -> Flag:
        """balance_dirty_pages(), whose pauses end here when something was written and not after some time."""
        while self.vmstat.sum_of("nr_dirty", "nr_writeback") > msg.limit:
            if not msg.wait:
                return YES
            await self.dirty_sleepers.sleep()
        return NO

    @handles(WaitWriteback)
    async def wait_writeback(self, msg: WaitWriteback) -> Done:
        """wait_on_page_writeback(): looks again after each wake-up, it may be under writeback anew."""
        pfn = self.folio(msg.pfn)
        while self.flags.test(pfn, Page.WRITEBACK):
            await self.writeback_sleepers.sleep(pfn)
        return DONE

    @handles(WaitUnpinned)
    async def wait_unpinned(self, msg: WaitUnpinned) -> Flag:
        """Proposal P5: sleep while the page may be pinned."""
        pfn = self.folio(msg.pfn)
        slept = False
        while self.counts.maybe_pinned(pfn):
            slept = True
            await self.unpin_sleepers.sleep(pfn)
        return Flag(slept)

    # Page cache membership

    @handles(SetMapping)
    def set_mapping(self, msg: SetMapping) -> Done:
        """page->mapping and ->index change."""
        pfn = self.folio(msg.pfn)
        self.map_to(pfn, msg.fs, msg.ino, msg.index)
        return DONE

    @handles(ReadMapping)
    def read_mapping(self, msg: ReadMapping) -> Mapping:
        """Look at page->mapping and ->index: without the page lock the answer may be stale at once (S45)."""
        pfn = self.folio(msg.pfn)
        fs, ino, index = self.mappings.read(pfn)
        return Mapping(fs=fs, ino=ino, index=index, anon=bool(self.flags.test(pfn, Page.ANON)))

    # The page lock

    @handles(LockPage)
    async def lock_page(self, msg: LockPage) -> Done:
        """lock_page()."""
        await self.locks.lock(self.folio(msg.pfn))
        return DONE

    @handles(TryLockPage)
    def trylock_page(self, msg: TryLockPage) -> Flag:
        """trylock_page()."""
        return Flag(self.locks.trylock(self.folio(msg.pfn)))

    @handles(UnlockPage)
    def unlock_page(self, msg: UnlockPage) -> Done:
        """unlock_page()."""
        self.locks.unlock(self.folio(msg.pfn), msg.holder)
        return DONE

    @handles(ReadVmstat)
    def read_vmstat(self, msg: ReadVmstat) -> Vmstat:
        """/proc/vmstat."""
        return Vmstat(self.vmstat.read())
