"""struct page, the page allocator and vmstat.

Every request is one atomic operation on one struct page (one RMW of `_refcount`, one flag operation), or a wait
for its lock or for the end of its writeback.
"""

from __future__ import annotations

from enum import IntFlag

from gupsim.protocol.message import Done, Flag, Message, Request, Status, Tracepoint

PIN_BIAS = 1024
"""GUP_PIN_COUNTING_BIAS: what one FOLL_PIN adds to the refcount of a small folio (B3)."""

ZERO_PFN = 0
"""The shared zero page (`empty_zero_page`)."""


class Page(IntFlag):
    """Flags of struct page that the model needs; names as in enum pageflags."""

    DIRTY = 1
    WRITEBACK = 2
    PRIVATE = 4
    """Buffers are attached (PG_private)."""
    UPTODATE = 8
    REFERENCED = 16
    ACTIVE = 32
    LRU = 64
    SWAPCACHE = 128
    SWAPBACKED = 256
    ANON = 512
    """page->mapping has PAGE_MAPPING_ANON."""
    ANON_EXCLUSIVE = 1024
    """PageAnonExclusive (5.19): belongs to one process."""
    RESERVED = 2048
    """Not managed by the allocator: the zero page."""
    HEAD = 4096
    TAIL = 8192
    HUGETLB = 16384
    """First page of a huge page that belongs to a pool, in use or not."""


class AllocPages(Request["Allocated"], frozen=True):
    """alloc_pages(): 2**order frames, refcount 1. From mm (faults, tables), fs (page cache), reclaim, drivers.

    zero: clear them first (__GFP_ZERO). owner: what for, for the tracepoint: "anon", "cache", "table", "bounce".
    """

    owner: str
    order: int = 0
    zero: bool = False


class Allocated(Message, frozen=True):
    """pfn of the first frame, or a negative errno: -12 is -ENOMEM. Answers AllocPages."""

    pfn: int


class GetRefs(Request[Done], frozen=True):
    """folio_ref_add(): the caller knows that the page is alive.

    ledger: who holds the reference, a context or a mapping; "" for a standing one (page cache). kind: what the
    reference is, for the refcount checker: "cache", "map", "private", "isolate", "lookup", "alloc".
    """

    pfn: int
    amount: int
    kind: str
    ledger: str = ""


class TryGet(Request[Flag], frozen=True):
    """folio_try_get(): add unless zero; refuses a negative count if that era guards it.

    GUP-fast (B1, P6) takes kind "gup", to be turned into a pin by ToPin; reclaim's isolation kind "isolate"."""

    pfn: int
    amount: int
    holder: str
    kind: str = "gup"


class ToPin(Request[Done], frozen=True):
    """The second half of a fast pin (B1, P7): turn `amount` plain references of a try-get into pins."""

    pfn: int
    amount: int
    holder: str


class GrabFolio(Request[Status], frozen=True):
    """try_grab_folio() of slow GUP, under the page-table lock: no speculation; -ENOMEM if the count overflowed.

    amount: pages of one folio, from `pfn` on. pin: FOLL_PIN, else FOLL_GET. holder: who will release them, as
    "driver/nic".
    """

    pfn: int
    amount: int
    pin: bool
    holder: str


class PutRefs(Request[Flag], frozen=True):
    """put_page() of each of `pages` pages of one folio, from `pfn` on, `amount` times; True if that freed the folio.
    kind and ledger as in GetRefs; "gup" for FOLL_GET."""

    pfn: int
    amount: int
    kind: str
    ledger: str = ""
    pages: int = 1


class UnpinRefs(Request[Flag], frozen=True):
    """unpin_user_page(), `amount` times; True if that freed the page. holder: who had pinned it."""

    pfn: int
    amount: int
    holder: str


class MaybeDmaPinned(Request[Flag], frozen=True):
    """folio_maybe_dma_pinned() (B3): unsigned refcount >= 1024 for small folios, pincount > 0 for large ones.

    by: the code that asks, as "reclaim"."""

    pfn: int
    by: str


class FreezeRefs(Request[Flag], frozen=True):
    """folio_ref_freeze(): cmpxchg of the refcount from `expected` to 0."""

    pfn: int
    expected: int


class UnfreezeRefs(Request[Done], frozen=True):
    """folio_ref_unfreeze(): give a frozen page its `count` back."""

    pfn: int
    count: int


class FreeFrozen(Request[Done], frozen=True):
    """Free a page whose refcount was frozen to 0 (the end of __remove_mapping)."""

    pfn: int


class ReadCounts(Request["Counts"], frozen=True):
    """Look at refcount and mapcount, as reclaim's and khugepaged's checks do."""

    pfn: int


class Counts(Message, frozen=True):
    """_refcount and _mapcount (number of mappings, not minus one). Answers ReadCounts."""

    refs: int
    maps: int


class ReadFolio(Request["Folio"], frozen=True):
    """page_folio(), folio_nr_pages(): which folio a page belongs to. From whoever holds a reference to it."""

    pfn: int


class Folio(Message, frozen=True):
    """head: its first page; pages: how many it has. Answers ReadFolio."""

    head: int
    pages: int


class PageMapped(Request[Flag], frozen=True):
    """page_mapped(): does any page-table entry map the page? Reads the mapcount alone."""

    pfn: int


class AddMaps(Request[Done], frozen=True):
    """folio_add_rmap / folio_remove_rmap: the number of page-table entries that map the page changes by `amount`.

    adopt: kind of a reference of the running context ("lookup" or "alloc") that becomes the mapping's, or "" for
    none; ledger: name of the mapping, "map:app:0x1000". entire: by a huge leaf."""

    pfn: int
    amount: int
    adopt: str = ""
    ledger: str = ""
    entire: bool = False


class ChangeFlags(Request["OldFlags"], frozen=True):
    """Atomically set and clear bits of `Page`; the answer has what those bits were (test_and_set, test_and_clear).

    Clearing WRITEBACK wakes whoever waits for the end of writeback."""

    pfn: int
    set: int = 0
    clear: int = 0


class ReadFlags(Request["OldFlags"], frozen=True):
    """Look at the bits of `mask`."""

    pfn: int
    mask: int


class OldFlags(Message, frozen=True):
    """Bits of `Page`. Answers ChangeFlags (before the change) and ReadFlags."""

    flags: int


class SetMapping(Request[Done], frozen=True):
    """page->mapping and ->index: the page enters page cache of inode `ino` of actor `fs`, or leaves it (ino 0)."""

    pfn: int
    fs: str = ""
    ino: int = 0
    index: int = 0


class ReadMapping(Request["Mapping"], frozen=True):
    """Look at page->mapping and ->index."""

    pfn: int


class Mapping(Message, frozen=True):
    """The page cache that a page belongs to; fs "" and ino 0 if none (anonymous or truncated). Answers ReadMapping."""

    fs: str
    ino: int
    index: int
    anon: bool


class LockPage(Request[Done], frozen=True):
    """lock_page(): wait for the page lock, in order of asking."""

    pfn: int


class TryLockPage(Request[Flag], frozen=True):
    """trylock_page()."""

    pfn: int


class UnlockPage(Request[Done], frozen=True):
    """unlock_page(). holder: the context that locked it, if another one unlocks."""

    pfn: int
    holder: str = ""


class WaitWriteback(Request[Done], frozen=True):
    """wait_on_page_writeback()."""

    pfn: int


class WaitUnpinned(Request[Flag], frozen=True):
    """Wait until the page is not maybe_dma_pinned: proposal P5 only, no kernel has it. True if it was."""

    pfn: int


class LeaveCharged(Request[Done], frozen=True):
    """ClearPageDirty() where folio_clear_dirty_for_io() belonged: `pages` stay in the count of dirty pages although
    nobody will write them. From the flusher."""

    pages: int = 1


class DirtyPagesOver(Request[Flag], frozen=True):
    """Are more pages dirty or under writeback than `limit` (domain_dirty_limits)? wait: answer only when it is no.
    From file systems and mm (balance_dirty_pages)."""

    limit: int
    wait: bool = False


class ReadVmstat(Request["Vmstat"], frozen=True):
    """/proc/vmstat after stat_refresh. From the observer."""


class Vmstat(Message, frozen=True):
    """Counters by their kernel name, in a fixed order. Answers ReadVmstat."""

    counters: tuple[tuple[str, int], ...]


class PageAlloc(Tracepoint, frozen=True, tag="page:alloc"):
    """Frames left the allocator for `owner`. generation: how often this frame was allocated before."""

    pfn: int
    order: int
    owner: str
    generation: int

    def say(self) -> str:
        return f"page {self.pfn} allocated ({self.owner})"


class PageFree(Tracepoint, frozen=True, tag="page:free"):
    """The last reference went and the frame returned to the allocator. maps, pins: mappings and pins (by count)
    that it still had, both 0 in a sound kernel."""

    pfn: int
    order: int
    maps: int
    pins: int

    def say(self) -> str:
        return f"page {self.pfn} freed"


class PageGet(Tracepoint, frozen=True, tag="page:get"):
    """References taken: kind "gup" is FOLL_GET, "pin" FOLL_PIN; refs is the refcount after it."""

    pfn: int
    amount: int
    kind: str
    holder: str
    refs: int

    def say(self) -> str:
        what = {"pin": "pinned (FOLL_PIN)", "gup": "referenced (FOLL_GET)"}.get(
            self.kind, f"+{self.amount} {self.kind}"
        )
        return f"page {self.pfn} {what} by {self.holder or 'the kernel'}: refcount {self.refs}"


class PagePut(Tracepoint, frozen=True, tag="page:put"):
    """References dropped with the call that belongs to `kind`; refs is the refcount after it. converted: they are pins
    now, as of a fast pin, which takes plain references first."""

    pfn: int
    amount: int
    kind: str
    holder: str
    refs: int
    converted: bool = False

    def say(self) -> str:
        if self.converted:
            return (
                f"page {self.pfn}: reference of {self.holder or 'the kernel'} converted to a pin: refcount {self.refs}"
            )
        what = {"pin": "unpinned", "gup": "put"}.get(self.kind, f"-{self.amount} {self.kind}")
        return f"page {self.pfn} {what} by {self.holder or 'the kernel'}: refcount {self.refs}"


class PageBadCount(Tracepoint, frozen=True, tag="page:bad_count"):
    """The refcount left its range. what: "overflow" or "underflow"."""

    pfn: int
    what: str
    refs: int

    def say(self) -> str:
        return f"refcount of page {self.pfn}: {self.what}, now {self.refs}"


class PageFlags(Tracepoint, frozen=True, tag="page:flags"):
    """Flags of a page changed. set, cleared: bits of `Page` that really changed."""

    pfn: int
    set: int
    cleared: int

    def say(self) -> str:
        gained = [str(flag.name).lower() for flag in Page if flag & self.set]
        lost = [str(flag.name).lower() for flag in Page if flag & self.cleared]
        changes = [f"+{name}" for name in gained] + [f"-{name}" for name in lost]
        return f"page {self.pfn} {' '.join(changes)}"


class PageMapping(Tracepoint, frozen=True, tag="page:mapping"):
    """The page entered (ino != 0) or left a page cache."""

    pfn: int
    fs: str
    ino: int
    index: int

    def say(self) -> str:
        if not self.ino:
            return f"page {self.pfn} left the page cache"
        return f"page {self.pfn} is page {self.index} of inode {self.ino} in {self.fs}"


class MaybePinnedAsked(Tracepoint, frozen=True, tag="page:maybe_dma_pinned"):
    """The kernel asked whether a page may be pinned for DMA."""

    pfn: int
    answer: bool
    by: str

    def say(self) -> str:
        return f"{self.by} asked: is page {self.pfn} pinned for DMA? {'maybe' if self.answer else 'no'}"


MESSAGES: tuple[type[Message], ...] = (
    AllocPages, Allocated, GetRefs, TryGet, ToPin, GrabFolio, PutRefs, UnpinRefs, MaybeDmaPinned, FreezeRefs,
    UnfreezeRefs, FreeFrozen, ReadCounts, Counts, ReadFolio, Folio, PageMapped, AddMaps, ChangeFlags, ReadFlags,
    OldFlags, SetMapping, ReadMapping, Mapping, LockPage, TryLockPage, UnlockPage, WaitWriteback, WaitUnpinned,
    LeaveCharged, DirtyPagesOver, ReadVmstat, Vmstat,
)  # fmt: skip
TRACEPOINTS: tuple[type[Tracepoint], ...] = (
    PageAlloc, PageFree, PageGet, PagePut, PageBadCount, PageFlags, PageMapping, MaybePinnedAsked,
)  # fmt: skip
