"""Flushes that somebody owes: reclaim's, put off, and that of whoever changes entries at the same time (B4)."""

from __future__ import annotations

from typing import Any

from gupsim.actors.base import Map, Port, handles
from gupsim.actors.mm.core import MmCore
from gupsim.actors.mm.spaces import AddressSpace
from gupsim.actors.rules.tables import FlushPending, ReclaimFlush, TlbFlush
from gupsim.protocol.cpu import FlushTlb, Quiesce
from gupsim.protocol.message import DONE, Done
from gupsim.protocol.mm import TryToUnmapFlush


class Flush(MmCore):
    """mm_tlb_flush_pending, mm_tlb_flush_batched, tlb_ubc."""

    def __init__(self, address: str, port: Port, **options: Any) -> None:
        super().__init__(address, port, **options)
        self._broadcast = self.rules.tlb_flush is TlbFlush.BROADCAST
        self._batches: Map[str, tuple[str, ...]] = Map(self, "tlb_ubc")
        """Context -> address spaces whose flush it put off."""

    async def flush_or_owe(self, space: AddressSpace, address: int) -> bool:
        """try_to_unmap_one() has cleared an entry: ptep_clear_flush(), or should_defer_flush() and
        set_tlb_ubc_flush_pending(); True if the flush is owed. Under the page-table lock."""
        if self.rules.reclaim_flush is ReclaimFlush.AT_ONCE:
            await self.shootdown(space, address, 1)
            return False
        if not space.cpus:
            return False
        batch = self._batches.get(self.port.context, ())
        if space.mm not in batch:
            self._batches[self.port.context] = (*batch, space.mm)
        # arch_tlbbatch_add_mm() counts now: a CPU that is spared then must see that it missed something.
        space.tlb_gen += 1
        space.flush_owed = True
        return True

    @handles(TryToUnmapFlush)
    async def try_to_unmap_flush(self, msg: TryToUnmapFlush) -> Done:
        """arch_tlbbatch_flush(): everything, on every CPU that may have translations of one of the spaces."""
        owed = self._batches.pop(self.port.context) or ()
        await self.ask_all(
            [
                (cpu, FlushTlb(space.mm, 0, 0, self._counted(space)))
                for space in map(self.spaces.get, owed)
                if space is not None
                for cpu in space.cpus
            ]
        )
        return DONE

    async def flush_batched_pending(self, space: AddressSpace) -> None:
        """flush_tlb_batched_pending(), under the page-table lock: who is about to rely on entries being gone, as
        munmap, mprotect and mremap, must not rely on those that reclaim cleared."""
        if self.rules.flush_pending is FlushPending.IGNORED or not space.flush_owed:
            return
        before = space.tlb_gen
        await self.shootdown(space, 0, 0)
        # Only if nobody put off another one meanwhile, under the lock of another table.
        if space.tlb_gen == before + (0 if self._broadcast else 1):
            space.flush_owed = False

    async def quiescent(self) -> None:
        """synchronize_rcu_sched(): every CPU has had interrupts on since."""
        await self.ask_all([(cpu, Quiesce()) for cpu in self.cpus])

    def _counted(self, space: AddressSpace) -> int:
        return 0 if self._broadcast else space.tlb_gen
