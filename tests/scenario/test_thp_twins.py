"""Each safe verdict about huge pages has a twin that is unsafe with one rule changed; both are searched."""

from __future__ import annotations

import pytest

from tests.scenario.twins import check_twins, searched

TWINS = [
    # The walker's second look, khugepaged's interrupt, a flush that waits: each is enough.
    ("S16", "pin-incoherent", "v5.19 + fast_pmd_recheck=yes", "v5.19"),
    ("S16", "pin-incoherent", "v5.19 + collapse_sync=ipi", "v5.19"),
    ("S16", "pin-incoherent", "v5.19 + x86", "v5.19 + x86 + tlb_flush=broadcast"),
    ("S16", "pin-incoherent", "v6.12 + collapse_sync=none", "v6.12 + collapse_sync=none + fast_pmd_recheck=no"),
    # Of the two fixes only the interrupt helps: the second look comes too late.
    ("S17", "table-use-after-free", "v5.19 + collapse_sync=ipi", "v5.19"),
    ("S17", "table-use-after-free", "v6.12", "v6.12 + collapse_sync=none"),
    ("S17", "table-use-after-free", "v5.19 + x86", "v5.19 + x86 + tlb_flush=broadcast"),
    # Before 4.5 the flush kept walkers in step, since then it is the frozen count.
    ("S20", "refcount", "v3.17", "v3.17 + tlb_flush=broadcast"),
    ("S20", "refcount", "v5.12 + arm64", "v5.12 + arm64 + thp_split=no_freeze"),
    ("S20", "refcount", "v6.12 + arm64", "v6.12 + arm64 + thp_split=no_freeze"),
    # The same two fixes where nobody waits for a preempted CPU, and a CPU that is waited for.
    ("S16b", "pin-incoherent", "v5.19 + fast_pmd_recheck=yes", "v5.19"),
    ("S16b", "pin-incoherent", "v5.19 + collapse_sync=ipi", "v5.19"),
    ("S16b", "pin-incoherent", "v5.19 + x86", "v5.19"),
    # Who counts the right mappings, or is told by the page.
    ("S29", "pin-incoherent", "v4.20", "v4.20 + thp_mapcount=total"),
    ("S29", "pin-incoherent", "v5.19", "v5.19 + cow_reuse=refcount"),
    ("S29", "pin-incoherent", "v6.12", "v6.12 + cow_reuse=refcount"),
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind", "safe", "unsafe"), TWINS)
def test_a_rule_that_keeps_it_safe_is_missed_when_it_goes(name: str, kind: str, safe: str, unsafe: str) -> None:
    check_twins(name, kind, safe, unsafe)


@pytest.mark.parametrize(
    ("kernel", "traces"), [("v5.19 + x86", 76), ("v5.19 + fast_pmd_recheck=yes", 334), ("v6.12", 82)]
)
def test_the_interleavings_of_s16_are_counted(kernel: str, traces: int) -> None:
    assert searched("S16", kernel, "pin-incoherent").traces == traces
