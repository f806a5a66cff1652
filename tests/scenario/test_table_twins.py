"""Each safe verdict about TLBs and page tables has a twin that is unsafe with one rule changed; both are searched."""

from __future__ import annotations

import pytest

from tests.scenario.twins import check_twins, searched

LAZY = """
title: A lazy CPU comes back
machine: {cpus: 2, memory: 64KiB, chunks: 1, levels: 2, table_bits: 2}
threads:
  app:
    cpu: 0
    steps:
      - mmap: {as: buf}
      - store: {map: buf, value: 1}
        label: ready
      - idle:
      - store: {map: buf, value: 2}
  other:
    process: app
    cpu: 1
    begins: ready
    steps:
      - mprotect: {map: buf, prot: r}
"""

NESTED = """
title: Two threads drop the same page
machine: {cpus: 2, memory: 64KiB, chunks: 1, levels: 2, table_bits: 2}
threads:
  app:
    cpu: 0
    steps:
      - mmap: {as: buf}
      - store: {map: buf, value: 1}
        label: ready
      - madvise: {map: buf}
      - load: {map: buf}
  other:
    process: app
    cpu: 1
    begins: ready
    steps:
      - madvise: {map: buf}
"""

TABLE, TLB = "table-use-after-free", "stale-tlb"

TWINS = [
    # A flush that waits, or a grace period: either protects the walker.
    ("S18", TABLE, "v4.20", "v4.20 + tlb_flush=broadcast"),
    ("S18", TABLE, "v4.20 + arm64", "v4.20 + arm64 + table_free=ipi"),
    ("S18", TABLE, "v6.17 + x86-invlpgb", "v6.17 + x86-invlpgb + table_free=ipi"),
    ("S18b", TABLE, "v4.20", "v4.20 + table_free=ipi"),
    ("S18b", TABLE, "v3.17 + x86", "v3.17"),
    ("S19", TABLE, "v4.20", "v4.20 + table_sync=none"),
    ("S19", TABLE, "v6.17 + x86-invlpgb", "v6.17 + x86-invlpgb + table_sync=none"),
    ("S19b", TABLE, "v4.20", "v4.20 + table_single_user=shortcut"),
    ("S19b", TABLE, "v4.20", "v4.20 + lazy_tlb=skip_always"),
    ("S34", "data-loss", "v6.12", "v6.12 + zap_rmap=before_flush"),
    ("S50", TLB, "v4.20", "v4.20 + flush_pending=ignored"),
    ("S50", TLB, "v4.20 + flush_pending=ignored + reclaim_flush=at_once", "v4.20 + flush_pending=ignored"),
    ("S50", TLB, "v3.17", "v3.17 + reclaim_flush=deferred"),
    ("S50b", TLB, "v4.20", "v4.20 + mremap_flush=after_lock"),
    (LAZY, TLB, "v6.12", "v6.12 + catch_up=none"),
    # mm_tlb_flush_nested(): who finds the entry gone must not return before whoever took it has flushed.
    (NESTED, TLB, "v6.12", "v6.12 + flush_pending=ignored"),
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind", "safe", "unsafe"), TWINS, ids=[twin[3] for twin in TWINS])
def test_a_rule_that_keeps_it_safe_is_missed_when_it_goes(name: str, kind: str, safe: str, unsafe: str) -> None:
    check_twins(name, kind, safe, unsafe)


@pytest.mark.parametrize(("kernel", "traces"), [("v4.20", 10), ("v4.20 + arm64", 14), ("v6.17 + x86-invlpgb", 20)])
def test_the_interleavings_of_s18_are_counted(kernel: str, traces: int) -> None:
    assert searched("S18", kernel, TABLE).traces == traces
