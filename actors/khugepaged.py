"""khugepaged: the kernel thread that looks for ranges to collapse (B5)."""

from __future__ import annotations

import errno

from gupsim.actors.base import Entity, Field, Fifo, KernelActor, Port, handles
from gupsim.actors.rules import KernelRules
from gupsim.protocol.message import DONE, Done, Status
from gupsim.protocol.thp import Collapse, CollapseRange, KhugepagedEnter, NextHugeRange, ScanNext


class _Scan(Entity):
    """khugepaged_scan: where it goes on. mm: "" for the next address space."""

    mm = Field("")
    address = Field(0)


class Khugepaged(KernelActor):
    """Goes round the address spaces that asked for huge pages, a range at a time. It runs in the context of whoever
    nudges it, which a scenario names like a kernel thread."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules) -> None:
        super().__init__(address, port, rules=rules)
        self.mms: Fifo[str, bool] = Fifo(self, "mm_slot")
        self.scan = _Scan(self, "khugepaged_scan")
        self.mm = self.at("mm")

    @handles(KhugepagedEnter)
    def enter(self, msg: KhugepagedEnter) -> Done:
        """__khugepaged_enter()."""
        if msg.mm not in self.mms:
            self.mms[msg.mm] = True
        return DONE

    @handles(Collapse)
    async def collapse(self, msg: Collapse) -> Status:
        """This range next, whatever the scan has reached."""
        return await self.ask(self.mm, CollapseRange(msg.mm, msg.address))

    @handles(ScanNext)
    async def scan_next(self, msg: ScanNext) -> Status:
        """khugepaged_scan_mm_slot(): -11 (-EAGAIN) if there is nothing to try."""
        for _ in range(len(self.mms) + 1):
            mm = self.scan.mm or next(iter(self.mms), "")
            if not mm:
                break
            found = (await self.ask(self.mm, NextHugeRange(mm, self.scan.address))).address
            if found >= 0:
                self.scan.mm, self.scan.address = mm, found + 1
                return await self.ask(self.mm, CollapseRange(mm, found))
            self._next_mm(mm)
        return Status(-errno.EAGAIN)

    def _next_mm(self, mm: str) -> None:
        """The end of this address space; the one that entered after it is next, or the first one again."""
        mms = list(self.mms)
        after = mms.index(mm) + 1 if mm in mms else 0
        self.scan.mm, self.scan.address = (mms[after] if after < len(mms) else ""), 0
