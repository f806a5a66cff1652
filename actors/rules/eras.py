"""Eras: presets of the rules, mainline .0 releases (table D of kernel-semantics.md)."""

from __future__ import annotations

from msgspec.structs import replace

from actors.rules.rules import (
    CowReuse,
    DirtyWarning,
    DirtyWithoutBuffers,
    DriverCall,
    FastHeadRecheck,
    FastPmdRecheck,
    FastRange,
    ForceCow,
    ForkSequence,
    KernelRules,
    LongtermApi,
    LongtermFileWrite,
    OdirectCall,
    OverflowGuard,
    PinApi,
    ReclaimPinnedAnon,
    ReclaimPinnedFile,
    ReclaimWrites,
    StablePages,
    UnmapPinnedAnon,
    UnshareForPin,
    ZapRmap,
    ZeroPagePin,
)

V4_20 = KernelRules(
    pin_api=PinApi.NONE,
    driver_call=DriverCall.GET,
    odirect_call=OdirectCall.GET,
    overflow_guard=OverflowGuard.NONE,
    fast_head_recheck=FastHeadRecheck.NO,
    fast_pmd_recheck=FastPmdRecheck.NO,
    fast_range=FastRange.ACCESS_OK,
    fork_sequence=ForkSequence.NONE,
    longterm_api=LongtermApi.SEPARATE,
    longterm_file_write=LongtermFileWrite.ALLOWED,
    force_cow=ForceCow.COW_DIRTY,
    cow_reuse=CowReuse.MAPCOUNT,
    unshare_for_pin=UnshareForPin.AS_IS,
    zero_page_pin=ZeroPagePin.COUNTED,
    zap_rmap=ZapRmap.BEFORE_FLUSH,
    reclaim_pinned_anon=ReclaimPinnedAnon.ALLOWED,
    unmap_pinned_anon=UnmapPinnedAnon.UNMAP,
    reclaim_pinned_file=ReclaimPinnedFile.STRIP,
    reclaim_writes=ReclaimWrites.KSWAPD,
    dirty_without_buffers=DirtyWithoutBuffers.BUG,
    dirty_warning=DirtyWarning.WARN_ONCE,
    stable_pages=StablePages.BDI,
)
V5_6 = replace(
    V4_20,
    pin_api=PinApi.PLACEHOLDER,
    driver_call=DriverCall.PIN,
    overflow_guard=OverflowGuard.GUARD,
    fast_range=FastRange.EMPTY_ZERO,
    longterm_api=LongtermApi.FLAG,
)
V5_12 = replace(
    V5_6,
    pin_api=PinApi.BIAS,
    fast_range=FastRange.OVERFLOW_ZERO,
    fork_sequence=ForkSequence.SEQCOUNT,
    cow_reuse=CowReuse.REFCOUNT,
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
)
V6_1 = replace(V5_19, fast_pmd_recheck=FastPmdRecheck.YES, force_cow=ForceCow.ANON_EXCLUSIVE)
V6_12 = replace(
    V6_1,
    odirect_call=OdirectCall.PIN,
    fast_range=FastRange.OVERFLOW_ERRNO,
    longterm_file_write=LongtermFileWrite.REFUSED,
    zero_page_pin=ZeroPagePin.IGNORED,
    zap_rmap=ZapRmap.AFTER_FLUSH,
    reclaim_pinned_file=ReclaimPinnedFile.KEEP_BUFFERS,
    stable_pages=StablePages.MAPPING,
)

ERAS: dict[str, tuple[KernelRules, str]] = {
    "v4.20": (V4_20, "December 2018, the kernel of the LWN article: no pins, ext4 dies on a page without buffers"),
    "v5.6": (V5_6, "March 2020: pin_user_pages exists in name only"),
    "v5.12": (V5_12, "April 2021: pins are counted; fork and swap respect them, file systems do not"),
    "v5.19": (V5_19, "July 2022: PageAnonExclusive; ext4 discards a dirty page without buffers instead of dying"),
    "v6.1": (V6_1, "December 2022: GUP-fast re-reads the pmd"),
    "v6.12": (V6_12, "November 2024: reclaim keeps the buffers of pinned pages, long-term file writes are refused"),
}
"""Name of an era, its rules and one line about it."""
