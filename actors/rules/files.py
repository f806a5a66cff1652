"""Rules of file systems, writeback and direct I/O (B10, B11, B12)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


class OdirectCall(RuleValue):
    """How O_DIRECT holds user pages (table D; kernel-facts 1)."""

    GET = "get", "FOLL_GET: iov_iter_get_pages [S <= 6.4]"
    PIN = "pin", "FOLL_PIN: iov_iter_extract_pages (6.5) [S 6.5.0]"


class OdirectDirty(RuleValue):
    """Who marks the pages of an O_DIRECT read dirty, and when the reader is woken (B10, S46)."""

    CALLER = (
        "caller",
        "nobody before: the reader, once it is woken, dirties and puts page by page (fs/direct-io.c) [S 5.4]",
    )
    WOKEN_FIRST = (
        "woken_first",
        "before the I/O, and again what was cleaned; the reader is woken first (iomap) [S 5.6 .. 6.18]",
    )
    RELEASED_FIRST = "released_first", "the same, but the reader is woken when the pages are released [S 7.1 .. 7.3]"


class DirtyWithoutBuffers(RuleValue):
    """ext4 finds a dirty page without buffers at writeback (B10)."""

    BUG = "bug", "page_buffers() -> BUG_ON(!PagePrivate(page)): the flusher dies with the page locked"
    DISCARD = "discard", "warn, clear dirty, write nothing (cc5095747edf, 5.18) [S 5.18.12, 5.15.215]"


class DirtyWarning(RuleValue):
    """ext4 looks for buffers when a page is dirtied (B10)."""

    NONE = "none", "it does not look"
    WARN_ONCE = "warn_once", "WARN_ON_ONCE(!page_has_buffers(page)) [S 4.14 .. 7.3]"


class DropUnused(RuleValue):
    """What fadvise(DONTNEED) asks before it drops the buffers of a clean page (invalidate_inode_page, B12)."""

    MAPPED = "mapped", "whether the page is mapped: one that is only pinned stays cached, without buffers [S <= 5.17]"
    REFERENCED = (
        "referenced",
        "whether it has any reference too many: then it stays as it is (5.18) [S 5.18.12; recorded 6.1]",
    )


class StablePages(RuleValue):
    """Who says that pages under writeback must not change (B11); only page_mkwrite and write_begin ask."""

    BDI = "bdi", "the device, asked each time (BDI_CAP_STABLE_WRITES) [S 3.17 .. 5.9]"
    SUPERBLOCK = "superblock", "the super block, decided at mount (SB_I_STABLE_WRITES) [S 5.10 .. 6.5]"
    MAPPING = "mapping", "the inode's mapping, decided when it is read in (AS_STABLE_WRITES, 6.7) [S 6.8, 6.6.87]"


class WritebackPinned(RuleValue):
    """What writeback does with a page that may be pinned. Mainline never asks (B11); the rest are proposals (C)."""

    LIVE = "live", "writes the live page, whatever a device does to it: every kernel so far"
    SKIP = "skip", "P4: not written until unpinned; a sync leaves it dirty"
    WAIT = "wait", "P5: waits for the unpin, page locked"
    BOUNCE = "bounce", "P6: writes a snapshot and keeps the page dirty while pinned"
