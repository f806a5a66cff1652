"""Which tracepoints a checker compares with each other, so that the search tries both orders of them.

A search runs one execution of all that are equal up to the order of independent events. What is decided at one
actor, from its recorded state, has its order there. A checker that compares what happened at two actors looks at an
order that no actor knows of: that order is named here. The rest needs nothing:

kernel-bug       is a tracepoint by itself.
pin-incoherent   HELD: a page is replaced in mm, its references are dropped in memmap. That a call returned it before or
                 after it was replaced is all the same: it is held in both cases.
table-use-       the read and the release of a table page are both of mm, and touch its generation.
after-free
stale-tlb        STALE: an access through a cached translation (cpu) against the return of the system call that revoked
                 it, and against the entry that allows it again (mm). LIFE: the same access against the release of the
                 frame. That a CPU was spared is told by that CPU.
torn-entry       what a walk read, it read after it was stored, at the same actor.
refcount         compares what `memmap` emits with the counts that the same event touched; a page is freed by an event
                 that reads its count, and so after all gets and puts before it.
misidentified-   the answer and the pins are read by the same event of `memmap`.
pin
pin-leak         is judged at the end.
deadlock         is judged at the end.
dma-use-after-   LIFE: an access of the device (dma) against the allocation and release of the frame (memmap).
free
data-loss,       BEGUN: what an fsync promises is what was written, and given back by its driver, when it began.
torn-writeback   ENDED: it is judged when it returns, by what is on disk, in the cache, mapped, dirty at that moment.
                 FRAME: whether content was ever in memory at one moment takes the order of the writes to all chunks
                 of a frame; a dropped page promises what was written before, and a new owner has none of it.

The disk's reads of memory against writes to it need no relation: both touch the chunk. What opens an I/O (writeback,
checksum) is before its first read, and a write in between is in all states that the disk can have read. A page's
blocks, its writeback and its way into and out of the cache are ordered by the page lock and the writeback flag.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, TypeAlias

from actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.checkers.ledger import GUP_KINDS
from gupsim.checkers.names import host_of
from gupsim.engine.port import ActorPort
from protocol.block import BlockWrite
from protocol.cpu import CpuAccess
from protocol.dma import DmaAccess, DmaStart
from protocol.driver import Registered, Released
from protocol.flusher import WritebackSkip
from protocol.fs import CacheDrop, DiscardDirty, FileBlock, FsyncBegin, FsyncEnd
from protocol.gup import PageReplaced
from protocol.memmap import Page, PageAlloc, PageFlags, PageFree, PageMapping, PagePut
from protocol.memory import PAGE_SIZE, MemoryWrite, MemoryZero
from protocol.message import Tracepoint
from protocol.mm import Mkclean, MmLayout
from protocol.pagetable import EntryChanged

LIFE: Final = "life"
FRAME: Final = "frame"
BEGUN: Final = "begun"
ENDED: Final = "ended"
HELD: Final = "held"
STALE: Final = "stale"

_JUDGED_FLAGS: Final = int(Page.DIRTY | Page.WRITEBACK)

Related: TypeAlias = tuple[tuple[Hashable, int], ...]


def relations(port: ActorPort, tracepoint: Tracepoint) -> Related:
    """What a tracepoint is about for the checkers, and whether it looks at it, changes it or adds to it."""
    about = _ABOUT.get(type(tracepoint))
    return about(host_of(port.address), tracepoint) if about is not None else ()


def _written(host: str, point: Any) -> Related:
    return (((FRAME, host, point.pfn), READ | WRITE), ((BEGUN, host), COMMUTE))


def _allocated(host: str, point: Any) -> Related:
    frames = range(point.pfn, point.pfn + (1 << point.order))
    return (
        *(((LIFE, host, pfn), READ | WRITE) for pfn in frames),
        *(((FRAME, host, pfn), READ) for pfn in frames),
    )


def _freed(host: str, point: Any) -> Related:
    return tuple(((LIFE, host, pfn), READ | WRITE) for pfn in range(point.pfn, point.pfn + (1 << point.order)))


def _accessed(host: str, point: Any) -> Related:
    return (((LIFE, host, point.pfn), READ),)


def _dropped(host: str, point: Any) -> Related:
    return (((FRAME, host, point.pfn), READ),) if not point.dirty else ()


def _put(host: str, point: Any) -> Related:
    return (((HELD, host), COMMUTE),) if point.kind in GUP_KINDS else ()


def _replaced(host: str, _: Any) -> Related:
    return (((HELD, host), READ),)


def _used(host: str, point: Any) -> Related:
    if not point.cached:
        return ()
    return ((STALE, host, point.mm, point.address // PAGE_SIZE), READ), ((LIFE, host, point.pfn), READ)


def _laid_out(host: str, point: Any) -> Related:
    return _pages(host, point) if point.what in ("munmap", "mprotect", "mremap", "dontneed") else ()


def _mapped(host: str, point: Any) -> Related:
    return _pages(host, point) if point.now.startswith(("ro", "rw")) else ()


def _pages(host: str, point: Any) -> Related:
    first = point.address // PAGE_SIZE
    return tuple(((STALE, host, point.mm, page), COMMUTE) for page in range(first, first + point.pages))


def _began(host: str, _: Any) -> Related:
    return (((BEGUN, host), READ),)


def _returned(host: str, point: Any) -> Related:
    return (((ENDED, host), READ),) if not point.error else ()


def _held(host: str, _: Any) -> Related:
    return (((BEGUN, host), COMMUTE),)


def _changed(host: str, _: Any) -> Related:
    return (((ENDED, host), COMMUTE),)


def _flagged(host: str, point: Any) -> Related:
    return (((ENDED, host), COMMUTE),) if (point.set | point.cleared) & _JUDGED_FLAGS else ()


_ABOUT: Final[dict[type[Tracepoint], Callable[[str, Any], Related]]] = {
    MemoryWrite: _written,
    MemoryZero: _written,
    PageAlloc: _allocated,
    PageFree: _freed,
    DmaStart: _accessed,
    DmaAccess: _accessed,
    CpuAccess: _used,
    MmLayout: _laid_out,
    EntryChanged: _mapped,
    PagePut: _put,
    PageReplaced: _replaced,
    CacheDrop: _dropped,
    FsyncBegin: _began,
    FsyncEnd: _returned,
    Registered: _held,
    Released: _held,
    PageFlags: _flagged,
    BlockWrite: _changed,
    FileBlock: _changed,
    PageMapping: _changed,
    Mkclean: _changed,
    WritebackSkip: _changed,
    DiscardDirty: _changed,
}
