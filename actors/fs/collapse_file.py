"""collapse_file(): small pages of the cache become a huge one (B5)."""

from __future__ import annotations

from gupsim.actors.base import chunks_of, handles
from gupsim.actors.fs.inodes import Inode
from gupsim.actors.fs.pagecache import PageCache
from gupsim.protocol import memmap
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE, ReadMemory, WriteMemory, ZeroFrame
from gupsim.protocol.mm import TryToUnmap, TryToUnmapFlush
from gupsim.protocol.shmem import CollapseFile, FileCollapsed, RetractTables
from gupsim.protocol.thp import CollapseMoved

_OURS = 3
"""References of a small page while it is collapsed: the cache, the isolation, and the one by which we found it."""


class FileCollapse(PageCache):
    """Of swap-backed files only: nothing private to release, no writeback to wait for. Pages are on no LRU list, so
    isolation is a reference and nothing else."""

    @handles(CollapseFile)
    async def collapse_file(self, msg: CollapseFile) -> FileCollapsed:
        """Nobody can find the old pages unlocked or map them from their isolation to their end."""
        inode = self.inode(msg.ino)
        indices = range(msg.index, msg.index + (1 << msg.order))
        result = await self._scan(inode, indices)
        if result:
            return FileCollapsed(result)
        huge = (await self.ask(self.memmap, memmap.AllocPages("shmem", msg.order))).pfn
        if huge < 0:
            return FileCollapsed("alloc_huge_page_fail")
        await self.lock_page(huge)
        old: dict[int, int] = {}
        result = await self._isolate(inode, indices, old)
        await self.ask(self.mm, TryToUnmapFlush())
        if not result:
            for number, index in enumerate(indices):
                await self._copy(old.get(index, -1), huge + number)
            result = await self._replace(inode, indices, old, huge)
        for pfn in old.values():
            await self.unlock_page(pfn)
            await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "isolate", self.port.context))
            await self.put_page(pfn)
        if not result:
            await self.ask(self.mm, RetractTables(self.address, inode.ino, msg.index))
        await self.unlock_page(huge)
        await self.ask(self.memmap, memmap.PutRefs(huge, 1, "alloc", self.port.context))
        return FileCollapsed(result) if result else FileCollapsed("succeed", huge)

    async def cached_of(self, inode: Inode, pfn: int) -> int:
        """How many pages of this page's folio are in the cache."""
        folio = await self.ask(self.memmap, memmap.ReadFolio(pfn))
        if folio.pages == 1:
            return 1
        return sum(folio.head <= other < folio.head + folio.pages for _, other in inode.pages.items())

    async def _scan(self, inode: Inode, indices: range) -> str:
        """hpage_collapse_scan_file(): a look, to give up early."""
        if not inode.contains(indices[-1]):
            return "truncated"
        present = 0
        for index in indices:
            async with inode.xa.shared():
                pfn = inode.pages.load(index)
                if pfn is None:
                    continue
                if (await self.ask(self.memmap, memmap.ReadFolio(pfn))).pages > 1:
                    return "pte_mapped_hugepage"
                counts = await self.ask(self.memmap, memmap.ReadCounts(pfn))
                if counts.refs != 1 + counts.maps:
                    return "page_count"
                present += 1
        return "" if present else "truncated"

    async def _isolate(self, inode: Inode, indices: range, old: dict[int, int]) -> str:
        """Each page: locked, unmapped, and then no reference but ours. `old` gets those that are locked by then."""
        for index in indices:
            async with inode.xa.shared():
                pfn = inode.pages.load(index)
                if pfn is None:
                    continue
                if not (await self.ask(self.memmap, memmap.TryLockPage(pfn))).yes:
                    return "page_lock"
                await self.get_page(pfn)
            await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "isolate", self.port.context))
            old[index] = pfn
            if (await self.ask(self.memmap, memmap.PageMapped(pfn))).yes:
                await self.ask(self.mm, TryToUnmap(pfn))
            # Whoever has pinned it is seen here. A fast walker that pins it later finds its entry gone.
            async with inode.xa:
                if (await self.ask(self.memmap, memmap.ReadCounts(pfn))).refs != _OURS:
                    return "page_count"
        return ""

    async def _copy(self, source: int, target: int) -> None:
        """copy_mc_highpage(), clear_highpage() for a hole."""
        if source < 0:
            await self.ask(self.memory, ZeroFrame(target))
            return
        for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
            data = await self.ask(self.memory, ReadMemory(source, offset, length, self.name))
            await self.ask(self.memory, WriteMemory(target, offset, data.data, self.name))

    async def _replace(self, inode: Inode, indices: range, old: dict[int, int], huge: int) -> str:
        """xas_store() of the huge page; the holes must still be holes, and within the file."""
        flags = Page.SWAPBACKED | Page.UPTODATE | Page.DIRTY
        async with inode.xa:
            if not inode.contains(indices[-1]):
                return "truncated"
            if any(inode.pages.load(index) != old.get(index) for index in indices):
                return "page_filled"
            await self.ask(self.memmap, memmap.ChangeFlags(huge, set=flags))
            await self.ask(self.memmap, memmap.GetRefs(huge, len(indices), "cache"))
            await self.ask(self.memmap, memmap.SetMapping(huge, self.address, inode.ino, indices[0]))
            for number, index in enumerate(indices):
                if index in old:
                    inode.pages.erase(index)
                    await self.ask(self.memmap, memmap.SetMapping(old[index]))
                    self.trace(CollapseMoved(pfn=old[index], to=huge + number))
                inode.pages.store(index, huge + number)
        for pfn in old.values():
            await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "cache"))
        return ""
