"""The orders on which all that is said about disks depends: data-loss and torn-writeback.

BEGUN: what an fsync promises is what was written, and given back by its driver, when it began. ENDED: it is judged when
it returns, by what is on disk, in the cache, mapped and dirty at that moment. FRAME: whether content was ever in memory
at one moment takes the order of the writes to all chunks of a frame; a page that leaves the cache promises what was
written before, and a new owner has none of it. DIRECT: what was written by somebody's pin to a page that a direct write
had thrown out is lost only if it came after the data of that write.

The disk's reads of memory against writes to it need no relation: both touch the chunk. What opens an I/O (writeback,
checksum) is before its first read, and a write in between is in all states that the disk can have read. A page's
blocks, its writeback and its way into and out of the cache are ordered by the page lock and the writeback flag.
"""

from __future__ import annotations

from typing import Final

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.checkers.orders import BEGUN, DIRECT, ENDED, FRAME, Orders, Related, adds, looks
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.flusher import WritebackSkip
from gupsim.protocol.fs import CacheDrop, DirectWritten, DiscardDirty, FileBlock, FsyncBegin, FsyncEnd
from gupsim.protocol.memmap import Page, PageAlloc, PageFlags, PageMapping
from gupsim.protocol.memory import MemoryWrite, MemoryZero
from gupsim.protocol.mm import Mkclean

_JUDGED_FLAGS: Final = int(Page.DIRTY | Page.WRITEBACK)


def _written(host: str, point: MemoryWrite | MemoryZero) -> Related:
    related: Related = (((FRAME, host, point.pfn), READ | WRITE), ((BEGUN, host), COMMUTE))
    by_pin = isinstance(point, MemoryWrite) and not point.by.startswith(("cpu/", "mm", "fs/", "flusher/"))
    return (*related, ((DIRECT, host), COMMUTE)) if by_pin else related


def _owned(host: str, point: PageAlloc) -> Related:
    return tuple(((FRAME, host, pfn), READ) for pfn in range(point.pfn, point.pfn + (1 << point.order)))


def _dropped(host: str, point: CacheDrop) -> Related:
    return (((FRAME, host, point.pfn), READ),) if not point.dirty else ()


def _returned(host: str, point: FsyncEnd) -> Related:
    return (((ENDED, host), READ),) if not point.error else ()


def _flagged(host: str, point: PageFlags) -> Related:
    return (((ENDED, host), COMMUTE),) if (point.set | point.cleared) & _JUDGED_FLAGS else ()


_held: Final = adds(BEGUN)
_changed: Final = adds(ENDED)

STORAGE: Final[Orders] = {
    MemoryWrite: _written,
    MemoryZero: _written,
    PageAlloc: _owned,
    CacheDrop: _dropped,
    FsyncBegin: looks(BEGUN),
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
    DirectWritten: looks(DIRECT),
}
