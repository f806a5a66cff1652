"""Writeback: finds dirty pages by tag and has the file system write them (B11)."""

from __future__ import annotations

from gupsim.actors.base import KernelActor, Port, chunks_of, handles
from gupsim.actors.rules import KernelRules
from gupsim.actors.rules.files import WritebackPinned
from gupsim.protocol.address import local_name
from gupsim.protocol.flusher import (
    StartPeriodic,
    Writeback,
    WritebackBounce,
    WritebackDone,
    WritebackPass,
    WritebackSkip,
)
from gupsim.protocol.fs import (
    DirtyInodes,
    DirtyPage,
    NextDirty,
    NextWriteback,
    SetPageDirty,
    TagForWriteback,
    WritePage,
)
from gupsim.protocol.memmap import (
    AllocPages,
    ChangeFlags,
    LeaveCharged,
    LockPage,
    MaybeDmaPinned,
    Page,
    PutRefs,
    ReadFlags,
    ReadMapping,
    UnlockPage,
    WaitUnpinned,
    WaitWriteback,
)
from gupsim.protocol.memory import PAGE_SIZE, ReadMemory, WriteMemory
from gupsim.protocol.mm import PageMkclean


class Flusher(KernelActor):
    """The writeback code of one file system. It runs in the context of whoever asks: a nudged flusher thread, an fsync,
    or its own periodic thread.

    fs: local name of the file system. chunk: bytes that a copy moves in one step.
    """

    def __init__(self, address: str, port: Port, *, rules: KernelRules, fs: str, chunk: int) -> None:
        super().__init__(address, port, rules=rules)
        self.name = local_name(address)
        self.fs = self.at(fs)
        self.memmap = self.at("memmap")
        self.memory = self.at("memory")
        self.mm = self.at("mm")
        self.chunk = chunk

    @handles(Writeback)
    async def writeback(self, msg: Writeback) -> WritebackDone:
        """wb_writeback() or file_write_and_wait_range(): one pass."""
        return await self._one_pass(msg.ino, sync=msg.sync)

    @handles(StartPeriodic)
    def start_periodic(self, msg: StartPeriodic) -> None:
        """wb_workfn() every dirty_writeback_interval."""
        self.start(self._flusher_thread(msg.interval, msg.until), context=f"kworker {self.name}")

    async def _flusher_thread(self, interval: int, until: int) -> None:
        # If the file system runs into a BUG() in its context, the answer never comes and the thread is gone.
        while self.now + interval <= until:
            await self.sleep(interval)
            await self._one_pass(0, sync=False)

    async def _one_pass(self, ino: int, *, sync: bool) -> WritebackDone:
        self.trace(WritebackPass(fs=self.fs, ino=ino, sync=sync))
        inos = (ino,) if ino else (await self.ask(self.fs, DirtyInodes())).inos
        pages = error = 0
        for each in inos:
            written, failed = await self._write_cache_pages(each, sync=sync)
            pages += written
            error = error or failed
        return WritebackDone(pages, error)

    async def _write_cache_pages(self, ino: int, *, sync: bool) -> tuple[int, int]:
        """write_cache_pages(): once over the file, in order of index; (pages submitted, errno).

        A sync tags its work first, so that it ends although others go on dirtying."""
        if sync:
            await self.ask(self.fs, TagForWriteback(ino))
        pages = error = 0
        page = await self.ask(self.fs, NextDirty(ino, 0, towrite=sync))  # 1
        while page.pfn >= 0:
            result = await self._write_one(ino, page, sync=sync)
            pages += result > 0
            error = error or min(result, 0)
            await self._put(page.pfn)
            page = await self.ask(self.fs, NextDirty(ino, page.index + 1, towrite=sync))
        if sync:
            await self._wait_for_writeback(ino)
        return pages, error

    async def _write_one(self, ino: int, page: DirtyPage, *, sync: bool) -> int:
        """Steps 1 to 8 for one page: 1 if it was submitted, 0 if not, or a negative errno."""
        pfn = page.pfn
        await self.ask(self.memmap, LockPage(pfn))
        why = await self._reason_to_skip(ino, page, sync=sync)  # 2
        if why:
            return await self._skip(pfn, why)
        if sync:
            await self.ask(self.memmap, WaitWriteback(pfn))  # 3
        if (await self.ask(self.mm, PageMkclean(pfn, self.fs, ino, page.index))).yes:  # 4
            await self.ask(self.fs, SetPageDirty(pfn, ino, page.index, "page_mkclean"))
        # From here on a new write pin must fault, and page_mkwrite waits for the page lock that we hold: a question
        # about pins that came earlier would prove nothing. It comes before the dirty bit is cleared, because the
        # release of a pin takes the page lock only to dirty a clean page.
        pinned = await self._look_for_pins(pfn)
        if pinned and self.rules.writeback_pinned is WritebackPinned.SKIP:
            return await self._skip(pfn, "pinned")
        if pinned and self.rules.writeback_pinned is WritebackPinned.BOUNCE:
            return await self._write_snapshot(ino, page)
        if not (await self.ask(self.memmap, ChangeFlags(pfn, clear=Page.DIRTY))).flags:
            return await self._skip(pfn, "clean")
        written = await self.ask(self.fs, WritePage(pfn, ino, page.index, source=pfn))  # 5 to 8
        if written.outcome == "discarded":
            # mpage_prepare_extent_to_map() drops such a page before anything is accounted for [S 5.18 .. 7.3].
            await self.ask(self.memmap, LeaveCharged())
        return int(written.outcome == "submitted")

    async def _reason_to_skip(self, ino: int, page: DirtyPage, *, sync: bool) -> str:
        """Step 2; "" for a page that is to be written."""
        mapping = await self.ask(self.memmap, ReadMapping(page.pfn))
        if (mapping.fs, mapping.ino, mapping.index) != (self.fs, ino, page.index):
            return "moved"
        flags = (await self.ask(self.memmap, ReadFlags(page.pfn, Page.DIRTY | Page.WRITEBACK))).flags
        if not flags & Page.DIRTY:
            return "clean"
        return "under_writeback" if flags & Page.WRITEBACK and not sync else ""

    async def _skip(self, pfn: int, why: str) -> int:
        self.trace(WritebackSkip(pfn=pfn, why=why))
        await self.ask(self.memmap, UnlockPage(pfn))
        return 0

    async def _look_for_pins(self, pfn: int) -> bool:
        """The proposals of section C. Mainline never asks (rule writeback_pinned=live)."""
        if self.rules.writeback_pinned is WritebackPinned.LIVE:
            return False
        if self.rules.writeback_pinned is WritebackPinned.WAIT:
            # P5, with the page locked: faults and truncate wait too
            if (await self.ask(self.memmap, WaitUnpinned(pfn))).yes:
                self.rules.decide("writeback_pinned")
            return False
        pinned = (await self.ask(self.memmap, MaybeDmaPinned(pfn, "writeback"))).yes
        if pinned:
            self.rules.decide("writeback_pinned")
        return pinned

    async def _write_snapshot(self, ino: int, page: DirtyPage) -> int:
        """P6: write a copy. The page stays dirty, with dirty buffers, because more may come while it is pinned.

        The copy is not one instant either: a device that writes meanwhile is seen in part (S39)."""
        bounce = (await self.ask(self.memmap, AllocPages("bounce"))).pfn
        if bounce < 0:
            await self._skip(page.pfn, "pinned")
            return bounce
        for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
            chunk = await self.ask(self.memory, ReadMemory(page.pfn, offset, length, self.name))
            await self.ask(self.memory, WriteMemory(bounce, offset, chunk.data, self.name))
        self.trace(WritebackBounce(pfn=page.pfn, bounce=bounce))
        written = await self.ask(self.fs, WritePage(page.pfn, ino, page.index, source=bounce, keep_dirty=True))
        return int(written.outcome == "submitted")

    async def _wait_for_writeback(self, ino: int) -> None:
        """filemap_fdatawait(): also for what another pass had submitted."""
        page = await self.ask(self.fs, NextWriteback(ino, 0))
        while page.pfn >= 0:
            await self.ask(self.memmap, WaitWriteback(page.pfn))
            await self._put(page.pfn)
            page = await self.ask(self.fs, NextWriteback(ino, page.index + 1))

    async def _put(self, pfn: int) -> None:
        """put_page() of the lookup."""
        await self.ask(self.memmap, PutRefs(pfn, 1, "lookup", self.port.context))
