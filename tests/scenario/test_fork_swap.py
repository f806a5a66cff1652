"""Pages that two processes share, on their way to swap and back, or to another frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pytest

from gupsim.actors.rules import ERAS
from gupsim.actors.rules.faults import CowReuse, CowSwapCache
from gupsim.checkers.orders import Orders
from gupsim.checkers.suite import ALL_CHECKERS
from gupsim.checkers.violation import Violation, violation
from gupsim.explore.subject import scenario_program
from gupsim.protocol.pagetable import EntryChanged
from gupsim.protocol.process import StepEnd
from gupsim.run import run_scenario
from gupsim.scenario.choices import expected_kernel, kernel_of
from gupsim.scenario.load import load_text
from gupsim.search import Dpor, search
from gupsim.trace.records import Event

LIMIT = 600
"""Executions of a search that has more. One of the first 520 lost the page while fork looked without the lock."""

MACHINE = "machine: {cpus: 2, memory: 128KiB, chunks: 1, levels: 3, table_bits: 2, swap: 4}"
SHARED_THEN_SWAPPED = f"""
title: fork, then swap
{MACHINE}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - fork: {{child: kid}}
      - shrink: {{pages: 4, force: true}}
        label: out
      - load: {{map: buf}}
      - store: {{map: buf, value: 2}}
        label: stored
      - load: {{map: buf}}
        after: kid-stored
      - exit
  kid:
    cpu: 1
    steps:
      - load: {{map: buf}}
        after: stored
      - store: {{map: buf, value: 3}}
        label: kid-stored
      - load: {{map: buf}}
      - exit
"""
SWAPPED_THEN_SHARED = f"""
title: swap, then fork
{MACHINE}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - shrink: {{pages: 4, force: true}}
      - fork: {{child: kid}}
      - store: {{map: buf, value: 2}}
        label: stored
      - exit
  kid:
    cpu: 1
    steps:
      - load: {{map: buf}}
        after: stored
      - store: {{map: buf, value: 3}}
      - load: {{map: buf}}
      - exit
"""
SHARED_IN_THE_SWAP_CACHE = f"""
title: on its way to swap, held back by a reference, then fork
{MACHINE[:-1]}, devices: {{nic: {{}}}}}}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - pin: {{as: held, device: nic, map: buf, flags: [get]}}
      - shrink: {{pages: 4, force: true}}
      - fork: {{child: kid}}
      - store: {{map: buf, value: 2}}
        label: stored
      - unpin: {{pin: held}}
      - exit
  kid:
    cpu: 1
    steps:
      - load: {{map: buf}}
        after: stored
      - exit
"""
RACING = f"""
title: fork against swap-out
{MACHINE}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
        label: ready
      - fork: {{child: kid}}
  kswapd:
    process: app
    cpu: 1
    begins: ready
    steps:
      - shrink: {{pages: 1, force: true}}
  kid:
    cpu: 1
    steps:
      - load: {{map: buf}}
"""
SPLIT_MEANWHILE = """
title: fork while reclaim splits the huge page
machine: {cpus: 2, memory: 64KiB, chunks: 1, levels: 3, table_bits: 1, swap: 4}
rules: {thp_enabled: always}
threads:
  app:
    steps:
      - mmap: {as: buf, pages: 2, align: 8192}
      - store: {map: buf, value: 1}
        label: ready
      - fork: {child: kid}
        after: mm:pte#2
  kswapd:
    process: app
    cpu: 1
    begins: ready
    steps:
      - shrink: {pages: 1, force: true}
  kid:
    cpu: 1
    steps:
      - load: {map: buf}
"""
MIGRATED_MEANWHILE = f"""
title: fork against migration
{MACHINE}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
        label: ready
      - fork: {{child: kid}}
  compaction:
    process: app
    cpu: 1
    begins: ready
    steps:
      - migrate: {{map: buf}}
  kid:
    cpu: 1
    steps:
      - load: {{map: buf}}
"""
UNMAPPED_MEANWHILE = f"""
title: munmap against swap-out
{MACHINE}
threads:
  app:
    steps:
      - mmap: {{as: buf, pages: 2}}
      - store: {{map: buf, value: 1}}
      - store: {{map: buf, page: 1, value: 1}}
        label: ready
      - munmap: {{map: buf}}
  kswapd:
    process: app
    cpu: 1
    begins: ready
    steps:
      - shrink: {{pages: 2, force: true}}
"""


class Inherited:
    """The child reads what its parent wrote."""

    kind = "lost"
    reads = (StepEnd,)
    relates: ClassVar[Orders] = {}

    def feed(self, event: Event) -> Iterable[Violation]:
        point: StepEnd = event.point
        if point.thread == "kid" and point.result != "1":
            return (violation(self.kind, event, f"the child reads {point.result}"),)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        return ()


def played(text: str, era: str) -> dict[str, list[str]]:
    """What the steps of each thread ended with; nothing is wrong and at the end nothing is left in swap or memory, but
    for pages of the swap cache that were copied and that nobody frees at once in some eras."""
    said: dict[str, list[str]] = {}

    def note(event: Event) -> None:
        if isinstance(event.point, StepEnd):
            said.setdefault(event.point.thread, []).append(event.point.result)

    kernel = kernel_of(era, "")
    result = run_scenario(load_text(text), kernel, readers=(note,))
    assert not result.kinds, result.outcome.violations
    vmstat = dict(result.outcome.vmstat)
    left = kernel.rules.cow_reuse is CowReuse.REFCOUNT and kernel.rules.cow_swap_cache is CowSwapCache.LEFT
    assert vmstat["pgalloc_normal"] - vmstat["pgfree"] in ((0, 1) if left else (0,))
    return said


@pytest.mark.parametrize("era", list(ERAS))
def test_a_shared_page_is_swapped_for_both_and_comes_back_for_each(era: str) -> None:
    said = played(SHARED_THEN_SWAPPED, era)
    assert said["app"] == ["ok", "ok", "ok", "1", "1", "ok", "2", "ok"]
    assert said["kid"] == ["1", "ok", "3", "ok"]


@pytest.mark.parametrize("era", list(ERAS))
def test_a_swap_entry_is_shared_and_freed_with_its_last_user(era: str) -> None:
    said = played(SWAPPED_THEN_SHARED, era)
    assert said["app"] == ["ok", "ok", "1", "ok", "ok", "ok"]
    assert said["kid"] == ["1", "ok", "3", "ok"]


@pytest.mark.parametrize("era", list(ERAS))
def test_what_is_shared_while_it_is_in_the_swap_cache_is_no_longer_exclusive(era: str) -> None:
    assert played(SHARED_IN_THE_SWAP_CACHE, era)["kid"] == ["1", "ok"]


def test_fork_waits_for_the_end_of_a_split_that_the_bit_in_the_pmd_tells_of() -> None:
    said: list[str] = []
    changes: list[EntryChanged] = []

    def note(event: Event) -> None:
        if isinstance(event.point, EntryChanged) and event.point.why == "fork":
            changes.append(event.point)
        elif isinstance(event.point, StepEnd) and event.point.thread == "kid":
            said.append(event.point.result)

    loaded = load_text(SPLIT_MEANWHILE)
    result = run_scenario(loaded, expected_kernel(loaded.scenario, "v3.17"), readers=(note,))
    assert not result.kinds
    assert said == ["1"]
    assert [(change.mm, change.level, change.pfn) for change in changes] == [
        (mm, 0, pfn) for pfn in (2, 3) for mm in ("app", "kid")
    ]


@pytest.mark.parametrize("era", ["v4.20", "v6.12"])
def test_no_entry_of_the_child_is_left_waiting_for_a_migration_that_is_over(era: str) -> None:
    loaded = load_text(MIGRATED_MEANWHILE)
    program = scenario_program(loaded.scenario, kernel_of(era, "").rules, checkers=(*ALL_CHECKERS, Inherited))
    report = search(program, Dpor())
    assert report.complete
    assert not report.found
    assert report.traces > 300


@pytest.mark.long
@pytest.mark.parametrize("era", ["v4.20", "v6.12"])
def test_fork_against_swap_out_loses_nothing(era: str) -> None:
    loaded = load_text(RACING)
    program = scenario_program(loaded.scenario, kernel_of(era, "").rules, checkers=(*ALL_CHECKERS, Inherited))
    report = search(program, Dpor(), limit=LIMIT)
    assert not report.found
    assert report.traces == LIMIT or report.complete


@pytest.mark.parametrize("era", ["v3.17", "v6.12"])
def test_a_page_on_its_way_to_swap_may_be_unmapped_meanwhile(era: str) -> None:
    loaded = load_text(UNMAPPED_MEANWHILE)
    program = scenario_program(loaded.scenario, kernel_of(era, "").rules)
    report = search(program, Dpor(), limit=LIMIT)
    assert not report.found
    assert report.traces == LIMIT or report.complete
