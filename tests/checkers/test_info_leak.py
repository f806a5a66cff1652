"""info-leak, over all interleavings of small programs: who gets to see whose bytes."""

from string import Template

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load_text
from gupsim.search import Dpor, search

MACHINE = """
title: bytes of one and of the other
machine:
  cpus: 1
  memory: 2MiB
  chunks: 1
  levels: 3
  table_bits: 2
  hugepages: 4
  swap: 4
  devices: {nic: {}, gpu: {}}
  disks: {sda: {}}
  filesystems: {ext4: {device: sda, files: {f: {pages: 1}}}}
threads:
"""
KEPT = Template("""
  parent:
    steps:
      - mmap: {as: buf$more}
      - store: {map: buf, value: 0x11}
      - fork: {child: kid}
      - store: {map: buf, value: 0x77}
        after: unmapped
        label: secret
  kid:
    steps:
      - $take
        label: taken
      - munmap: {map: buf}
        label: unmapped
        after: taken
      - $look
        after: secret
""")
"""A child keeps a reference that its page tables know nothing of."""

HUGETLB = ", pages: 4, hugetlb: 2"
SHARED = ", shared: true"
PIPE = ("vmsplice: {as: p, map: buf}", "pipe_read: {pin: p, pages: 1}")
DEVICE = ("pin: {as: p, device: nic, map: buf, flags: [get]}", "dma_read: {pin: p}")

DISK = """
  parent:
    steps:
      - mmap: {as: buf}
      - store: {map: buf, value: 0x11}
      - fork: {child: kid}
      - store: {map: buf, value: 0x77}
        after: unmapped
  kid:
    steps:
      - load: {map: buf}
        label: born
      - direct_io: {file: f, map: buf, dir: write}
  kid2:
    process: kid
    begins: born
    steps:
      - munmap: {map: buf}
        label: unmapped
"""
DEVICE_WRITES = Template("""
  parent:
    steps:
      - mmap: {as: buf}
      - store: {map: buf, value: 0x11}
      - pin: {as: p, device: nic, map: buf, flags: [write, $flag]}
      - fork: {child: kid}
      - store: {map: buf, value: 0x22}
        label: copied
      - dma_write: {pin: p, value: 0x77}
        label: received
      - unpin: {pin: p}
  kid:
    steps:
      - load: {map: buf}
        after: received
""")
LATE_DEVICE = """
  one:
    steps:
      - mmap: {as: mine, pages: 2}
      - store: {map: mine, page: 1, value: 0x11}
      - pin: {as: both, device: nic, map: mine, pages: 2, flags: [get]}
      - unpin: {pin: both}
      - pin: {as: first, device: nic, map: mine, flags: [get]}
      - pin: {as: second, device: gpu, map: mine, page: 1, flags: [get]}
      - unpin: {pin: first, pages: 2}
      - munmap: {map: mine}
        label: gone
      - dma_read: {pin: second}
        after: stored
  two:
    steps:
      - mmap: {as: yours, pages: 2}
        after: gone
      - store: {map: yours, value: 0x77}
      - store: {map: yours, page: 1, value: 0x77}
        label: stored
"""
GIVEN_AWAY = """
  parent:
    steps:
      - mmap: {as: buf}
      - vmsplice: {as: p, map: buf}
      - fork: {child: kid}
      - store: {map: buf, value: 0x77}
        after: unmapped
        label: secret
  kid:
    steps:
      - munmap: {map: buf}
        label: unmapped
      - pipe_read: {pin: p, pages: 1}
        after: secret
"""
LOOKED_OVER = """
  parent:
    steps:
      - mmap: {as: buf}
      - store: {map: buf, value: 0x11}
      - fork: {child: kid}
      - store: {map: buf, value: 0x77}
        label: secret
  kid:
    steps:
      - load: {map: buf}
      - process_vm: {target: parent, map: buf, dir: read}
        after: secret
"""


def kinds(threads: str, kernel: str) -> set[str]:
    """The kinds of violations that some interleaving has."""
    loaded = load_text(MACHINE + threads)
    program = scenario_program(loaded.scenario, expected_kernel(loaded.scenario, kernel).rules)
    report = search(program, Dpor())
    assert report.complete
    return set(report.found)


@pytest.mark.parametrize("kernel", ["v4.20", "v5.7", "v5.9", "v6.12"])
@pytest.mark.parametrize("how", [PIPE, DEVICE], ids=["pipe", "device"])
def test_a_reference_of_a_child_sees_later_stores_while_reuse_goes_by_mapcount(
    how: tuple[str, str], kernel: str
) -> None:
    found = kinds(KEPT.substitute(more="", take=how[0], look=how[1]), kernel)
    assert ("info-leak" in found) is (kernel in ("v4.20", "v5.7"))


@pytest.mark.parametrize("kernel", ["v4.20", "v6.12"])
def test_hugetlb_never_counts_references(kernel: str) -> None:
    assert "info-leak" in kinds(KEPT.substitute(more=HUGETLB, take=PIPE[0], look=PIPE[1]), kernel)


@pytest.mark.parametrize("more", [SHARED, HUGETLB + SHARED], ids=["shmem", "hugetlb"])
def test_what_is_mapped_shared_is_no_secret(more: str) -> None:
    assert "info-leak" not in kinds(KEPT.substitute(more=more, take=PIPE[0], look=PIPE[1]), "v4.20")


@pytest.mark.long
@pytest.mark.parametrize(("kernel", "leaks"), [("v4.20", True), ("v5.9", False)])
def test_a_direct_write_of_a_child_puts_later_stores_on_disk(kernel: str, leaks: bool) -> None:
    assert ("info-leak" in kinds(DISK, kernel)) is leaks


@pytest.mark.parametrize(
    ("kernel", "flag", "leaks"), [("v4.20", "get", True), ("v5.9", "pin", False), ("v6.12", "get", True)]
)
def test_what_a_device_writes_for_a_parent_lands_with_the_child(kernel: str, flag: str, leaks: bool) -> None:
    assert ("info-leak" in kinds(DEVICE_WRITES.substitute(flag=flag), kernel)) is leaks


@pytest.mark.long
def test_a_device_that_kept_an_address_reads_for_whoever_gave_it() -> None:
    assert {"info-leak", "dma-use-after-free"} <= kinds(LATE_DEVICE, "v6.12")


@pytest.mark.parametrize("threads", [GIVEN_AWAY, LOOKED_OVER], ids=["splice", "process_vm"])
def test_what_is_given_or_allowed_is_no_leak(threads: str) -> None:
    assert "info-leak" not in kinds(threads, "v4.20")
