"""One kernel: a value for every point in which kernels differ. Each rule is read at one place in the actor that it
concerns; what its values mean stands with the others of its subject.

Evidence marks are those of kernel-semantics.md: [S] read in a kernel tree, [W] on the web, [M] from memory.
"""

from __future__ import annotations

import msgspec

from gupsim.actors.rules import faults, files, hugetlb, introduced, pins, reclaim, tables, thp, uring


class KernelRules(msgspec.Struct, frozen=True, kw_only=True):
    """One kernel, as the list of what it does. Eras are presets of it, policies change it."""

    pin_api: pins.PinApi
    driver_call: pins.DriverCall
    odirect_call: files.OdirectCall
    odirect_dirty: files.OdirectDirty
    overflow_guard: pins.OverflowGuard
    fast_head_recheck: pins.FastHeadRecheck
    fast_pmd_recheck: pins.FastPmdRecheck
    fast_range: pins.FastRange
    fork_sequence: faults.ForkSequence
    longterm_api: pins.LongtermApi
    longterm_file_write: pins.LongtermFileWrite
    pin_touch: pins.PinTouch
    fast_longterm_touch: pins.FastLongtermTouch
    fast_force: pins.FastForce
    gup_signal: pins.GupSignal
    process_vm: pins.ProcessVm
    follow_pfn: pins.FollowPfn
    vfio_zero_page: pins.VfioZeroPage
    force_cow: pins.ForceCow
    cow_reuse: faults.CowReuse
    cow_large: faults.CowLarge
    cow_swap_cache: faults.CowSwapCache
    swap_fault: faults.SwapFault
    unshare_for_pin: pins.UnshareForPin
    zero_page_pin: pins.ZeroPagePin
    zap_rmap: tables.ZapRmap
    reclaim_pinned_anon: reclaim.ReclaimPinnedAnon
    unmap_pinned_anon: reclaim.UnmapPinnedAnon
    reclaim_pinned_file: reclaim.ReclaimPinnedFile
    reclaim_writes: reclaim.ReclaimWrites
    lazyfree: reclaim.Lazyfree
    dirty_without_buffers: files.DirtyWithoutBuffers
    dirty_warning: files.DirtyWarning
    drop_cache: files.DropUnused
    stable_pages: files.StablePages
    fork_pinned: faults.ForkPinned
    fast_gup: pins.FastGup
    slow_numa_fault: pins.SlowNumaFault
    tlb_flush: tables.TlbFlush
    table_free: tables.TableFree
    table_single_user: tables.TableSingleUser
    reclaim_flush: tables.ReclaimFlush
    flush_pending: tables.FlushPending
    mremap_flush: tables.MremapFlush
    thp_split: thp.ThpSplit
    collapse_sync: thp.CollapseSync
    collapse_count: thp.CollapseCount
    collapse_readonly: thp.CollapseReadonly
    collapse_swap: thp.CollapseSwap
    hugetlb_fork: hugetlb.HugetlbFork
    hugetlb_child: hugetlb.HugetlbChild
    hugetlb_force: hugetlb.HugetlbForce
    hugetlb_dontneed: hugetlb.HugetlbDontneed
    uring_file: uring.UringFile
    uring_coalesce: uring.UringCoalesce
    uring_memlock: uring.UringMemlock
    uring_pin: uring.UringPin
    uring_order: uring.UringOrder
    uring_account: uring.UringAccount
    uring_pinned: uring.UringPinned
    uring_exit: uring.UringExit
    io_uring: introduced.UringSetup
    madv_free: introduced.MadvFree
    madv_wipeonfork: introduced.MadvWipeonfork
    madv_pageout: introduced.MadvPageout
    madv_populate: introduced.MadvPopulate
    madv_collapse: introduced.MadvCollapse
    mfd_hugetlb: introduced.MfdHugetlb
    seal_future_write: introduced.SealFutureWrite
    fast_protnone: pins.FastProtnone = pins.FastProtnone.STOP
    pte_special: pins.PteSpecial = pins.PteSpecial.YES
    pte_read: pins.PteRead = pins.PteRead.ATOMIC
    table_batch: tables.TableBatch = tables.TableBatch.ALLOCATED
    table_sync: tables.TableSync = tables.TableSync.IPI
    lazy_tlb: tables.LazyTlb = tables.LazyTlb.SKIP
    catch_up: tables.CatchUp = tables.CatchUp.TLB_GEN
    migrate_order: faults.MigrateOrder = faults.MigrateOrder.UNMAP_FIRST
    thp_enabled: thp.ThpEnabled = thp.ThpEnabled.MADVISE
    thp_mapcount: thp.ThpMapcount = thp.ThpMapcount.PAGE
    writeback_pinned: files.WritebackPinned = files.WritebackPinned.LIVE
    pin_under_writeback: pins.PinUnderWriteback = pins.PinUnderWriteback.ALLOWED
    pinned_on_lru: pins.PinnedOnLru = pins.PinnedOnLru.KEEP
    debug_vm: pins.DebugVm = pins.DebugVm.OFF

    def decide(self, rule: str) -> None:
        """A rule about pins has its say: noted where somebody counts (`gupsim.actors.rules.consulted`)."""
