"""forbidden-dma: what a device may do with a page that it was given for reading."""

import pytest

from gupsim.run import RunResult, run_scenario
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load_text

TEXT = """
title: a device writes through what it was given for reading
machine: {cpus: 1, memory: 256KiB, devices: {nic: {iommu: IOMMU}}}
kernel: v6.12
threads:
  app:
    steps:
      - mmap: {as: buf}
      - store: {map: buf, value: 1}
      - pin: {as: mr, device: nic, map: buf, flags: [FLAGS]}
      - dma_write: {pin: mr, value: 0xAA, as: written}
      - load: {map: buf, as: seen}
      - unpin: {pin: mr}
"""


def run(*, iommu: bool, flags: str) -> RunResult:
    loaded = load_text(TEXT.replace("IOMMU", str(iommu).lower()).replace("FLAGS", flags))
    return run_scenario(loaded, expected_kernel(loaded.scenario, "v6.12"))


def test_without_an_iommu_the_page_changes_although_nobody_may_write() -> None:
    result = run(iommu=False, flags="longterm")
    assert result.kinds == {"forbidden-dma"}
    assert (result.outcome.results["written"], result.outcome.results["seen"]) == ("ok", "0xaa")


def test_an_iommu_stops_it() -> None:
    result = run(iommu=True, flags="longterm")
    assert not result.kinds
    assert (result.outcome.results["written"], result.outcome.results["seen"]) == ("EIO", "0x01")


@pytest.mark.parametrize("iommu", [False, True])
def test_who_was_given_it_for_writing_may_write(iommu: bool) -> None:
    result = run(iommu=iommu, flags="write, longterm")
    assert not result.kinds
    assert (result.outcome.results["written"], result.outcome.results["seen"]) == ("ok", "0xaa")
