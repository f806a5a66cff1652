"""Each safe verdict about get_user_pages has a twin that is unsafe with one rule changed; both are searched."""

from __future__ import annotations

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.protocol.memmap import PageFree, PagePut
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.process import StepEnd
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load
from gupsim.search import Dpor, ExploredWorld, Program, search
from tests.scenario.twins import check_twins, searched

TWINS = [
    # The guard on the count, for references and for pins.
    ("S15", "refcount", "v6.12", "v6.12 + overflow_guard=none"),
    ("S15", "dma-use-after-free", "v6.12", "v6.12 + overflow_guard=none"),
    ("S15b", "refcount", "v6.12", "v6.12 + overflow_guard=none"),
    ("S15b", "dma-use-after-free", "v6.12", "v6.12 + overflow_guard=none"),
    # The walker's second look at the head; a flush that waits for it.
    ("S21", "refcount", "v5.12 + arm64 + fast_head_recheck=yes", "v5.12 + arm64"),
    ("S21", "refcount", "v6.12", "v6.12 + fast_head_recheck=no"),
    ("S21", "refcount", "v5.12 + x86", "v5.12 + x86 + tlb_flush=broadcast"),
    # The test for NUMA-hinting entries, or migration by way of a migration entry.
    ("S22", "pin-incoherent", "v4.20", "v4.20 + fast_protnone=ignored"),
    ("S22", "pin-incoherent", "v3.17", "v3.17 + fast_protnone=ignored"),
    (
        "S22",
        "pin-incoherent",
        "v4.20 + arm64 + fast_protnone=ignored + migrate_order=unmap_first",
        "v4.20 + arm64 + fast_protnone=ignored",
    ),
    # Low, high and low again; or a walk that compares the whole entry once more.
    ("S23", "torn-entry", "v3.17", "v3.17 + pte_read=naive"),
    ("S23", "torn-entry", "v6.12 + pte_read=naive", "v6.12 + pte_read=naive + fast_gup=x86"),
    # The special bit, or no walk of the last level.
    ("S24", "refcount", "v6.12", "v6.12 + pte_special=ignored"),
    ("S24", "refcount", "v6.12 + arm-nospecial", "v6.12 + arm-nospecial + pte_special=ignored"),
    # First the entry, then the count.
    ("S44", "pin-incoherent", "v4.20", "v4.20 + migrate_order=count_first"),
    ("S44", "pin-incoherent", "v5.12", "v5.12 + migrate_order=count_first"),
    # A flush that waits for a walker without a second look; the question to a page whose entry goes (5.19).
    ("S44", "pin-incoherent", "v3.17 + x86", "v3.17 + x86 + tlb_flush=broadcast"),
    (
        "S44",
        "pin-incoherent",
        "v6.12 + migrate_order=count_first",
        "v6.12 + migrate_order=count_first + unmap_pinned_anon=unmap",
    ),
    # Pins that are references like others can be given back like them.
    ("S31", "refcount", "v5.6", "v5.6 + pin_api=bias"),
    ("S31b", "refcount", "v5.6", "v5.6 + pin_api=bias"),
    # The walker's second look at the entry, where nothing waits for it.
    ("S49", "refcount", "v6.12", "v6.12 + fast_gup=x86"),
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind", "safe", "unsafe"), TWINS)
def test_a_rule_that_keeps_it_safe_is_missed_when_it_goes(name: str, kind: str, safe: str, unsafe: str) -> None:
    check_twins(name, kind, safe, unsafe)


@pytest.mark.parametrize(
    ("name", "kernel", "kind", "traces"),
    [
        ("S22", "v4.20", "pin-incoherent", 150),
        ("S23", "v3.17", "torn-entry", 36),
        ("S44", "v6.12", "pin-incoherent", 384),
    ],
)
def test_the_interleavings_are_counted(name: str, kernel: str, kind: str, traces: int) -> None:
    assert searched(name, kernel, kind).traces == traces


def test_in_s49_migration_meets_the_walker_s_reference_and_the_walker_s_put_may_be_the_last() -> None:
    """Otherwise its proof would be about nothing (I4)."""
    scenario = load("S49").scenario
    program = scenario_program(scenario, expected_kernel(scenario, "v6.12").rules)
    seen: set[str] = set()

    def build(world: ExploredWorld) -> object:
        subject = program.build(world)
        puts: list[PagePut] = []

        def watch(_: str, point: Tracepoint) -> None:
            if isinstance(point, PagePut):
                puts.append(point)
            elif isinstance(point, PageFree):
                seen.add(f"freed by {puts[-1].holder}")
            elif isinstance(point, StepEnd) and point.text.startswith("migrate"):
                seen.add(f"migrate: {point.result}")

        world.on_tracepoint(watch)
        return subject

    assert search(Program(build, program.check), Dpor()).complete
    assert {"migrate: ok", "migrate: EAGAIN", "freed by driver/nic#1"} <= seen
