# ruff: noqa: E501 - one row of the table a line

"""Table D of kernel-semantics.md against the eras: copied from the specification, not from the eras.

The specification has eight columns. The other four eras follow from their neighbours where those agree; where they do
not, `BETWEEN` says what holds and who says so.
"""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

import pytest

from actors.rules import ERAS, KernelRules
from actors.rules.pins import PinApi
from gupsim.scenario.choices import RULES, kernel
from protocol import memmap
from tests.actors.anon_world import MEMMAP, PAGE_SIZE, Foll, Script, run

COLUMNS = ("v3.17", "v4.20", "v5.6", "v5.12", "v5.19", "v6.1", "v6.12", "v6.17")
NEIGHBOURS = {"v5.7": ("v5.6", "v5.12"), "v5.9": ("v5.6", "v5.12"), "v6.1.192": ("v6.1", "v6.12"), "v6.18": ("v6.17",)}


class Row(NamedTuple):
    """A rule, where the specification has it, and its value in each column; "=" is the value of the column before."""

    rule: str
    where: str
    values: str


TABLE = [
    Row("fast_gup", "D fast GUP code; D speculative get", "x86 generic = = = = = ="),
    Row("fast_head_recheck", "D head re-check (v3.17: n/a)", "no = = = yes = = ="),
    Row("fast_pmd_recheck", "D PMD re-check", "no = = = = yes = ="),
    Row("collapse_sync", "D khugepaged sync IPI", "none = = = = ipi = ="),
    Row("table_free", "D x86 table free, without PARAVIRT", "ipi = = = = = = rcu"),
    Row("tlb_flush", "B4 x86 IPI flush", "ipi = = = = = = ="),
    Row("thp_split", "D THP split; B5 (4.5)", "splitting_bit freeze = = = = = ="),
    Row("overflow_guard", "D refcount overflow guard (5.1)", "none = guard = = = = ="),
    Row("pin_api", "D pin API", "none = placeholder bias bias_all_large = = ="),
    Row("longterm_api", "D pin API; B2 LONGTERM (a) (b) (c)", "none separate flag = = = = ="),
    Row("zero_page_pin", "D zero page pinned for real (6.5)", "counted = = = = = ignored ="),
    Row("longterm_file_write", "D LONGTERM+WRITE on dirty-tracked file (6.5)", "allowed = = = = = refused ="),
    Row("force_cow", "D FOLL_FORCE COW rule", "drop_write cow_dirty = = = anon_exclusive = ="),
    Row("fork_pinned", "D fork of pinned anon", "share = = copy copy_exclusive = = ="),
    Row("fork_sequence", "D fork/fast-pin seqcount (5.11)", "none = = seqcount = = = ="),
    Row("cow_reuse", "D write-fault reuse rule", "mapcount = = refcount exclusive = = ="),
    Row("unshare_for_pin", "D R/O pin of shared anon, of private file maps (6.2)", "as_is = = = unshare = unshare_files ="),
    Row("odirect_call", "D O_DIRECT uses", "get = = = = = pin ="),
    Row("driver_call", "D RDMA umem / VFIO use", "get = pin = = = = ="),
    Row("reclaim_pinned_anon", "D reclaim: pinned anon -> swap cache (5.11)", "allowed = = refused = = = ="),
    Row("unmap_pinned_anon", "B9 step 5 (5.19)", "unmap = = = abort = = ="),
    Row("reclaim_pinned_file", "D reclaim: strip buffers", "strip = = = = = keep_buffers ="),
    Row("reclaim_writes", "D reclaim writes file pages", "kswapd = = = = = = never"),
    Row("writeback_pinned", "D writeback of pinned page", "live = = = = = = ="),
    Row("dirty_without_buffers", "D ext4 dirty page without buffers (5.18)", "bug = = = discard = = ="),
    Row("dirty_warning", "D ext4 dirty page without buffers; B10 [S 4.19+]", "none warn_once = = = = = ="),
    Row("drop_cache", "not in the specification: 5.18 [M]; kernel-facts, wb-transient-pin-unmapped", "mapped = = = referenced = = ="),
    Row("stable_pages", "D stable pages decision", "bdi = = superblock = = mapping ="),
    Row("zap_rmap", "D zap: rmap removal before flush (6.2)", "before_flush = = = = = after_flush ="),
    Row("fast_range", "B1 entry, step 3 (v5.19, v6.1: as v5.12)", "canonical access_ok empty_zero overflow_zero = = overflow_errno ="),
    Row("slow_numa_fault", "B2 NUMA hinting (6.6)", "fault = = = = = follow ="),
    Row("table_single_user", "B4 shortcut [S 4.6], gone in 2018", "shortcut none = = = = = ="),
    Row("reclaim_flush", "B4 reclaim batching (4.3)", "at_once deferred = = = = = ="),
    Row("flush_pending", "S50 (4.13)", "ignored flushed = = = = = ="),
    Row("mremap_flush", "S50 (4.19)", "after_lock under_lock = = = = = ="),
    Row("uring_file", "kernel-facts 2", "refused = = = = = allowed ="),
    Row("uring_coalesce", "kernel-facts 3", "no = = = = = yes ="),
    Row("uring_memlock", "kernel-facts 4", "buffers = = = = = = ="),
]  # fmt: skip

BETWEEN = {
    ("fast_range", "v5.7"): ("empty_zero", "B1: the zero-length guard went in ~5.11"),
    ("fast_range", "v5.9"): ("empty_zero", "B1: the zero-length guard went in ~5.11"),
    ("fast_range", "v6.1.192"): ("overflow_zero", "no backport is recorded: as v6.1"),
    ("unshare_for_pin", "v6.1.192"): ("unshare", "no backport is recorded: as v6.1"),
    ("pin_api", "v5.7"): ("bias", "B3 history [S 5.7]"),
    ("pin_api", "v5.9"): ("bias", "B3 history [S 5.7, 5.12]"),
    ("fork_pinned", "v5.7"): ("share", "B8: up to 5.7"),
    ("fork_pinned", "v5.9"): ("copy", "B8: 5.9-5.10 [S 5.9]"),
    ("fork_sequence", "v5.7"): ("none", "D: 5.11"),
    ("fork_sequence", "v5.9"): ("none", "B8: 5.9-5.10 race with GUP-fast"),
    ("cow_reuse", "v5.7"): ("mapcount", "B8: up to 5.7"),
    ("cow_reuse", "v5.9"): ("refcount", "B8 [S 5.9]"),
    ("reclaim_pinned_anon", "v5.7"): ("allowed", "D: 5.11"),
    ("reclaim_pinned_anon", "v5.9"): ("allowed", "B9 step 4: absent in 5.9"),
    ("stable_pages", "v5.7"): ("bdi", "B11 [S 3.17 .. 5.9]"),
    ("stable_pages", "v5.9"): ("bdi", "B11 [S 3.17 .. 5.9]"),
    ("zero_page_pin", "v6.1.192"): ("ignored", "D: no in the long-term kernel; kernel-facts: not counted on 6.1"),
    ("longterm_file_write", "v6.1.192"): ("allowed", "B2 step 3: absent in 6.1.192"),
    ("odirect_call", "v6.1.192"): ("get", "kernel-facts 1"),
    ("reclaim_pinned_file", "v6.1.192"): ("keep_buffers", "D: no in the long-term kernel"),
    ("stable_pages", "v6.1.192"): ("mapping", "D: AS in the long-term kernel"),
    ("zap_rmap", "v6.1.192"): ("before_flush", "D: 6.2, and no backport is marked"),
    ("slow_numa_fault", "v6.1.192"): ("fault", "B2: 6.6, and no backport is marked"),
    ("uring_file", "v6.1.192"): ("refused", "kernel-facts 2: recorded on 6.1.192"),
    ("uring_coalesce", "v6.1.192"): ("no", "kernel-facts 3: recorded on 6.1.192"),
    ("uring_memlock", "v6.18"): ("ring_too", "kernel-facts 4: recorded on 6.18"),
}

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


def columns(row: Row) -> dict[str, str]:
    """The value in each column of the specification."""
    values: list[str] = []
    for value in row.values.split():
        values.append(values[-1] if value == "=" else value)
    return dict(zip(COLUMNS, values, strict=True))


def specified(row: Row) -> dict[str, str]:
    """The value in each of the twelve eras."""
    values = columns(row)
    for era, neighbours in NEIGHBOURS.items():
        agreed = {values[neighbour] for neighbour in neighbours}
        value, _ = BETWEEN.get((row.rule, era), ("", ""))
        assert value or len(agreed) == 1, f"{row.rule} in {era}: its neighbours differ"
        values[era] = value or agreed.pop()
    return values


def of(rules: KernelRules, rule: str) -> str:
    return str(getattr(rules, rule).value)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.rule)
def test_an_era_is_what_the_specification_says(row: Row, era: str) -> None:
    assert of(ERAS[era][0], row.rule) == specified(row)[era], row.where


@pytest.mark.parametrize("rule", SAME_EVERYWHERE)
def test_no_era_differs_in_what_is_not_in_the_table(rule: str) -> None:
    assert {of(rules, rule) for rules, _ in ERAS.values()} == {SAME_EVERYWHERE[rule]}


def test_every_rule_and_every_era_is_in_the_table() -> None:
    rows = [row.rule for row in TABLE]
    assert sorted([*rows, *SAME_EVERYWHERE]) == sorted(RULES)
    assert {*COLUMNS, *NEIGHBOURS} == set(ERAS)
    assert {rule for rule, _ in BETWEEN} <= set(rows)


@pytest.mark.parametrize(
    ("era", "counted"),
    [
        ("v3.17", False), ("v4.20", False), ("v5.6", False), ("v5.7", True), ("v5.9", True), ("v5.12", True),
        ("v5.19", True), ("v6.1", True), ("v6.1.192", True), ("v6.12", True), ("v6.17", True), ("v6.18", True),
    ],
)  # fmt: skip
def test_pins_are_counted_since_5_7(era: str, counted: bool) -> None:
    assert (ERAS[era][0].pin_api not in (PinApi.NONE, PinApi.PLACEHOLDER)) is counted


@pytest.mark.parametrize(
    ("platform", "cells"),
    [
        ("x86", "v3.17 ipi; v4.20 ipi; v5.6 ipi; v5.12 ipi; v5.19 ipi; v6.1 ipi; v6.12 ipi; v6.17 rcu"),
        ("x86-paravirt", "v3.17 ipi; v4.20 rcu; v5.6 rcu; v5.12 rcu; v5.19 rcu; v6.1 rcu; v6.12 rcu; v6.17 rcu"),
        ("x86-invlpgb", "v6.17 rcu; v6.18 rcu"),
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


@pytest.mark.parametrize(("era", "error"), first_in(v3_17=0, v5_6=-errno.ENOMEM))
def test_seen_refcount_overflow_guard(era: str, error: int) -> None:
    async def body(script: Script) -> int:
        pfn = (await script.ask(MEMMAP, memmap.AllocPages("test"))).pfn
        await script.ask(MEMMAP, memmap.GetRefs(pfn, 2**31 - 1, "gup", "fuse"))
        return (await script.ask(MEMMAP, memmap.GrabFolio(pfn, 1, pin=False, holder="fuse"))).error

    assert run(body, era)[0] == error


RANGES = first_in(
    v3_17=(0, -errno.EFAULT, -errno.EFAULT),
    v5_6=(0, 0, -errno.EFAULT),
    v6_12=(0, -errno.EOVERFLOW, -errno.EFAULT),
)


@pytest.mark.parametrize(("era", "results"), RANGES)
def test_seen_how_a_bad_range_is_refused(era: str, results: tuple[int, int, int]) -> None:
    async def body(script: Script) -> tuple[int, ...]:
        address = await script.anon()
        ranges = ((address, 0), ((1 << 64) - 2 * PAGE_SIZE, 3), (1 << 47, 1))
        flags = Foll.GET | Foll.WRITE
        return tuple([(await script.gup(at, nr, flags, fast=True)).result for at, nr in ranges])

    assert run(body, era)[0] == results
