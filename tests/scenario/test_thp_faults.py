"""Faults in huge ranges, by a CPU and by get_user_pages, and what a split makes of them (B5)."""

from __future__ import annotations

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.protocol.memmap import PageAlloc, PageFree
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.process import StepEnd
from gupsim.run import run_scenario
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load_text
from gupsim.search import Dpor, ExploredWorld, Program, search
from gupsim.search.pos import PartialOrderSampling

ONE_HUGE_PAGE_LEFT = """
title: Memory suffices for one huge page and one small one
machine: {cpus: 2, memory: 64KiB, chunks: 1, levels: 4, table_bits: 2}
kernel: v6.12
rules: {thp_enabled: always}
threads:
  app:
    steps:
      - mmap: {as: rest, pages: 10}
      - madvise: {map: rest, advice: nohugepage}
      - madvise: {map: rest, advice: populate_write}
      - mmap: {as: buf, pages: 4, align: 16384}
        label: ready
      - store: {map: buf, value: 1}
  other:
    process: app
    cpu: 1
    begins: ready
    steps:
      - store: {map: buf, page: 1, value: 2}
  after:
    process: app
    last: true
    steps:
      - load: {map: buf, page: 1}
      - munmap: {map: rest}
      - munmap: {map: buf}
"""


def test_a_huge_page_does_not_take_the_place_of_a_table_that_another_fault_put_there() -> None:
    scenario = load_text(ONE_HUGE_PAGE_LEFT).scenario
    program = scenario_program(scenario, expected_kernel(scenario, "v6.12").rules)
    loaded: set[str] = set()
    orders: set[int] = set()
    left: list[set[int]] = []

    def build(world: ExploredWorld) -> object:
        subject = program.build(world)
        allocated: set[int] = set()
        left.append(allocated)

        def watch(_: str, point: Tracepoint) -> None:
            if isinstance(point, PageAlloc):
                allocated.add(point.pfn)
                orders.add(point.order)
            elif isinstance(point, PageFree):
                allocated.remove(point.pfn)
            elif isinstance(point, StepEnd) and point.text.startswith("load"):
                loaded.add(point.result)

        world.on_tracepoint(watch)
        return subject

    report = search(Program(build, program.check), Dpor())
    assert report.complete
    assert not report.found
    assert loaded == {"2"}
    assert orders == {0, 2}
    assert not any(left)


PINNED_AND_SPLIT = """
title: Pages of a huge page are given back after it was split
machine: {cpus: 1, memory: 128KiB, levels: 3, table_bits: 2, devices: {nic: {}}}
rules: {thp_enabled: always}
threads:
  app:
    steps:
      - mmap: {as: buf, pages: 4, align: 16384}
      - store: {map: buf, value: 1}
      - pin: {as: mr, device: nic, map: buf, pages: 4, flags: [write, get]}
      - mprotect: {map: buf, page: 0, pages: 1, prot: r}
      - unpin: {pin: mr}
      - exit
"""


@pytest.mark.parametrize("era", ["v3.17", "v4.20", "v6.12"])
def test_references_of_tails_follow_them_when_the_huge_page_is_split(era: str) -> None:
    loaded = load_text(PINNED_AND_SPLIT)
    result = run_scenario(loaded, expected_kernel(loaded.scenario, era))
    assert not result.kinds
    vmstat = dict(result.outcome.vmstat)
    assert vmstat["pgalloc_normal"] == vmstat["pgfree"]


DROPPED_MEANWHILE = """
title: A fault waits for a page of a huge page that is being split, and the page goes
machine: {cpus: 3, memory: 64KiB, chunks: 1, levels: 3, table_bits: 1, swap: 4}
rules: {thp_enabled: always}
threads:
  app:
    steps:
      - mmap: {as: buf, pages: 2, align: 8192}
      - store: {map: buf, value: 1}
        label: ready
      - madvise: {map: buf, advice: pageout}
  reader:
    process: app
    cpu: 1
    begins: ready
    steps:
      - load: {map: buf, page: 1}
  dropper:
    process: app
    cpu: 2
    begins: ready
    steps:
      - madvise: {map: buf, page: 1, pages: 1}
"""


def test_whoever_waits_for_a_migration_entry_is_woken_though_somebody_took_the_entry_away() -> None:
    """A search of all interleavings takes too long; a few hundred of these met the lost wake-up."""
    scenario = load_text(DROPPED_MEANWHILE).scenario
    program = scenario_program(scenario, expected_kernel(scenario, "v6.12").rules)
    report = search(program, PartialOrderSampling(seed=1), limit=600)
    assert report.executions == 600
    assert not report.found
