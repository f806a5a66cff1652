"""Each safe verdict about huge pages has a twin that is unsafe with one rule changed; both are searched.

Without the twin a proof would say as much about a scenario in which nothing can go wrong.
"""

from __future__ import annotations

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load
from gupsim.search.dpor import Dpor
from gupsim.search.search import Report, search

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
    ("S20", "refcount", "v6.12 + arm64", "v6.12 + arm64 + thp_split=no_freeze"),
]


def searched(name: str, kernel: str, kind: str) -> Report:
    """The search of a scenario under a kernel, up to the first violation of a kind."""
    scenario = load(name).scenario
    program = scenario_program(scenario, expected_kernel(scenario, kernel).rules)
    return search(program, Dpor(), stop=lambda report: kind in report.found)


@pytest.mark.parametrize(("name", "kind", "safe", "unsafe"), TWINS)
def test_a_rule_that_keeps_it_safe_is_missed_when_it_goes(name: str, kind: str, safe: str, unsafe: str) -> None:
    proved = searched(name, safe, kind)
    assert proved.complete
    assert kind not in proved.found
    assert kind in searched(name, unsafe, kind).found


@pytest.mark.parametrize(
    ("kernel", "traces"), [("v5.19 + x86", 30), ("v5.19 + fast_pmd_recheck=yes", 270), ("v6.12", 36)]
)
def test_the_interleavings_of_s16_are_counted(kernel: str, traces: int) -> None:
    assert searched("S16", kernel, "pin-incoherent").traces == traces
