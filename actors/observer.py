"""Root's look at the machine after a history: /proc/vmstat, the page cache, and the raw disk."""

from __future__ import annotations

from gupsim.actors.base import Actor, handles
from gupsim.protocol.address import host_of
from gupsim.protocol.block import ReadBlock
from gupsim.protocol.fs import StatFile
from gupsim.protocol.memmap import Page, ReadCounts, ReadFlags, ReadFolio, ReadVmstat
from gupsim.protocol.memory import ReadFrame
from gupsim.protocol.mm import ReadPagemap
from gupsim.protocol.observer import (
    ContentSeen,
    FileSeen,
    FrameSeen,
    Observation,
    Observe,
    ObserveContent,
    ObserveFrame,
    ObservePage,
    ObserveTask,
    PageSeen,
    TaskSeen,
    VmstatSeen,
)
from gupsim.protocol.proc import ReadStatus, ReadVmas
from gupsim.protocol.process import FindMapping

_NOTHING = -1


class Observer(Actor):
    """Changes nothing; meant for a machine in which nothing happens any more."""

    @handles(Observe)
    async def observe(self, msg: Observe) -> Observation:
        """Each page of each file that is in memory or on disk, then the counters."""
        memory = f"{host_of(msg.memmap)}/memory"
        for name, fs, ino, block in msg.files:
            await self._observe_file(memory, name, fs, ino, block)
        vmstat = await self.ask(msg.memmap, ReadVmstat())
        self.trace(VmstatSeen(host=host_of(msg.memmap), counters=dict(vmstat.counters)))
        return Observation(vmstat.counters)

    @handles(ObservePage)
    async def observe_page(self, msg: ObservePage) -> None:
        """pagemap, smaps, then what the frame says of itself."""
        place = await self.ask(msg.process, FindMapping(msg.map, msg.page))
        host = host_of(msg.process)
        if place.address < 0:
            self.trace(PageSeen(mm=place.mm, address=-1, mapped=False, state="none", pfn=-1, anon_huge=0))
            return
        entry = await self.ask(f"{host}/mm", ReadPagemap(place.mm, place.address))
        seen = await self.ask(f"{host}/mm", ReadVmas(place.mm, place.address, 1))
        huge = sum(vma.huge for vma in seen.vmas)
        if entry.pfn >= 0:
            await self._observe_frame(host, entry.pfn)
        self.trace(
            PageSeen(
                mm=place.mm,
                address=place.address,
                mapped=bool(seen.vmas),
                state=entry.state,
                pfn=entry.pfn,
                anon_huge=huge,
            )
        )

    @handles(ObserveFrame)
    async def observe_frame(self, msg: ObserveFrame) -> None:
        """kpageflags of a page that was marked."""
        await self._observe_frame(msg.host, msg.pfn)

    @handles(ObserveTask)
    async def observe_task(self, msg: ObserveTask) -> None:
        """status."""
        place = await self.ask(msg.process, FindMapping("", 0))
        status = await self.ask(f"{host_of(msg.process)}/mm", ReadStatus(place.mm))
        self.trace(TaskSeen(mm=place.mm, pinned=status.pinned, locked=status.locked))

    @handles(ObserveContent)
    async def observe_content(self, msg: ObserveContent) -> None:
        """Every page of the files, cached or not, then every page of the mappings."""
        for name, fs, ino, pages, block in msg.files:
            state = await self.ask(fs, StatFile(ino))
            cached = {index: pfn for index, pfn, *_ in state.cached}
            blocks = dict(state.blocks)
            for index in range(max([pages, *(index + 1 for index in (*cached, *blocks))])):
                disk = "hole"
                if index in blocks:
                    disk = _told((await self.ask(block, ReadBlock(blocks[index]))).data, msg.chunk)
                seen = await self._frame(msg, cached[index]) if index in cached else disk
                self.trace(ContentSeen(place=f"file {name}:{index}", bytes=seen))
                if block:
                    self.trace(ContentSeen(place=f"disk {name}:{index}", bytes=disk))
        for process, map_, pages in msg.maps:
            for page in range(pages):
                seen = await self._mapped(msg, process, map_, page)
                self.trace(ContentSeen(place=f"memory {process}/{map_}:{page}", bytes=seen))

    async def _mapped(self, msg: ObserveContent, process: str, map_: str, page: int) -> str:
        place = await self.ask(f"{msg.host}/process/{process}", FindMapping(map_, page))
        if place.address < 0:
            return "none"
        entry = await self.ask(f"{msg.host}/mm", ReadPagemap(place.mm, place.address))
        return await self._frame(msg, entry.pfn) if entry.pfn >= 0 else entry.state

    async def _frame(self, msg: ObserveContent, pfn: int) -> str:
        return _told((await self.ask(f"{msg.host}/memory", ReadFrame(pfn))).data, msg.chunk)

    async def _observe_frame(self, host: str, pfn: int) -> None:
        memmap = f"{host}/memmap"
        flags = await self.ask(memmap, ReadFlags(pfn, int(sum(Page))))
        counts = await self.ask(memmap, ReadCounts(pfn))
        folio = await self.ask(memmap, ReadFolio(pfn))
        self.trace(FrameSeen(pfn=pfn, flags=flags.flags, maps=counts.maps, head=folio.head, folio=folio.pages))

    async def _observe_file(self, memory: str, name: str, fs: str, ino: int, block: str) -> None:
        state = await self.ask(fs, StatFile(ino))
        cached = {index: (pfn, buffers, dirty) for index, pfn, buffers, dirty in state.cached}
        blocks = dict(state.blocks)
        for index in sorted({*cached, *blocks}):
            pfn, buffers, dirty = cached.get(index, (_NOTHING, False, False))
            page = (await self.ask(memory, ReadFrame(pfn))).data if pfn >= 0 else b""
            disk, intact = b"", True
            if index in blocks:
                content = await self.ask(block, ReadBlock(blocks[index]))
                disk, intact = content.data, content.intact
            self.trace(
                FileSeen(
                    file=name,
                    index=index,
                    pfn=pfn,
                    cached=page[0] if page else _NOTHING,
                    disk=disk[0] if disk else _NOTHING,
                    buffers=buffers,
                    dirty=dirty,
                    same=bool(page) and page == disk,
                    intact=intact,
                )
            )


def _told(data: bytes, chunk: int) -> str:
    """The first byte of each chunk, where it differs from the one before: "0x11/0xaa"."""
    firsts = data[::chunk]
    return "/".join(f"{byte:#04x}" for at, byte in enumerate(firsts) if not at or byte != firsts[at - 1])
