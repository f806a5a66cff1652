"""What is asked of the pools of huge pages (mm/hugetlb.c)."""

from __future__ import annotations

from errno import ENOMEM

from gupsim.actors.base import handles
from gupsim.actors.memmap.folios import Folios
from gupsim.protocol.hugetlb import AllocHuge, ReserveHuge
from gupsim.protocol.memmap import Allocated, PageAlloc
from gupsim.protocol.message import Status


class HugetlbFolios(Folios):
    """hugetlb_lock protects a pool: each request is one step."""

    @handles(ReserveHuge)
    def reserve_huge(self, msg: ReserveHuge) -> Status:
        return Status(0 if self.pools.reserve(msg.order, msg.pages) else -ENOMEM)

    @handles(AllocHuge)
    def alloc_huge(self, msg: AllocHuge) -> Allocated:
        pfn = self.pools.take(msg.order, reserved=msg.reserved)
        if pfn < 0:
            return Allocated(-ENOMEM)
        generation = self.frames.generations[pfn]
        self.trace(PageAlloc(pfn=pfn, order=msg.order, owner="hugetlb", generation=generation))
        self.counts.new(pfn, self.port.context)
        return Allocated(pfn)
