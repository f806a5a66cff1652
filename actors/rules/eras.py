"""Eras: presets of the rules (table D of kernel-semantics.md), on x86 without a hypervisor.

Mainline .0 releases; v6.1.192 is the long-term kernel with its backports, as recorded in kernel-facts.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.rules.faults import CowReuse, ForkPinned, ForkSequence
from actors.rules.files import DirtyWarning, DirtyWithoutBuffers, DropUnused, OdirectCall, StablePages
from actors.rules.pins import (
    DriverCall,
    FastGup,
    FastHeadRecheck,
    FastPmdRecheck,
    FastRange,
    ForceCow,
    LongtermApi,
    LongtermFileWrite,
    OverflowGuard,
    PinApi,
    SlowNumaFault,
    UnshareForPin,
    ZeroPagePin,
)
from actors.rules.reclaim import ReclaimPinnedAnon, ReclaimPinnedFile, ReclaimWrites, UnmapPinnedAnon
from actors.rules.rules import KernelRules
from actors.rules.tables import FlushPending, MremapFlush, ReclaimFlush, TableFree, TableSingleUser, TlbFlush, ZapRmap
from actors.rules.thp import CollapseSync, ThpSplit
from actors.rules.uring import UringCoalesce, UringFile, UringMemlock

V3_17 = KernelRules(
    pin_api=PinApi.NONE,
    driver_call=DriverCall.GET,
    odirect_call=OdirectCall.GET,
    overflow_guard=OverflowGuard.NONE,
    fast_head_recheck=FastHeadRecheck.NO,
    fast_pmd_recheck=FastPmdRecheck.NO,
    fast_range=FastRange.CANONICAL,
    fork_sequence=ForkSequence.NONE,
    longterm_api=LongtermApi.NONE,
    longterm_file_write=LongtermFileWrite.ALLOWED,
    force_cow=ForceCow.DROP_WRITE,
    cow_reuse=CowReuse.MAPCOUNT,
    unshare_for_pin=UnshareForPin.AS_IS,
    zero_page_pin=ZeroPagePin.COUNTED,
    zap_rmap=ZapRmap.BEFORE_FLUSH,
    reclaim_pinned_anon=ReclaimPinnedAnon.ALLOWED,
    unmap_pinned_anon=UnmapPinnedAnon.UNMAP,
    reclaim_pinned_file=ReclaimPinnedFile.STRIP,
    reclaim_writes=ReclaimWrites.KSWAPD,
    dirty_without_buffers=DirtyWithoutBuffers.BUG,
    dirty_warning=DirtyWarning.NONE,
    drop_cache=DropUnused.MAPPED,
    stable_pages=StablePages.BDI,
    fork_pinned=ForkPinned.SHARE,
    fast_gup=FastGup.X86,
    slow_numa_fault=SlowNumaFault.FAULT,
    tlb_flush=TlbFlush.IPI,
    table_free=TableFree.IPI,
    table_single_user=TableSingleUser.SHORTCUT,
    reclaim_flush=ReclaimFlush.AT_ONCE,
    flush_pending=FlushPending.IGNORED,
    mremap_flush=MremapFlush.AFTER_LOCK,
    thp_split=ThpSplit.SPLITTING_BIT,
    collapse_sync=CollapseSync.NONE,
    uring_file=UringFile.REFUSED,
    uring_coalesce=UringCoalesce.NO,
    uring_memlock=UringMemlock.BUFFERS,
)
V4_20 = replace(
    V3_17,
    fast_range=FastRange.ACCESS_OK,
    longterm_api=LongtermApi.SEPARATE,
    force_cow=ForceCow.COW_DIRTY,
    dirty_warning=DirtyWarning.WARN_ONCE,
    fast_gup=FastGup.GENERIC,
    table_single_user=TableSingleUser.NONE,
    reclaim_flush=ReclaimFlush.DEFERRED,
    flush_pending=FlushPending.FLUSHED,
    mremap_flush=MremapFlush.UNDER_LOCK,
    thp_split=ThpSplit.FREEZE,
)
V5_6 = replace(
    V4_20,
    pin_api=PinApi.PLACEHOLDER,
    driver_call=DriverCall.PIN,
    overflow_guard=OverflowGuard.GUARD,
    fast_range=FastRange.EMPTY_ZERO,
    longterm_api=LongtermApi.FLAG,
)
V5_7 = replace(V5_6, pin_api=PinApi.BIAS)
V5_9 = replace(V5_7, fork_pinned=ForkPinned.COPY, cow_reuse=CowReuse.REFCOUNT)
V5_12 = replace(
    V5_9,
    fast_range=FastRange.OVERFLOW_ZERO,
    fork_sequence=ForkSequence.SEQCOUNT,
    reclaim_pinned_anon=ReclaimPinnedAnon.REFUSED,
    stable_pages=StablePages.SUPERBLOCK,
)
V5_19 = replace(
    V5_12,
    pin_api=PinApi.BIAS_ALL_LARGE,
    fast_head_recheck=FastHeadRecheck.YES,
    cow_reuse=CowReuse.EXCLUSIVE,
    unshare_for_pin=UnshareForPin.UNSHARE,
    unmap_pinned_anon=UnmapPinnedAnon.ABORT,
    dirty_without_buffers=DirtyWithoutBuffers.DISCARD,
    drop_cache=DropUnused.REFERENCED,
    fork_pinned=ForkPinned.COPY_EXCLUSIVE,
)
V6_1 = replace(
    V5_19,
    fast_pmd_recheck=FastPmdRecheck.YES,
    force_cow=ForceCow.ANON_EXCLUSIVE,
    collapse_sync=CollapseSync.IPI,
)
V6_1_192 = replace(
    V6_1,
    zero_page_pin=ZeroPagePin.IGNORED,
    reclaim_pinned_file=ReclaimPinnedFile.KEEP_BUFFERS,
    stable_pages=StablePages.MAPPING,
)
V6_12 = replace(
    V6_1_192,
    odirect_call=OdirectCall.PIN,
    fast_range=FastRange.OVERFLOW_ERRNO,
    longterm_file_write=LongtermFileWrite.REFUSED,
    zap_rmap=ZapRmap.AFTER_FLUSH,
    unshare_for_pin=UnshareForPin.UNSHARE_FILES,
    slow_numa_fault=SlowNumaFault.FOLLOW,
    uring_file=UringFile.ALLOWED,
    uring_coalesce=UringCoalesce.YES,
)
V6_17 = replace(V6_12, reclaim_writes=ReclaimWrites.NEVER, table_free=TableFree.RCU)
V6_18 = replace(V6_17, uring_memlock=UringMemlock.RING_TOO)

ERAS: dict[str, tuple[KernelRules, str]] = {
    "v3.17": (V3_17, "October 2014: x86 walks without speculation or re-check, arm64 not at all"),
    "v4.20": (V4_20, "December 2018, the kernel of the LWN article: no pins, ext4 dies on a page without buffers"),
    "v5.6": (V5_6, "March 2020: pin_user_pages exists in name only"),
    "v5.7": (V5_7, "May 2020: pins are counted, nobody asks for them yet"),
    "v5.9": (V5_9, "October 2020: fork copies pinned pages; the write fault counts references"),
    "v5.12": (V5_12, "April 2021: pins are counted; fork and swap respect them, file systems do not"),
    "v5.19": (V5_19, "July 2022: PageAnonExclusive; ext4 discards a dirty page without buffers instead of dying"),
    "v6.1": (V6_1, "December 2022: GUP-fast re-reads the pmd, khugepaged waits for walkers"),
    "v6.1.192": (V6_1_192, "the long-term kernel with its backports, as recorded"),
    "v6.12": (V6_12, "November 2024: reclaim keeps the buffers of pinned pages, long-term file writes are refused"),
    "v6.17": (V6_17, "September 2025: x86 frees page tables by RCU always; reclaim never writes file pages"),
    "v6.18": (V6_18, "November 2025: io_uring charges its rings to RLIMIT_MEMLOCK"),
}
"""Name of an era, its rules and one line about it."""
