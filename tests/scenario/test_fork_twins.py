"""Two kernels that differ in one rule, and what that rule alone decides, over all interleavings (B8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pytest

from gupsim.checkers.orders import Orders
from gupsim.checkers.suite import ALL_CHECKERS
from gupsim.checkers.violation import Violation, violation
from gupsim.explore.subject import program_of, scenario_program, subject_of
from gupsim.protocol.process import StepEnd
from gupsim.scenario.choices import expected_kernel, kernel_of
from gupsim.scenario.load import load, load_text
from gupsim.search import Dpor, search
from gupsim.search.search import Report
from gupsim.trace.records import Event

FORK_THEN_STORE = """
title: A pinned page, fork, and a store of the parent
machine: {cpus: 2, memory: 64KiB, chunks: 1, levels: 3, table_bits: 2, hugepages: 2, devices: {nic: {}}}
kernel: v6.12
threads:
  app:
    steps:
      - mmap: {as: buf, PAGES}
      - store: {map: buf, value: 0x11}
      - pin: {as: mr, device: nic, map: buf, flags: [write]}
      - fork: {child: kid}
      - store: {map: buf, value: 0x22}
      - unpin: {pin: mr}
  kid:
    cpu: 1
    steps:
      - store: {map: buf, value: 0x33}
"""


def explored(name: str, kernel: str, text: str = "") -> Report:
    loaded = load_text(text) if text else load(name)
    program = program_of(subject_of(loaded, expected_kernel(loaded.scenario, kernel)))
    return search(program, Dpor(), limit=3000, stop=lambda report: "pin-incoherent" in report.found)


@pytest.mark.parametrize("era", ["v5.9", "v5.12", "v5.19", "v6.12"])
def test_s09_is_decided_by_the_sequence_that_fork_counts(era: str) -> None:
    without = explored("S09", f"{era} + fork_sequence=none")
    assert "pin-incoherent" in without.found
    counted = explored("S09", f"{era} + fork_sequence=seqcount")
    assert counted.complete
    assert not counted.found
    assert counted.traces == 162


@pytest.mark.parametrize(
    ("rule", "pages"), [("fork_pinned", "pages: 1"), ("hugetlb_fork", "pages: 4, hugetlb: 2")], ids=["small", "hugetlb"]
)
@pytest.mark.parametrize(("era", "copy"), [("v5.12", "copy"), ("v6.12", "copy_exclusive")])
def test_what_fork_does_with_a_pinned_page_decides_who_keeps_it(era: str, copy: str, rule: str, pages: str) -> None:
    text = FORK_THEN_STORE.replace("PAGES", pages)
    shared = explored("", f"{era} + {rule}=share", text)
    assert "pin-incoherent" in shared.found
    copied = explored("", f"{era} + {rule}={copy}", text)
    assert copied.complete
    assert not copied.found


@pytest.mark.parametrize("call", ["get", "pin"])
def test_only_a_pin_is_copied_for(call: str) -> None:
    text = FORK_THEN_STORE.replace("PAGES", "pages: 1").replace("[write]", f"[write, {call}]")
    report = explored("", "v6.12", text)
    assert ("pin-incoherent" in report.found) is (call == "get")
    assert report.complete is (call == "pin")


BOTH_STORE = """
title: Parent and child store at the same time
machine: {cpus: 2, memory: 128KiB, chunks: 1, levels: 3, table_bits: 2, hugepages: 3}
kernel: v6.12
threads:
  app:
    steps:
      - mmap: {as: buf, PAGES}
      - store: {map: buf, value: 1}
      - fork: {child: kid}
      - store: {map: buf, value: 2}
      - load: {map: buf}
  kid:
    cpu: 1
    steps:
      - store: {map: buf, value: 3}
      - load: {map: buf}
"""


class Private:
    """Each reads what it wrote itself."""

    kind = "leak"
    reads = (StepEnd,)
    relates: ClassVar[Orders] = {}

    def feed(self, event: Event) -> Iterable[Violation]:
        point: StepEnd = event.point
        expected = {"app": "2", "kid": "3"}[point.thread]
        if "load" in point.text and point.result != expected:
            return (violation(self.kind, event, f"{point.thread} reads {point.result}"),)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        return ()


@pytest.mark.parametrize("era", ["v4.20", "v5.9", "v6.12"])
@pytest.mark.parametrize("pages", ["pages: 1", "pages: 4, hugetlb: 2"], ids=["small", "hugetlb"])
def test_no_store_is_seen_by_the_other_process(era: str, pages: str) -> None:
    loaded = load_text(BOTH_STORE.replace("PAGES", pages))
    rules = kernel_of(era, "").rules
    program = scenario_program(loaded.scenario, rules, checkers=(*ALL_CHECKERS, Private))
    report = search(program, Dpor(), limit=300)
    assert not report.found
    assert report.traces > 1
