"""What becomes of pages, as the kernel sources of each era have it."""

from __future__ import annotations

import pytest

from gupsim.actors.rules import ERAS
from tests.scenario.by_era import run

SMALL = "{cpus: 1, memory: 64KiB, levels: 2, table_bits: 3, devices: {nic: {}, vf: {driver: vfio}}}"
HUGE = "{cpus: 1, memory: 256KiB, levels: 3, table_bits: 2}"

TOUCHED = """
title: does slow GUP for writing mark the page dirty, so that reclaim keeps what MADV_FREE gave away?
machine: {machine}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - madvise: {{map: buf, advice: free}}
      - pin: {{as: mr, device: nic, map: buf, flags: [{flags}]}}
      - unpin: {{pin: mr}}
      - shrink: {{pages: 4, anon: true, force: true}}
      - {{load: {{map: buf}}, as: seen}}
"""
ZERO_PAGE = f"""
title: a device is given the zero page
machine: {SMALL}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - load: {{map: buf}}
      - pin: {{as: mr, device: vf, map: buf, flags: []}}
      - unpin: {{pin: mr}}
"""
CHARGED = f"""
title: which error of a fixed buffer wins, and what it is charged
machine: {HUGE}
rules: {{thp_enabled: always}}
threads:
  app:
    steps:
      - mmap: {{as: hole}}
      - munmap: {{map: hole}}
      - mmap: {{as: buf, pages: 4, align: 16384}}
      - store: {{map: buf, value: 1}}
      - setrlimit: {{memlock: 3}}
      - setuid: {{uid: 1000}}
      - register_buffers: {{as: part, map: buf, pages: 1}}
"""
SWAPPED = """
title: two processes read a page back that was swapped out
machine: {cpus: 1, memory: 64KiB, levels: 2, table_bits: 3, swap: 4}
threads:
  app:
    steps:
      - mmap: {as: buf}
      - store: {map: buf, value: 0x11}
      - fork: {child: kid}
      - shrink: {pages: 1, anon: true, force: true}
        label: out
      - {load: {map: buf}, as: parent}
      - wait: {time: 1ms}
  kid:
    steps:
      - {load: {map: buf}, as: child, after: out}
      - wait: {time: 1ms}
"""
GIGANTIC = """
title: a whole page of 1 GiB, pinned nine times
machine: {cpus: 1, memory: 2GiB, gigantic_pages: 1, devices: {nic: {}}}
rules: {pin_api: bias_only}
threads:
  app:
    steps:
      - mmap: {as: buf, pages: 262144, hugetlb: 18}
"""


def seen(flags: str, era: str) -> str:
    return run(TOUCHED.format(machine=SMALL[:-1] + ", swap: 4}", flags=flags), era).outcome.results["seen"]


@pytest.mark.parametrize("era", ["v4.20", "v5.12", "v6.12", "v7.3"])
def test_a_reference_for_writing_touches_the_page_and_reclaim_keeps_it(era: str) -> None:
    assert seen("write, get", era) == "0x01"


@pytest.mark.parametrize("era", ["v5.7", "v5.12", "v6.12", "v7.3"])
def test_a_pin_does_not_touch_the_page_and_reclaim_drops_what_was_given_away(era: str) -> None:
    assert seen("write, pin", era) == "0x00"


@pytest.mark.parametrize("era", ERAS)
def test_vfio_gave_the_zero_page_back_wrongly_until_it_was_mended(era: str) -> None:
    leaks = ERAS[era].rules.vfio_zero_page.value == "leaked"
    assert leaks == (era not in {"v5.15.215", *list(ERAS)[list(ERAS).index("v6.1"):]})  # fmt: skip
    result = run(ZERO_PAGE, era)
    assert ("pin-leak" in result.kinds) == leaks


@pytest.mark.parametrize(
    ("era", "want"),
    [("v5.4", "ok"), ("v5.9", "ok"), ("v5.10", "ENOMEM"), ("v6.12", "ENOMEM"), ("v7.3", "ENOMEM")],
)
def test_io_uring_charges_the_whole_huge_page_since_5_10(era: str, want: str) -> None:
    assert run(CHARGED, era).outcome.results["part"] == want


@pytest.mark.parametrize("era", ERAS)
def test_a_page_read_back_from_swap_is_shared_by_all_that_refer_to_its_slot(era: str) -> None:
    result = run(SWAPPED, era)
    assert (result.outcome.results["parent"], result.outcome.results["child"]) == ("0x11", "0x11")
    assert result.outcome.vmstat["nr_anon_pages"] == 1


def test_a_page_of_1_gib_takes_eight_pins_of_all_its_pages_and_refuses_the_ninth() -> None:
    pin = "      - pin: {{as: p{}, device: nic, map: buf, pages: 262144, flags: [write, pin]}}\n"
    result = run(GIGANTIC + "".join(pin.format(number) for number in range(1, 10)), "v6.12")
    pinned = [result.outcome.results[f"p{number}"] for number in range(1, 10)]
    assert pinned == ["262144"] * 8 + ["ENOMEM"]
    assert result.outcome.vmstat["nr_foll_pin_acquired"] == 8 * 262144


OVERFLOWED = f"""
title: a fast pin of a page whose count has become negative
machine: {SMALL}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - pin: {{as: many, device: nic, map: buf, times: 2097152, flags: [write, pin]}}
      - pin: {{as: one, device: nic, map: buf, flags: [write, pin, fast, fast_only]}}
"""


@pytest.mark.parametrize(("era", "warnings", "got"), [("v5.12", 1, "0"), ("v6.12", 1, "0")])
def test_a_fast_pin_of_a_page_that_has_too_many_warns(era: str, warnings: int, got: str) -> None:
    result = run(OVERFLOWED, era)
    assert (result.outcome.results["one"], result.outcome.metrics["kernel_warnings"]) == (got, warnings)


PART = f"""
title: a page of a huge page is given back
machine: {HUGE[:-1]}, cpus: 2}}
rules: {{thp_enabled: always}}
threads:
  app:
    steps:
      - mmap: {{as: buf, pages: 4, align: 16384}}
      - store: {{map: buf, value: 1}}
      - madvise: {{map: buf, page: 1, pages: 1, advice: dontneed}}
"""


@pytest.mark.parametrize("era", ["v4.20", "v5.12", "v6.12"])
def test_a_split_leaf_is_flushed_before_small_entries_stand_in_its_place(era: str) -> None:
    flushes = run(PART.replace("cpus: 1, ", ""), era).outcome.metrics["tlb_flushes"]
    assert flushes == 2  # pmdp_invalidate(), and the page that is given back
