"""Table D of kernel-semantics.md and what was read in kernel trees since, against the eras.

Copied from what was read, not from the eras: for each rule the release from which on each value holds. Stable releases
are as the release that they belong to, but for what was backported.
"""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

import pytest

from gupsim.actors.rules import ERAS, KernelRules
from gupsim.actors.rules.pins import PinApi
from gupsim.protocol import memmap
from gupsim.scenario.choices import RULES, kernel
from tests.actors.anon_world import MEMMAP, PAGE_SIZE, Foll, Script, run


class Row(NamedTuple):
    """A rule, the decisive place in the trees (or what a recording showed), and its values: "none 3.17, bias 5.7"."""

    rule: str
    where: str
    values: str


TABLE = [
    Row("fast_gup", "arch/x86/mm/gup.c: gone in 4.14", "x86 3.17, generic 4.20"),
    Row("fast_head_recheck", "5.14-rc5 mm/gup.c:69, not 5.12", "no 3.17, yes 5.15"),
    Row("fast_pmd_recheck", "6.0.1 mm/gup.c:2415, not 5.19", "no 3.17, yes 6.1"),
    Row("collapse_sync", "6.2.1 khugepaged.c:1062; for 6.1.0 from memory", "none 3.17, ipi 6.1"),
    Row("collapse_count", "5.8.1 is_refcount_suitable, not 5.7.14", "one_mapping 3.17, mappings 5.9"),
    Row("collapse_readonly", "SCAN_PAGE_RO gone in 6.18.2", "every 3.17, refused 4.20, collapsed 6.18"),
    Row("collapse_swap", "__collapse_huge_page_swapin in 4.14.5, not 4.6.2", "refused 3.17, read_in 4.20"),
    Row("table_free", "x86 Kconfig 6.17.0:284, not 6.14; recorded 6.16", "ipi 3.17, rcu 6.16"),
    Row("tlb_flush", "x86 without a hypervisor", "ipi 3.17"),
    Row("thp_split", "4.6.2", "splitting_bit 3.17, freeze 4.20"),
    Row("overflow_guard", "5.2.1 gup.c:1713, not 4.20", "none 3.17, guard 5.4"),
    Row("pin_api", "5.7.14 gup.c:148; 5.18.12 gup.c:90", "none 3.17, placeholder 5.6, bias 5.7, bias_all_large 5.19"),
    Row("longterm_api", "5.2.1; 5.10.7 gup.c:1735", "none 3.17, separate 4.20, flag 5.4, pin_only 5.10"),
    Row("zero_page_pin", "6.5.0 gup.c:126, not 6.4", "counted 3.17, ignored 6.6"),
    Row("longterm_file_write", "6.5.0 gup.c:1058, not 6.4", "allowed 3.17, refused 6.6"),
    Row("pin_touch", "gup.c of 5.7: FOLL_TOUCH is not set", "touch 3.17, none 5.7"),
    Row("fast_longterm_touch", "__gup_longterm_locked in 5.2 .. 6.1", "touch 3.17, none 5.4, touch 6.6"),
    Row("fast_force", "5.4.6 and 5.6.4, internal_get_user_pages_fast", "refused 3.17, accepted 5.6"),
    Row("gup_signal", "5.7.14, 6.3.8 gup.c:1356", "restart 3.17, intr 5.7, killable 6.6"),
    Row("follow_pfn", "vfio_iommu_type1.c of 5.11 and 5.12", "blind 3.17, checked 5.12"),
    Row("vfio_zero_page", "vfio_iommu_type1.c 6.0.1, not 5.19", "leaked 3.17, unpinned 6.1"),
    Row("process_vm", "process_vm_access.c of 5.4 and 5.6", "get 3.17, pin 5.6"),
    Row("force_cow", "6.0.1 gup.c:482", "drop_write 3.17, cow_dirty 4.20, anon_exclusive 6.1"),
    Row("fork_pinned", "5.9.1, 5.19.0 memory.c", "share 3.17, copy 5.9, copy_exclusive 5.19"),
    Row("fork_sequence", "5.11.0 memory.c:1182, not 5.9", "none 3.17, seqcount 5.12"),
    Row("cow_reuse", "5.8.1:2895, 5.9.1:3066, 5.19.0:3352", "mapcount 3.17, refcount 5.9, exclusive 5.19"),
    Row("cow_large", "6.12.0 memory.c:3585, 6.17.0:3785", "one_reference 3.17, never 6.12, own_mappings 6.16"),
    Row("cow_swap_cache", "5.15.0 memory.c:3123, not 5.12", "left 3.17, freed 5.15"),
    Row("swap_fault", "do_swap_page() of each", "mapcount 3.17, exclusive 5.19, writable 6.12, only_exclusive 7.3"),
    Row("unshare_for_pin", "5.19.0 mm.h:3033, 6.2.1:3186", "as_is 3.17, unshare 5.19, unshare_files 6.6"),
    Row("odirect_call", "6.5.0 block/bio.c:1276, not 6.4", "get 3.17, pin 6.6"),
    Row("odirect_dirty", "fs/direct-io.c; iomap/direct-io.c 7.1.5", "caller 3.17, woken_first 5.6, released_first 7.2"),
    Row("driver_call", "umem.c 5.6.4:263", "get 3.17, pin 5.6"),
    Row("reclaim_pinned_anon", "5.11.0 vmscan.c:1241, not 5.10.7", "allowed 3.17, refused 5.12"),
    Row("unmap_pinned_anon", "5.19.0 rmap.c:1721, not 5.18", "unmap 3.17, abort 5.19"),
    Row("reclaim_pinned_file", "6.3.8 vmscan.c:1921, not 6.2", "strip 3.17, keep_buffers 6.6"),
    Row("reclaim_writes", "6.2.1 ext4/inode.c has no ->writepage", "kswapd 3.17, never 6.6"),
    Row("lazyfree", "5.18.12, 6.17.0 rmap.c:2124", "unchecked 3.17, restored 5.19, kept 6.17"),
    Row("writeback_pinned", "nobody asks", "live 3.17"),
    Row("dirty_without_buffers", "5.18.12 ext4/inode.c:2000", "bug 3.17, discard 5.19"),
    Row("dirty_warning", "4.14.5 ext4/inode.c:3834", "none 3.17, warn_once 4.20"),
    Row("drop_cache", "5.18.12 truncate.c:276", "mapped 3.17, referenced 5.19"),
    Row("stable_pages", "5.10.7 fs.h:1389, 6.8.1", "bdi 3.17, superblock 5.10, mapping 6.12"),
    Row("zap_rmap", "6.2.1 memory.c:1373", "before_flush 3.17, after_flush 6.6"),
    Row(
        "fast_range",
        "5.4.6:2398, 5.10.7:2670, 6.5.0:3159",
        "canonical 3.17, access_ok 4.20, empty_zero 5.4, overflow_zero 5.10, overflow_errno 6.6",
    ),
    Row("slow_numa_fault", "6.6.9, not 6.5", "fault 3.17, follow 6.6"),
    Row("table_single_user", "gone in 4.19.1", "shortcut 3.17, none 4.20"),
    Row("reclaim_flush", "4.3", "at_once 3.17, deferred 4.20"),
    Row("flush_pending", "4.14.5 memory.c:1296", "ignored 3.17, flushed 4.20"),
    Row("mremap_flush", "4.19.1", "after_lock 3.17, under_lock 4.20"),
    Row("hugetlb_fork", "5.12.9, 5.19.0 hugetlb.c", "share 3.17, copy 5.12, copy_exclusive 5.19"),
    Row("hugetlb_child", "6.14.0 hugetlb.c:5177", "writable 3.17, as_mapped 6.16"),
    Row("hugetlb_force", "6.0.1, 6.2.1, 6.14.0", "writable 3.17, sigsegv 6.1, refused 6.6, read_only 6.16"),
    Row("hugetlb_dontneed", "5.18.12 madvise.c:781, 6.1-rc7:797", "refused 3.17, round_up 5.19, round_down 6.1"),
    Row("uring_file", "5.14-rc5:8388, 6.5.0 rsrc.c:1030", "refused 3.17, shmem 5.15, allowed 6.6"),
    Row("uring_coalesce", "6.3.8 rsrc.c:1229, 6.12.0:861", "no 3.17, one_folio 6.6, yes 6.12"),
    Row("uring_memlock", "5.12.9, 6.14.0, 7.2.13", "ring_too 3.17, buffers 5.12, ring_too 6.16, buffers 7.2"),
    Row("uring_pin", "5.6.4, 6.12.0 rsrc.c", "get 3.17, slow 5.6, fast 6.12"),
    Row("uring_order", "5.9.1, 5.10.7 io_uring.c", "charge 3.17, pin 5.10"),
    Row("uring_account", "5.9.1, 5.10.7 io_uring.c", "pages 3.17, folios 5.10"),
    Row("uring_pinned", "7.2.13 rsrc.c:730; recorded 7.2, 7.3", "nobody 3.17, everybody 5.9, unprivileged 7.2"),
    Row("uring_exit", "5.7.14 io_uring.c:7529, not 5.6.4", "closer 3.17, worker 5.7"),
    Row("io_uring", "5.2.1, not 4.20", "absent 3.17, present 5.4"),
    Row("madv_free", "4.6.2, not 3.17", "absent 3.17, present 4.20"),
    Row("madv_wipeonfork", "4.14.5, not 4.6", "absent 3.17, present 4.20"),
    Row("madv_pageout", "5.4.6, not 5.3", "absent 3.17, present 5.4"),
    Row("madv_populate", "5.14-rc5, not 5.12", "absent 3.17, present 5.15"),
    Row("madv_collapse", "6.1-rc7, not 6.0", "absent 3.17, present 6.1"),
    Row("mfd_hugetlb", "4.14.5, not 4.6", "absent 3.17, present 4.20"),
    Row("seal_future_write", "5.2.1, not 4.20", "absent 3.17, present 5.4"),
]

STABLE: dict[str, tuple[str, dict[str, str]]] = {
    "v5.15.215": (
        "v5.15",
        {
            "fast_pmd_recheck": "yes",
            "collapse_sync": "ipi",
            "lazyfree": "restored",
            "vfio_zero_page": "unpinned",
            "dirty_without_buffers": "discard",
        },
    ),
    "v6.1.192": (
        "v6.1",
        {
            "zero_page_pin": "ignored",
            "reclaim_pinned_file": "keep_buffers",
            "stable_pages": "mapping",
            "hugetlb_force": "refused",
        },
    ),
    "v6.6.87": ("v6.6", {"stable_pages": "mapping"}),
}
"""Of each stable release the one that it belongs to, and what was read in its tree."""

SAME_EVERYWHERE = {
    "fast_protnone": "stop",
    "pte_special": "yes",
    "pte_read": "atomic",
    "table_batch": "allocated",
    "table_sync": "ipi",
    "lazy_tlb": "skip",
    "catch_up": "tlb_gen",
    "thp_enabled": "madvise",
    "migrate_order": "unmap_first",
    "thp_mapcount": "page",
    "pin_under_writeback": "allowed",
    "pinned_on_lru": "keep",
    "debug_vm": "off",
}
"""Rules that no kernel on x86 differs in: configuration, mutations and proposals."""


def specified(row: Row) -> dict[str, str]:
    """The value in each era."""
    since = dict(reversed(part.split()) for part in row.values.split(", "))
    values: dict[str, str] = {}
    for era in ERAS:
        if era not in STABLE:
            before = list(values.values())
            values[era] = since.pop(era[1:]) if era[1:] in since else before[-1]
    assert not since, f"{row.rule}: no era begins with {since}"
    for era, (base, backported) in STABLE.items():
        values[era] = backported.get(row.rule, values[base])
    return values


def of(rules: KernelRules, rule: str) -> str:
    return str(getattr(rules, rule).value)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.rule)
def test_an_era_is_what_the_specification_says(row: Row, era: str) -> None:
    assert of(ERAS[era].rules, row.rule) == specified(row)[era], row.where


@pytest.mark.parametrize("rule", SAME_EVERYWHERE)
def test_no_era_differs_in_what_is_not_in_the_table(rule: str) -> None:
    assert {of(era.rules, rule) for era in ERAS.values()} == {SAME_EVERYWHERE[rule]}


def test_every_rule_and_every_era_is_in_the_table() -> None:
    rows = [row.rule for row in TABLE]
    assert sorted([*rows, *SAME_EVERYWHERE]) == sorted(RULES)
    assert {rule for _, backported in STABLE.values() for rule in backported} <= set(rows)


@pytest.mark.parametrize("era", ERAS)
def test_pins_are_counted_since_5_7(era: str) -> None:
    release = tuple(map(int, era[1:].split(".")))
    assert (ERAS[era].rules.pin_api not in (PinApi.NONE, PinApi.PLACEHOLDER)) is (release >= (5, 7))


@pytest.mark.parametrize(
    ("platform", "cells"),
    [
        ("x86", "v3.17 ipi; v4.20 ipi; v5.6 ipi; v5.12 ipi; v5.19 ipi; v6.1 ipi; v6.12 ipi; v6.16 rcu; v7.3 rcu"),
        ("x86-paravirt", "v3.17 ipi; v4.20 rcu; v5.6 rcu; v5.12 rcu; v5.19 rcu; v6.1 rcu; v6.12 rcu; v6.17 rcu"),
        ("x86-invlpgb", "v6.16 rcu; v6.17 rcu; v6.18 rcu; v7.3 rcu"),
    ],
)
def test_x86_frees_tables_by_rcu_with_paravirt_from_4_14_and_always_from_6_15(platform: str, cells: str) -> None:
    for cell in cells.split("; "):
        era, freed = cell.split()
        assert of(kernel(era, platform=platform).rules, "table_free") == freed, era


def test_arm64_has_no_fast_walk_in_3_17_and_the_generic_one_later() -> None:
    assert {era: of(kernel(era, platform="arm64").rules, "fast_gup") for era in ERAS} == {
        era: "none" if era == "v3.17" else "generic" for era in ERAS
    }


# Two cells that only a caller of the kernel's own functions can show.


def first_in(**changes: Any) -> list[tuple[str, Any]]:
    """Each era with its value. changes: by the era that has it first, as v5_6."""
    shown: list[tuple[str, Any]] = []
    value: Any = None
    for era in ERAS:
        value = changes.pop(era.replace(".", "_"), value)
        shown.append((era, value))
    assert not changes
    return shown


@pytest.mark.parametrize(("era", "error"), first_in(v3_17=0, v5_4=-errno.ENOMEM))
def test_seen_refcount_overflow_guard(era: str, error: int) -> None:
    async def body(script: Script) -> int:
        pfn = (await script.ask(MEMMAP, memmap.AllocPages("test"))).pfn
        await script.ask(MEMMAP, memmap.GetRefs(pfn, 2**31 - 1, "gup", "fuse"))
        return (await script.ask(MEMMAP, memmap.GrabFolio(pfn, 1, pin=False, holder="fuse"))).error

    assert run(body, era)[0] == error


RANGES = first_in(
    v3_17=(0, -errno.EFAULT, -errno.EFAULT),
    v5_4=(0, 0, -errno.EFAULT),
    v6_6=(0, -errno.EOVERFLOW, -errno.EFAULT),
)


@pytest.mark.parametrize(("era", "results"), RANGES)
def test_seen_how_a_bad_range_is_refused(era: str, results: tuple[int, int, int]) -> None:
    async def body(script: Script) -> tuple[int, ...]:
        address = await script.anon()
        ranges = ((address, 0), ((1 << 64) - 2 * PAGE_SIZE, 3), (1 << 47, 1))
        flags = Foll.GET | Foll.WRITE
        return tuple([(await script.gup(at, nr, flags, fast=True)).result for at, nr in ranges])

    assert run(body, era)[0] == results
