"""starvation: steps with a bound, in a timed run and over all interleavings."""

from string import Template

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.run import run_scenario
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load_text
from gupsim.search import Dpor, search

SYNC = Template("""
title: a sync that has to wait until a page is given back
$default
machine:
  cpus: 2
  memory: 64KiB
  chunks: 1
  levels: 2
  table_bits: 3
  devices: {nic: {}}
  disks: {sda: {blocks: 16}}
  filesystems: {ext4: {device: sda, files: {data: {pages: 1}}}}
kernel: v5.12
policies: [wait-for-unpin]
threads:
  app:
    steps:
      - mmap: {as: buf, file: data}
      - pin: {as: mr, device: nic, map: buf, flags: [write, longterm, pin]}
      - dma_write: {pin: mr, value: 0x77}
        label: pinned
      - wait: {time: 5ms}
      - unpin: {pin: mr}
  admin:
    cpu: 1
    steps:
      - sync: {}
        after: pinned
        $bound
""")


def text(bound: str = "", default: str = "") -> str:
    return SYNC.substitute(bound=bound and f"within: {bound}", default=default and f"within: {default}")


def ran(scenario: str) -> frozenset[str]:
    loaded = load_text(scenario)
    return run_scenario(loaded, expected_kernel(loaded.scenario, "v5.12")).kinds


def found(scenario: str) -> set[str]:
    loaded = load_text(scenario)
    report = search(scenario_program(loaded.scenario, expected_kernel(loaded.scenario, "v5.12").rules), Dpor())
    assert report.complete
    return set(report.found)


@pytest.mark.parametrize("play", [ran, found])
def test_who_waits_longer_than_allowed_starves(play: object) -> None:
    assert callable(play)
    assert "starvation" in play(text("1ms"))
    assert "starvation" not in play(text("20ms"))
    assert "starvation" not in play(text())


def test_a_bound_for_all_steps_does_not_hold_for_a_wait() -> None:
    assert "starvation" in ran(text(default="1ms"))
    assert "starvation" not in ran(text(bound="20ms", default="4ms"))


def test_what_never_ends_starves() -> None:
    endless = text("1ms").replace("      - unpin: {pin: mr}\n", "")
    assert "starvation" in ran(endless)
