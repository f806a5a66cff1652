"""Root's look at the machine after a history: /proc/vmstat, the page cache, and the raw disk."""

from __future__ import annotations

from actors.base import Actor, handles
from protocol.address import host_of
from protocol.block import ReadBlock
from protocol.fs import StatFile
from protocol.memmap import ReadVmstat
from protocol.memory import ReadFrame
from protocol.observer import FileSeen, Observation, Observe, VmstatSeen

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
