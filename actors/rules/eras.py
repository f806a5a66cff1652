"""Eras: presets of the rules, on x86 without a hypervisor.

Mainline .0 releases, and of long-term kernels, under their full number, a stable release with what was backported. Each
era names what it changes in the one before. Where a tree of the .0 release could not be read, its neighbours were, and
the rule says which.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from gupsim.actors.rules import faults, files, hugetlb, introduced, pins, reclaim, tables, thp, uring
from gupsim.actors.rules.rules import KernelRules

V3_17 = KernelRules(
    pin_api=pins.PinApi.NONE,
    driver_call=pins.DriverCall.GET,
    odirect_call=files.OdirectCall.GET,
    odirect_dirty=files.OdirectDirty.CALLER,
    overflow_guard=pins.OverflowGuard.NONE,
    fast_head_recheck=pins.FastHeadRecheck.NO,
    fast_pmd_recheck=pins.FastPmdRecheck.NO,
    fast_range=pins.FastRange.CANONICAL,
    fork_sequence=faults.ForkSequence.NONE,
    longterm_api=pins.LongtermApi.NONE,
    longterm_file_write=pins.LongtermFileWrite.ALLOWED,
    pin_touch=pins.PinTouch.TOUCH,
    fast_longterm_touch=pins.FastLongtermTouch.TOUCH,
    fast_force=pins.FastForce.REFUSED,
    gup_signal=pins.GupSignal.RESTART,
    process_vm=pins.ProcessVm.GET,
    follow_pfn=pins.FollowPfn.BLIND,
    vfio_zero_page=pins.VfioZeroPage.LEAKED,
    force_cow=pins.ForceCow.DROP_WRITE,
    cow_reuse=faults.CowReuse.MAPCOUNT,
    cow_large=faults.CowLarge.ONE_REFERENCE,
    cow_swap_cache=faults.CowSwapCache.LEFT,
    swap_fault=faults.SwapFault.MAPCOUNT,
    unshare_for_pin=pins.UnshareForPin.AS_IS,
    zero_page_pin=pins.ZeroPagePin.COUNTED,
    zap_rmap=tables.ZapRmap.BEFORE_FLUSH,
    reclaim_pinned_anon=reclaim.ReclaimPinnedAnon.ALLOWED,
    unmap_pinned_anon=reclaim.UnmapPinnedAnon.UNMAP,
    reclaim_pinned_file=reclaim.ReclaimPinnedFile.STRIP,
    reclaim_writes=reclaim.ReclaimWrites.KSWAPD,
    lazyfree=reclaim.Lazyfree.UNCHECKED,
    dirty_without_buffers=files.DirtyWithoutBuffers.BUG,
    dirty_warning=files.DirtyWarning.NONE,
    drop_cache=files.DropUnused.MAPPED,
    stable_pages=files.StablePages.BDI,
    fork_pinned=faults.ForkPinned.SHARE,
    fast_gup=pins.FastGup.X86,
    slow_numa_fault=pins.SlowNumaFault.FAULT,
    tlb_flush=tables.TlbFlush.IPI,
    table_free=tables.TableFree.IPI,
    table_single_user=tables.TableSingleUser.SHORTCUT,
    reclaim_flush=tables.ReclaimFlush.AT_ONCE,
    flush_pending=tables.FlushPending.IGNORED,
    mremap_flush=tables.MremapFlush.AFTER_LOCK,
    thp_split=thp.ThpSplit.SPLITTING_BIT,
    collapse_sync=thp.CollapseSync.NONE,
    collapse_count=thp.CollapseCount.ONE_MAPPING,
    collapse_readonly=thp.CollapseReadonly.EVERY,
    collapse_swap=thp.CollapseSwap.REFUSED,
    hugetlb_fork=hugetlb.HugetlbFork.SHARE,
    hugetlb_child=hugetlb.HugetlbChild.WRITABLE,
    hugetlb_force=hugetlb.HugetlbForce.WRITABLE,
    hugetlb_dontneed=hugetlb.HugetlbDontneed.REFUSED,
    uring_file=uring.UringFile.REFUSED,
    uring_coalesce=uring.UringCoalesce.NO,
    uring_memlock=uring.UringMemlock.RING_TOO,
    uring_pin=uring.UringPin.GET,
    uring_order=uring.UringOrder.CHARGE,
    uring_account=uring.UringAccount.PAGES,
    uring_pinned=uring.UringPinned.NOBODY,
    uring_exit=uring.UringExit.CLOSER,
    io_uring=introduced.UringSetup.ABSENT,
    madv_free=introduced.MadvFree.ABSENT,
    madv_wipeonfork=introduced.MadvWipeonfork.ABSENT,
    madv_pageout=introduced.MadvPageout.ABSENT,
    madv_populate=introduced.MadvPopulate.ABSENT,
    madv_collapse=introduced.MadvCollapse.ABSENT,
    mfd_hugetlb=introduced.MfdHugetlb.ABSENT,
    seal_future_write=introduced.SealFutureWrite.ABSENT,
)
V4_20 = replace(
    V3_17,
    fast_range=pins.FastRange.ACCESS_OK,
    longterm_api=pins.LongtermApi.SEPARATE,
    force_cow=pins.ForceCow.COW_DIRTY,
    collapse_readonly=thp.CollapseReadonly.REFUSED,
    collapse_swap=thp.CollapseSwap.READ_IN,
    dirty_warning=files.DirtyWarning.WARN_ONCE,
    fast_gup=pins.FastGup.GENERIC,
    table_single_user=tables.TableSingleUser.NONE,
    reclaim_flush=tables.ReclaimFlush.DEFERRED,
    flush_pending=tables.FlushPending.FLUSHED,
    mremap_flush=tables.MremapFlush.UNDER_LOCK,
    thp_split=thp.ThpSplit.FREEZE,
    madv_free=introduced.MadvFree.PRESENT,
    madv_wipeonfork=introduced.MadvWipeonfork.PRESENT,
    mfd_hugetlb=introduced.MfdHugetlb.PRESENT,
)
V5_4 = replace(
    V4_20,
    overflow_guard=pins.OverflowGuard.GUARD,
    fast_range=pins.FastRange.EMPTY_ZERO,
    longterm_api=pins.LongtermApi.FLAG,
    fast_longterm_touch=pins.FastLongtermTouch.NONE,
    io_uring=introduced.UringSetup.PRESENT,
    madv_pageout=introduced.MadvPageout.PRESENT,
    seal_future_write=introduced.SealFutureWrite.PRESENT,
)
V5_6 = replace(
    V5_4,
    pin_api=pins.PinApi.PLACEHOLDER,
    driver_call=pins.DriverCall.PIN,
    odirect_dirty=files.OdirectDirty.WOKEN_FIRST,
    fast_force=pins.FastForce.ACCEPTED,
    process_vm=pins.ProcessVm.PIN,
    uring_pin=uring.UringPin.SLOW,
)
V5_7 = replace(
    V5_6,
    pin_api=pins.PinApi.BIAS,
    pin_touch=pins.PinTouch.NONE,
    gup_signal=pins.GupSignal.INTR,
    uring_exit=uring.UringExit.WORKER,
)
V5_9 = replace(
    V5_7,
    fork_pinned=faults.ForkPinned.COPY,
    cow_reuse=faults.CowReuse.REFCOUNT,
    collapse_count=thp.CollapseCount.MAPPINGS,
    uring_pinned=uring.UringPinned.EVERYBODY,
)
V5_10 = replace(
    V5_9,
    fast_range=pins.FastRange.OVERFLOW_ZERO,
    longterm_api=pins.LongtermApi.PIN_ONLY,
    stable_pages=files.StablePages.SUPERBLOCK,
    uring_order=uring.UringOrder.PIN,
    uring_account=uring.UringAccount.FOLIOS,
)
V5_12 = replace(
    V5_10,
    fork_sequence=faults.ForkSequence.SEQCOUNT,
    follow_pfn=pins.FollowPfn.CHECKED,
    reclaim_pinned_anon=reclaim.ReclaimPinnedAnon.REFUSED,
    hugetlb_fork=hugetlb.HugetlbFork.COPY,
    uring_memlock=uring.UringMemlock.BUFFERS,
)
V5_15 = replace(
    V5_12,
    fast_head_recheck=pins.FastHeadRecheck.YES,
    cow_swap_cache=faults.CowSwapCache.FREED,
    uring_file=uring.UringFile.SHMEM,
    madv_populate=introduced.MadvPopulate.PRESENT,
)
V5_15_215 = replace(
    V5_15,
    fast_pmd_recheck=pins.FastPmdRecheck.YES,
    vfio_zero_page=pins.VfioZeroPage.UNPINNED,
    collapse_sync=thp.CollapseSync.IPI,
    lazyfree=reclaim.Lazyfree.RESTORED,
    dirty_without_buffers=files.DirtyWithoutBuffers.DISCARD,
)
V5_19 = replace(
    V5_15,
    pin_api=pins.PinApi.BIAS_ALL_LARGE,
    cow_reuse=faults.CowReuse.EXCLUSIVE,
    swap_fault=faults.SwapFault.EXCLUSIVE,
    unshare_for_pin=pins.UnshareForPin.UNSHARE,
    unmap_pinned_anon=reclaim.UnmapPinnedAnon.ABORT,
    lazyfree=reclaim.Lazyfree.RESTORED,
    dirty_without_buffers=files.DirtyWithoutBuffers.DISCARD,
    drop_cache=files.DropUnused.REFERENCED,
    fork_pinned=faults.ForkPinned.COPY_EXCLUSIVE,
    hugetlb_fork=hugetlb.HugetlbFork.COPY_EXCLUSIVE,
    hugetlb_dontneed=hugetlb.HugetlbDontneed.ROUND_UP,
)
V6_1 = replace(
    V5_19,
    fast_pmd_recheck=pins.FastPmdRecheck.YES,
    vfio_zero_page=pins.VfioZeroPage.UNPINNED,
    force_cow=pins.ForceCow.ANON_EXCLUSIVE,
    collapse_sync=thp.CollapseSync.IPI,
    hugetlb_force=hugetlb.HugetlbForce.SIGSEGV,
    hugetlb_dontneed=hugetlb.HugetlbDontneed.ROUND_DOWN,
    madv_collapse=introduced.MadvCollapse.PRESENT,
)
V6_1_192 = replace(
    V6_1,
    zero_page_pin=pins.ZeroPagePin.IGNORED,
    reclaim_pinned_file=reclaim.ReclaimPinnedFile.KEEP_BUFFERS,
    stable_pages=files.StablePages.MAPPING,
    hugetlb_force=hugetlb.HugetlbForce.REFUSED,
)
V6_6 = replace(
    V6_1,
    zero_page_pin=pins.ZeroPagePin.IGNORED,
    reclaim_pinned_file=reclaim.ReclaimPinnedFile.KEEP_BUFFERS,
    reclaim_writes=reclaim.ReclaimWrites.NEVER,
    odirect_call=files.OdirectCall.PIN,
    fast_range=pins.FastRange.OVERFLOW_ERRNO,
    longterm_file_write=pins.LongtermFileWrite.REFUSED,
    fast_longterm_touch=pins.FastLongtermTouch.TOUCH,
    gup_signal=pins.GupSignal.KILLABLE,
    zap_rmap=tables.ZapRmap.AFTER_FLUSH,
    unshare_for_pin=pins.UnshareForPin.UNSHARE_FILES,
    slow_numa_fault=pins.SlowNumaFault.FOLLOW,
    hugetlb_force=hugetlb.HugetlbForce.REFUSED,
    uring_file=uring.UringFile.ALLOWED,
    uring_coalesce=uring.UringCoalesce.ONE_FOLIO,
)
V6_6_87 = replace(V6_6, stable_pages=files.StablePages.MAPPING)
V6_12 = replace(
    V6_6,
    stable_pages=files.StablePages.MAPPING,
    cow_large=faults.CowLarge.NEVER,
    swap_fault=faults.SwapFault.WRITABLE,
    uring_coalesce=uring.UringCoalesce.YES,
    uring_pin=uring.UringPin.FAST,
)
V6_16 = replace(
    V6_12,
    table_free=tables.TableFree.RCU,
    cow_large=faults.CowLarge.OWN_MAPPINGS,
    hugetlb_child=hugetlb.HugetlbChild.AS_MAPPED,
    hugetlb_force=hugetlb.HugetlbForce.READ_ONLY,
    uring_memlock=uring.UringMemlock.RING_TOO,
)
V6_17 = replace(V6_16, lazyfree=reclaim.Lazyfree.KEPT)
V6_18 = replace(V6_17, collapse_readonly=thp.CollapseReadonly.COLLAPSED)
V7_2 = replace(
    V6_18,
    odirect_dirty=files.OdirectDirty.RELEASED_FIRST,
    uring_memlock=uring.UringMemlock.BUFFERS,
    uring_pinned=uring.UringPinned.UNPRIVILEGED,
)
V7_3 = replace(V7_2, swap_fault=faults.SwapFault.ONLY_EXCLUSIVE)


class Era(NamedTuple):
    """A preset. about: one line; longterm: people run it for years."""

    rules: KernelRules
    about: str
    longterm: bool = False


ERAS: dict[str, Era] = {
    "v3.17": Era(V3_17, "October 2014: x86 walks without speculation or re-check, arm64 not at all"),
    "v4.20": Era(V4_20, "December 2018, the kernel of the LWN article: no pins, ext4 dies on a page without buffers"),
    "v5.4": Era(V5_4, "November 2019: the reference count no longer overflows; FOLL_LONGTERM is a flag", longterm=True),
    "v5.6": Era(V5_6, "March 2020: pin_user_pages exists in name only"),
    "v5.7": Era(V5_7, "May 2020: pins are counted, nobody asks for them yet"),
    "v5.9": Era(V5_9, "October 2020: fork copies pinned pages; the write fault counts references"),
    "v5.10": Era(
        V5_10,
        "December 2020: a long-term pin must be a pin; fork and fast pins do not notice each other",
        longterm=True,
    ),
    "v5.12": Era(V5_12, "April 2021: pins are counted; fork and swap respect them, file systems do not"),
    "v5.15": Era(
        V5_15, "October 2021: GUP-fast looks at the folio again; io_uring takes buffers in shmem", longterm=True
    ),
    "v5.15.215": Era(
        V5_15_215, "its stable tree: ext4 discards instead of dying, the fast walk re-reads the pmd", longterm=True
    ),
    "v5.19": Era(V5_19, "July 2022: PageAnonExclusive; ext4 discards a dirty page without buffers instead of dying"),
    "v6.1": Era(V6_1, "December 2022: GUP-fast re-reads the pmd, khugepaged waits for walkers", longterm=True),
    "v6.1.192": Era(V6_1_192, "its stable tree with backports, as recorded", longterm=True),
    "v6.6": Era(
        V6_6,
        "October 2023: O_DIRECT pins, reclaim keeps the buffers of pinned pages and writes no file page",
        longterm=True,
    ),
    "v6.6.87": Era(V6_6_87, "its stable tree: stable pages are asked of the mapping", longterm=True),
    "v6.12": Era(
        V6_12,
        "November 2024: what comes back from swap is writable at once; large folios are never reused",
        longterm=True,
    ),
    "v6.16": Era(V6_16, "July 2025: x86 frees page tables by RCU always; io_uring charges its rings"),
    "v6.17": Era(V6_17, "September 2025: a page after MADV_FREE that is in use may still be dropped later"),
    "v6.18": Era(V6_18, "November 2025: read-only ranges collapse, too", longterm=True),
    "v7.2": Era(V7_2, "2026: O_DIRECT reads release their pages before the reader is woken; io_uring charges no rings"),
    "v7.3": Era(V7_3, "2026: only PageAnonExclusive makes a page from swap writable"),
}
"""Name of an era and what it is."""
