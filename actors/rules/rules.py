"""Every point in which kernels differ: one enum a rule, read at one place in the actor that it concerns.

Evidence marks are those of kernel-semantics.md: [S] read in a kernel tree, [W] on the web, [M] from memory.
"""

from __future__ import annotations

import msgspec

from actors.rules.memory import (
    CatchUp,
    CollapseSync,
    FastGup,
    FastProtnone,
    FlushPending,
    ForkPinned,
    LazyTlb,
    MigrateOrder,
    MremapFlush,
    PteRead,
    PteSpecial,
    ReclaimFlush,
    SlowNumaFault,
    TableBatch,
    TableFree,
    TableSingleUser,
    TableSync,
    ThpEnabled,
    ThpMapcount,
    ThpSplit,
    TlbFlush,
    UringCoalesce,
    UringFile,
    UringMemlock,
)
from actors.rules.value import RuleValue


class PinApi(RuleValue):
    """What pin_user_pages does to a page (B3, table D "pin API", "pins counted")."""

    NONE = "none", "pin_user_pages does not exist: the call fails with ENOSYS; drivers use get_user_pages"
    PLACEHOLDER = "placeholder", "pin_user_pages is an alias of get_user_pages: +1, nobody can tell [S 5.6]"
    BIAS = "bias", "+1024 on small folios, exact pincount on compound pages of order >= 2 [S 5.7, 5.12]"
    BIAS_ONLY = "bias_only", "+1024 on every page, large folios too: the draft of seed 1, never released"
    BIAS_ALL_LARGE = "bias_all_large", "+1024 on small folios, exact pincount on every large folio (5.18) [M]"


class DriverCall(RuleValue):
    """Which call a driver of the era uses for its pages when the scenario does not say (table D, RDMA/VFIO)."""

    GET = "get", "get_user_pages: a plain reference, invisible to everybody"
    PIN = "pin", "pin_user_pages: recognisable as a DMA pin where the era counts pins"


class OdirectCall(RuleValue):
    """How O_DIRECT holds user pages (table D; kernel-facts 1)."""

    GET = "get", "FOLL_GET: iov_iter_get_pages [S <= 6.1]"
    PIN = "pin", "FOLL_PIN: iov_iter_extract_pages, landed 6.3-6.5 [S 6.12]"


class OverflowGuard(RuleValue):
    """Does taking a reference look at the sign of the count (S15, CVE-2019-11487)?"""

    NONE = "none", "the count wraps [S 4.20]"
    GUARD = "guard", "ENOMEM if it is not positive (try_get_page, 5.1) [S 5.6]"


class FastHeadRecheck(RuleValue):
    """Does GUP-fast look at the folio again after the speculative get (B1, P6; S21)?"""

    NO = "no", "[S 5.12]"
    YES = "yes", "since 5.14 [S 5.15]"


class FastPmdRecheck(RuleValue):
    """Does GUP-fast re-read the pmd besides the pte (B1, P8; S16)?"""

    NO = "no", "the pte alone: blind to a collapse [S 5.19]"
    YES = "yes", "70cbc3cc78a9 [S 6.0.1]"


class FastRange(RuleValue):
    """How get_user_pages_fast refuses a bad range (B1, step 3)."""

    CANONICAL = "canonical", "overflow or beyond the user half: the slow path decides, no access_ok [S 3.17]"
    ACCESS_OK = "access_ok", "nr <= 0: 0; access_ok fails: EFAULT [S 4.20]"
    EMPTY_ZERO = "empty_zero", "end <= start: 0; access_ok fails: EFAULT [S 5.6]"
    OVERFLOW_ZERO = "overflow_zero", "overflow: 0; access_ok fails: EFAULT [S 5.12]"
    OVERFLOW_ERRNO = "overflow_errno", "overflow: EOVERFLOW; end beyond the user half: EFAULT [S 6.12]"


class ForkSequence(RuleValue):
    """Does a fast pin notice a concurrent fork (S09)?"""

    NONE = "none", "no write_protect_seq"
    SEQCOUNT = "seqcount", "odd or changed: the fast part gives up (5.11) [S 5.12]"


class LongtermApi(RuleValue):
    """How FOLL_LONGTERM is asked for and checked (B2)."""

    NONE = "none", "does not exist: a long pin is a plain get_user_pages [S 3.17]"
    SEPARATE = "separate", "get_user_pages_longterm(): plain references, VMAs checked afterwards [S 4.20]"
    FLAG = "flag", "a flag; with FOLL_PIN only, else EINVAL"


class LongtermFileWrite(RuleValue):
    """A long-term write pin of a shared mapping of a file that needs dirty tracking (P15)."""

    ALLOWED = "allowed", "nothing is checked"
    REFUSED = "refused", "EFAULT, since 6.5 [S 6.12]"


class ForceCow(RuleValue):
    """When FOLL_FORCE may write through a read-only entry (B2; S13, S14)."""

    DROP_WRITE = "drop_write", "after a COW fault the walk no longer asks for write: Dirty COW [S <= 4.8]"
    COW_DIRTY = "cow_dirty", "after a COW fault, if the entry is dirty (FOLL_COW) [S 4.20, 5.6]"
    ANON_EXCLUSIVE = "anon_exclusive", "if the page is anonymous and exclusive (6.0) [S 6.0, 6.12]"


class CowReuse(RuleValue):
    """When a write fault on a read-only anonymous page reuses it instead of copying (B8)."""

    MAPCOUNT = "mapcount", "one mapping: reuse; references do not count [S 4.20, 5.6]"
    REFCOUNT = "refcount", "exactly one reference: reuse (5.9) [S 5.12]"
    EXCLUSIVE = "exclusive", "PageAnonExclusive: always reuse; else one reference (5.19) [S]"


class UnshareForPin(RuleValue):
    """A read-only pin of an anonymous page that may be shared (B8, B2 step 5)."""

    AS_IS = "as_is", "returned as it is: the pin goes stale at the next COW"
    UNSHARE = "unshare", "FAULT_FLAG_UNSHARE first: a private copy is pinned (5.19) [S]"
    UNSHARE_FILES = "unshare_files", "so are, for a long-term pin, private file pages and the zero page (6.2) [M]"


class ZeroPagePin(RuleValue):
    """What FOLL_PIN does to the shared zero page (B3)."""

    COUNTED = "counted", "pinned like any other"
    IGNORED = "ignored", "neither pin nor unpin touches it (6.5) [M; S 6.12]"


class ZapRmap(RuleValue):
    """When zap removes a dirty file page from the reverse map, seen from the TLB flush (B4, S34)."""

    BEFORE_FLUSH = "before_flush", "page_mkclean can miss a CPU that still writes through its TLB [S <= 6.1]"
    AFTER_FLUSH = "after_flush", "delayed rmap (5df397dec7c4, 6.2) [M; S 6.12]"


class ReclaimPinnedAnon(RuleValue):
    """Step 4 of B9: may a pinned anonymous page enter the swap cache (S11)?"""

    ALLOWED = "allowed", "yes [S 5.9]"
    REFUSED = "refused", "maybe_dma_pinned: keep (5.11) [S 5.12]"


class UnmapPinnedAnon(RuleValue):
    """try_to_unmap of an exclusive anonymous page that may be pinned (B9, step 5)."""

    UNMAP = "unmap", "knows nothing of pins"
    ABORT = "abort", "restores the entry and gives up (5.19) [S]"


class ReclaimPinnedFile(RuleValue):
    """Step 6 of B9: what reclaim does with a file page that may be pinned, once it is unmapped."""

    STRIP = "strip", "goes on: drops its buffers, then fails to free it: S01 starts here"
    KEEP_BUFFERS = "keep_buffers", "activate, stop here (6.4/6.5, d824ec2a1546) [S 6.12]"


class ReclaimWrites(RuleValue):
    """Step 7 of B9: does reclaim write dirty file pages itself?"""

    KSWAPD = "kswapd", "only kswapd [S <= 6.12]"
    NEVER = "never", "never for files (6.16) [S 6.17]"


class DirtyWithoutBuffers(RuleValue):
    """ext4 finds a dirty page without buffers at writeback (B10)."""

    BUG = "bug", "page_buffers() -> BUG_ON(!PagePrivate(page)): the flusher dies with the page locked"
    DISCARD = "discard", "warn, clear dirty, write nothing (cc5095747edf, 5.18) [M; S 5.19]"


class DropUnused(RuleValue):
    """What fadvise(DONTNEED) asks before it drops the buffers of a clean page (invalidate_inode_page, B12)."""

    MAPPED = "mapped", "whether the page is mapped: one that is only pinned stays cached, without buffers [M < 5.18]"
    REFERENCED = "referenced", "whether it has any reference too many: then it stays as it is (5.18) [M; recorded 6.1]"


class DirtyWarning(RuleValue):
    """ext4 looks for buffers when a page is dirtied (B10)."""

    NONE = "none", "it does not look"
    WARN_ONCE = "warn_once", "WARN_ON_ONCE(!page_has_buffers(page)) [S 4.19+]"


class StablePages(RuleValue):
    """Who says that pages under writeback must not change (B11); only page_mkwrite and write_begin ask."""

    BDI = "bdi", "the device, asked each time (BDI_CAP_STABLE_WRITES) [S 3.17 .. 5.9]"
    SUPERBLOCK = "superblock", "the super block, decided at mount (SB_I_STABLE_WRITES) [S 5.12 .. 6.0.1]"
    MAPPING = "mapping", "the inode's mapping, decided when it is read in (AS_STABLE_WRITES, 6.7) [S 6.12]"


class WritebackPinned(RuleValue):
    """What writeback does with a page that may be pinned. Mainline never asks (B11); the rest are proposals (C)."""

    LIVE = "live", "writes the live page, whatever a device does to it: every kernel so far"
    SKIP = "skip", "P4: not written until unpinned; a sync leaves it dirty"
    WAIT = "wait", "P5: waits for the unpin, page locked"
    BOUNCE = "bounce", "P6: writes a snapshot and keeps the page dirty while pinned"


class PinUnderWriteback(RuleValue):
    """Pinning a page that is under writeback right now."""

    ALLOWED = "allowed", "nobody looks: every kernel so far"
    WAIT = "wait", "P1: slow GUP waits for the end of writeback"


class PinnedOnLru(RuleValue):
    """Where pinned pages are while reclaim looks for victims."""

    KEEP = "keep", "on the LRU, where reclaim finds them: every kernel so far"
    REMOVE = "remove", "P2: the first pin takes the page off the LRU, the last unpin returns it"


class DebugVm(RuleValue):
    """CONFIG_DEBUG_VM."""

    OFF = "off", "counts go wrong silently"
    ON = "on", "VM_BUG_ON when more references are dropped than there are"


class KernelRules(msgspec.Struct, frozen=True, kw_only=True):
    """One kernel, as the list of what it does. Eras are presets of it, policies change it."""

    pin_api: PinApi
    driver_call: DriverCall
    odirect_call: OdirectCall
    overflow_guard: OverflowGuard
    fast_head_recheck: FastHeadRecheck
    fast_pmd_recheck: FastPmdRecheck
    fast_range: FastRange
    fork_sequence: ForkSequence
    longterm_api: LongtermApi
    longterm_file_write: LongtermFileWrite
    force_cow: ForceCow
    cow_reuse: CowReuse
    unshare_for_pin: UnshareForPin
    zero_page_pin: ZeroPagePin
    zap_rmap: ZapRmap
    reclaim_pinned_anon: ReclaimPinnedAnon
    unmap_pinned_anon: UnmapPinnedAnon
    reclaim_pinned_file: ReclaimPinnedFile
    reclaim_writes: ReclaimWrites
    dirty_without_buffers: DirtyWithoutBuffers
    dirty_warning: DirtyWarning
    drop_cache: DropUnused
    stable_pages: StablePages
    fork_pinned: ForkPinned
    fast_gup: FastGup
    slow_numa_fault: SlowNumaFault
    tlb_flush: TlbFlush
    table_free: TableFree
    table_single_user: TableSingleUser
    reclaim_flush: ReclaimFlush
    flush_pending: FlushPending
    mremap_flush: MremapFlush
    thp_split: ThpSplit
    collapse_sync: CollapseSync
    uring_file: UringFile
    uring_coalesce: UringCoalesce
    uring_memlock: UringMemlock
    fast_protnone: FastProtnone = FastProtnone.STOP
    pte_special: PteSpecial = PteSpecial.YES
    pte_read: PteRead = PteRead.ATOMIC
    table_batch: TableBatch = TableBatch.ALLOCATED
    table_sync: TableSync = TableSync.IPI
    lazy_tlb: LazyTlb = LazyTlb.SKIP
    catch_up: CatchUp = CatchUp.TLB_GEN
    migrate_order: MigrateOrder = MigrateOrder.UNMAP_FIRST
    thp_enabled: ThpEnabled = ThpEnabled.MADVISE
    thp_mapcount: ThpMapcount = ThpMapcount.PAGE
    writeback_pinned: WritebackPinned = WritebackPinned.LIVE
    pin_under_writeback: PinUnderWriteback = PinUnderWriteback.ALLOWED
    pinned_on_lru: PinnedOnLru = PinnedOnLru.KEEP
    debug_vm: DebugVm = DebugVm.OFF

    def decide(self, rule: str) -> None:
        """A rule about pins has its say: noted where somebody counts (`actors.rules.consulted`)."""
