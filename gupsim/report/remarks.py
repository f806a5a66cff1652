"""What a tracepoint means for the ones that follow: the kernel's side of the story, one remark a line.

The remarks follow from the tracepoints alone; they know no scenario. They say what the LWN article says about the
same steps: who believes what about the page, and who is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from gupsim.checkers.ledger import GUP_KINDS
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.dma import DmaAccess
from gupsim.protocol.driver import Registered
from gupsim.protocol.flusher import WritebackEnd, WritebackStart
from gupsim.protocol.fs import (
    BuffersAttached,
    BuffersReleased,
    CacheDrop,
    DiscardDirty,
    PageMkwriteDone,
    SetPageDirtyDone,
)
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import PageFree, PageGet, PagePut
from gupsim.protocol.mm import Mkclean
from gupsim.protocol.reclaim import FreezeRefused, ReleaseBuffersDone
from gupsim.trace.records import Event


class Storyteller:
    """Remembers while a chain is told: whether somebody holds the page for a device, whether the file system believes
    it clean, and whether it still has buffers."""

    def __init__(self) -> None:
        self._held = 0
        self._clean = False
        self._stripped = False
        self._said: set[str] = set()

    def remark(self, event: Event) -> str:
        """What to add to this event, or ""."""
        point = event.point
        text = self._about_device(point) or self._about_file_system(point)
        if text in self._said:
            return ""
        self._said.add(text)
        return text

    def _about_device(self, point: object) -> str:
        if isinstance(point, PageGet) and point.kind in GUP_KINDS:
            self._held += point.amount
            if point.kind == "pin":
                return "counted as a pin: folio_maybe_dma_pinned() would see it, if it were asked"
            return "a plain reference, as any other: nothing says that a device may write to the page"
        if isinstance(point, PagePut) and point.kind in GUP_KINDS:
            self._held -= point.amount
        elif isinstance(point, Registered):
            self._held = max(self._held, 1)
        elif isinstance(point, DmaAccess) and point.to_memory and self._clean:
            return "the device goes past the page tables: no fault, no page_mkwrite, the page still counts as clean"
        elif isinstance(point, PageFree):
            self._held = 0
        return ""

    def _about_file_system(self, point: object) -> str:
        if isinstance(point, PageMkwriteDone) and not point.error:
            self._clean = self._stripped = False
            return "the file system knows now that the page will be written to"
        if isinstance(point, BuffersAttached):
            self._stripped = False
        elif isinstance(point, Mkclean) and self._held > 0:
            return "the next store of a CPU will fault; the device has no page table that could be write-protected"
        elif isinstance(point, WritebackStart):
            self._clean = True
        elif isinstance(point, BlockWrite) and not point.intact:
            return "the checksum was computed before the page changed"
        elif isinstance(point, WritebackEnd) and not point.error and self._held > 0:
            return "for the file system the page is clean and done with"
        elif isinstance(point, (BuffersReleased, ReleaseBuffersDone, FreezeRefused)):
            return self._about_reclaim(point)
        elif isinstance(point, SetPageDirtyDone):
            self._clean = False
            if not point.buffers:
                return "dirty behind the back of the file system: page_mkwrite was not called, no block is prepared"
        elif isinstance(point, DiscardDirty):
            return "what was written to the page since its last writeback will never be on disk"
        elif isinstance(point, CacheDrop) and not point.dirty:
            if point.why == "invalidate":
                return "whoever still has the page writes to no file from now on"
            return "memory was the only place that had the newer content"
        elif isinstance(point, KernelBug):
            return "this context is dead and keeps its locks: whoever needs them waits for ever"
        return ""

    def _about_reclaim(self, point: BuffersReleased | ReleaseBuffersDone | FreezeRefused) -> str:
        if isinstance(point, ReleaseBuffersDone):
            if point.ok:
                self._stripped = True
                return "no reference count is looked at before this step" if self._held > 0 else ""
            return ""
        if isinstance(point, FreezeRefused) and self._stripped:
            return "the other reference is noticed only now, when the buffers are gone already"
        return ""


def remarks(chain: Sequence[Event]) -> list[str]:
    """One remark, or "", for each event of a chain."""
    teller = Storyteller()
    return [teller.remark(event) for event in chain]
