"""vmscan: LRU lists, isolation, the nine steps of B9, swap."""

from __future__ import annotations

from gupsim.protocol.message import Done, Flag, Message, Request, Tracepoint


class LruAdd(Request[Done], frozen=True):
    """folio_add_lru(). anon: to the anonymous lists. From mm and fs, for a page that they just made."""

    pfn: int
    anon: bool


class LruDel(Message, frozen=True):
    """The page was freed while on an LRU list. From memmap."""

    pfn: int


class Shrink(Request["Reclaimed"], frozen=True):
    """shrink_node(): scan `pages` pages of the inactive lists. kswapd: may write dirty file pages (<= 6.15).
    anon: also scan the anonymous lists (needs swap). force: take pages although they were referenced recently
    (ignore_references, as MADV_PAGEOUT and CMA do). From process (a nudge) and memory pressure."""

    pages: int
    kswapd: bool = True
    anon: bool = True
    force: bool = False


class Reclaimed(Message, frozen=True):
    """Pages scanned and pages freed. Answers Shrink."""

    scanned: int
    freed: int


class ReclaimPages(Request["Reclaimed"], frozen=True):
    """reclaim_pages(): try to free these anonymous pages (first pages of folios), which the context has isolated. From
    mm (MADV_PAGEOUT)."""

    pfns: tuple[int, ...]


class MarkLazyfree(Request[Done], frozen=True):
    """folio_mark_lazyfree(): reclaim may drop this anonymous page, unless it is written to. From mm (MADV_FREE)."""

    pfn: int


class IsolatePage(Request[Flag], frozen=True):
    """folio_isolate_lru(): off the LRU lists with a reference of the asking context, kind "isolate"; no if it is on
    none. From mm (collapse)."""

    pfn: int


class PutbackPage(Request[Done], frozen=True):
    """folio_putback_lru() of an anonymous page: on the lists again, the reference goes."""

    pfn: int


class LruRemovePinned(Request[Done], frozen=True):
    """Proposal P2: the first pin takes the page off the LRU. From whoever pins."""

    pfn: int


class LruReturnUnpinned(Request[Done], frozen=True):
    """Proposal P2: the last unpin puts it back."""

    pfn: int


class SwapIn(Request["SwappedIn"], frozen=True):
    """do_swap_page(): the frame of swap slot `slot`, from the swap cache, or read from the swap device into it.
    Answered with the page locked and a reference held for the caller. From mm."""

    slot: int


class SwappedIn(Message, frozen=True):
    """pfn, or a negative errno: -11 (EAGAIN) if the slot is somebody else's by now. Answers SwapIn."""

    pfn: int


class SwapFree(Request[Done], frozen=True):
    """swap_free(): one entry that named `slot` is gone. From mm. cache: free_swap_and_cache(), a page of the swap cache
    that nobody has any more goes with the last one."""

    slot: int
    cache: bool = False


class ReuseSwapPage(Request[Flag], frozen=True):
    """reuse_swap_page() of a page that the caller has locked: yes if its `maps` mappings and the entries in swap are
    one together. It then leaves the swap cache, unless it is under writeback. From mm (write faults, until 5.17)."""

    pfn: int
    maps: int


class TryToFreeSwap(Request[Flag], frozen=True):
    """try_to_free_swap() of a page that the caller has locked: yes if it is not in the swap cache any more. if_full:
    only where swap is half full (vm_swap_full). From mm."""

    pfn: int
    if_full: bool = False


class FreeSwapCache(Request[Done], frozen=True):
    """free_swap_cache(): the same for a page that is about to be put, if it can be locked at once and nobody maps it.
    From mm (mmu_gather)."""

    pfn: int


class SwapDuplicate(Request[Done], frozen=True):
    """swap_duplicate(): one more entry names `slot`. From mm (try_to_unmap, fork)."""

    slot: int


class LruIsolate(Tracepoint, frozen=True, tag="vmscan:isolate"):
    """A page was taken off its LRU list, with a reference, to be reclaimed."""

    pfn: int

    def say(self) -> str:
        return f"reclaim isolated page {self.pfn}"


class ShrinkOutcome(Tracepoint, frozen=True, tag="vmscan:outcome"):
    """What became of one isolated page. outcome: "freed", "activate", "keep"; why: the step that decided."""

    pfn: int
    outcome: str
    why: str

    def say(self) -> str:
        return f"reclaim {'freed' if self.outcome == 'freed' else 'keeps'} page {self.pfn}: {self.why}"


class ReleaseBuffersDone(Tracepoint, frozen=True, tag="vmscan:release_buffers"):
    """Step 8: the file system was asked to drop the buffers; no reference count was looked at."""

    pfn: int
    ok: bool

    def say(self) -> str:
        return f"reclaim had the file system {'drop' if self.ok else 'refuse to drop'} the buffers of page {self.pfn}"


class FreezeRefused(Tracepoint, frozen=True, tag="vmscan:freeze_refused"):
    """Step 9: the refcount was not the expected one, or the page was dirty: it stays in the cache."""

    pfn: int
    expected: int
    why: str

    def say(self) -> str:
        return f"reclaim could not take page {self.pfn} out of the cache ({self.why}): it stays"


class SwapOut(Tracepoint, frozen=True, tag="swap:out"):
    """add_to_swap(): an anonymous page got a slot and entered the swap cache."""

    pfn: int
    slot: int

    def say(self) -> str:
        return f"page {self.pfn} entered the swap cache, slot {self.slot}"


MESSAGES: tuple[type[Message], ...] = (
    LruAdd,
    LruDel,
    ReclaimPages,
    MarkLazyfree,
    IsolatePage,
    PutbackPage,
    Shrink,
    Reclaimed,
    LruRemovePinned,
    LruReturnUnpinned,
    SwapIn,
    SwappedIn,
    SwapFree,
    SwapDuplicate,
    ReuseSwapPage,
    TryToFreeSwap,
    FreeSwapCache,
)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (LruIsolate, ShrinkOutcome, ReleaseBuffersDone, FreezeRefused, SwapOut)
