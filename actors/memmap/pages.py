"""What all parts of memmap share: the state of every page, where pages come from and where they go."""

from __future__ import annotations

from errno import ENOMEM
from typing import Final

from gupsim.actors.base import Bits, KernelActor, Port, WaitQueue, handles
from gupsim.actors.memmap.counts import PageCounts
from gupsim.actors.memmap.folio_maps import FolioMaps, TailPins
from gupsim.actors.memmap.frames import Frames
from gupsim.actors.memmap.mappings import PageMappings
from gupsim.actors.memmap.pools import HugePools
from gupsim.actors.memmap.sleepers import PageLocks, PageSleepers
from gupsim.actors.memmap.vmstat import Vmstat as Counters
from gupsim.actors.rules.rules import KernelRules
from gupsim.actors.rules.thp import ThpSplit
from gupsim.protocol.memmap import ZERO_PFN, Allocated, AllocPages, Page, PageAlloc, PageFree, PageMapping
from gupsim.protocol.memory import ZeroFrame
from gupsim.protocol.reclaim import LruDel

_ANON_LIKE: Final = int(Page.ANON | Page.SWAPBACKED)
_DIRTY: Final = int(Page.DIRTY)
_WRITEBACK: Final = int(Page.WRITEBACK)
"""Pages with one of these have no writeback of a file behind them: they are not counted as dirty."""
_ALL_FLAGS: Final = sum(Page)


class Pages(KernelActor):
    """struct page in columns and the allocator. The meaning of the arguments is in `gupsim.actors.memmap.memmap`."""

    def __init__(
        self,
        address: str,
        port: Port,
        *,
        rules: KernelRules,
        frames: int,
        hugepages: tuple[tuple[int, int], ...] = (),
    ) -> None:
        super().__init__(address, port, rules=rules)
        self.vmstat = Counters(self)
        self.frames = Frames(self, frames)
        self.counts = PageCounts(self, self.frames, self.vmstat)
        self.folio_maps = FolioMaps(self)
        self.tail_pins = TailPins(self, kept=rules.thp_split is ThpSplit.SPLITTING_BIT)
        self.flags = Bits(self, "page.flags", frames)
        self.mappings = PageMappings(self, frames)
        self.locks = PageLocks(self)
        self.writeback_sleepers = PageSleepers(self, "writeback of page")
        self.dirty_sleepers = WaitQueue(self, "fewer dirty pages")
        self.unpin_sleepers = PageSleepers(self, "unpin of page")
        self.pools = HugePools(self, self.frames, self.flags.data, hugepages)
        self.vmstat.add("nr_free_pages", frames - 1 - self.pools.pages)
        self.flags.data[ZERO_PFN] = Page.RESERVED | Page.UPTODATE
        self.counts.refs.set(ZERO_PFN, 1)

    @property
    def bytes_per_page(self) -> int:
        """What one page costs."""
        return (
            self.frames.bytes_per_page
            + self.counts.bytes_per_page
            + self.flags.data.itemsize
            + self.mappings.bytes_per_page
        )

    @handles(AllocPages)
    async def alloc_pages(self, msg: AllocPages) -> Allocated:
        """get_page_from_freelist(), prep_new_page(): refcount 1 first, then the content is cleared."""
        pfn = self.frames.take(msg.order)
        if pfn < 0:
            return Allocated(-ENOMEM)
        pages = 1 << msg.order
        self.vmstat.add("nr_free_pages", -pages)
        self.vmstat.add("pgalloc_normal", pages)
        generation = self.frames.generations[pfn]
        self.trace(PageAlloc(pfn=pfn, order=msg.order, owner=msg.owner, generation=generation))
        if msg.order:
            self.flags.change(pfn, Page.HEAD, 0)
            for tail in range(pfn + 1, pfn + pages):
                self.flags.change(tail, Page.TAIL, 0)
        self.counts.new(pfn, self.port.context)
        if msg.zero:
            memory = self.at("memory")
            await self.ask_all([(memory, ZeroFrame(frame)) for frame in range(pfn, pfn + pages)])
        return Allocated(pfn)

    def folio(self, pfn: int) -> int:
        """page_folio(); refuses what is no frame of this memory."""
        if not 0 <= pfn < self.frames.size:
            raise ValueError(f"{self.address}: page {pfn} of {self.frames.size}")
        return self.frames.head(pfn)

    def free(self, pfn: int) -> None:
        """__folio_put(): the frame returns to the allocator, whatever still points to it."""
        order = self.frames.order(pfn)
        pages = 1 << order
        was = self.flags.change(pfn, 0, _ALL_FLAGS)
        if was & Page.HUGETLB:
            self._free_huge(pfn, order)
            return
        for tail in range(pfn + 1, pfn + pages):
            self.flags.change(tail, 0, _ALL_FLAGS)
        self.account(pfn, 0, was)
        if self.mappings.mapped(pfn):
            self.map_to(pfn, "", 0, 0)
        maps, pins = self.counts.clear(pfn)
        if order:
            self.folio_maps.clear(pfn, pages)
        self.trace(PageFree(pfn=pfn, order=order, maps=maps, pins=pins))
        self.vmstat.add("nr_free_pages", pages)
        self.vmstat.add("pgfree", pages)
        self.frames.give(pfn)
        if was & Page.LRU:
            self.send(self.at("reclaim"), LruDel(pfn))

    def _free_huge(self, pfn: int, order: int) -> None:
        """free_huge_folio(): back to its pool, not to the allocator."""
        self.flags.change(pfn, Page.HUGETLB | Page.HEAD, 0)
        maps, pins = self.counts.clear(pfn)
        self.folio_maps.clear(pfn, 1)
        self.trace(PageFree(pfn=pfn, order=order, maps=maps, pins=pins))
        for frame in range(pfn, pfn + (1 << order)):
            self.frames.generations[frame] += 1
        self.pools.give(order, pfn)

    def map_to(self, pfn: int, fs: str, ino: int, index: int) -> None:
        """The page enters a page cache, or leaves it (ino 0)."""
        was_in, is_in = self.mappings.mapped(pfn), ino != 0
        self.mappings.set(pfn, fs, ino, index)
        self.vmstat.add("nr_file_pages", (is_in - was_in) << self.frames.order(pfn))
        self.trace(PageMapping(pfn=pfn, fs=fs, ino=ino, index=index))

    def account(self, pfn: int, gained: int, lost: int) -> None:
        """folio_account_dirtied(), folio_start_writeback() and their ends."""
        pages = 1 << self.frames.order(pfn)
        if (gained | lost) & _DIRTY and not self.flags.test(pfn, _ANON_LIKE) | (lost & _ANON_LIKE):
            if gained & _DIRTY:
                self.vmstat.add("nr_dirty", pages)
                self.vmstat.add("nr_dirtied", pages)
            else:
                self.vmstat.add("nr_dirty", -pages)
        if gained & _WRITEBACK:
            self.vmstat.add("nr_writeback", pages)
        elif lost & _WRITEBACK:
            self.vmstat.add("nr_writeback", -pages)
            self.vmstat.add("nr_written", pages)
        if lost & (_DIRTY | _WRITEBACK) and not self.dirty_sleepers.empty:
            # Not recorded unless somebody sleeps, who has read the counters, and that is recorded.
            self.dirty_sleepers.wake_all()
