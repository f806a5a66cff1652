"""What calls return, as the kernel sources of each era have it: a program, and from which era on it sees what."""

from __future__ import annotations

import pytest

from gupsim.actors.rules import ERAS
from tests.scenario.by_era import run

SMALL = "{cpus: 1, memory: 64KiB, levels: 2, table_bits: 3, devices: {nic: {}, gpu: {}, vf: {driver: vfio}}}"
HUGE = "{cpus: 1, memory: 256KiB, levels: 3, table_bits: 2, swap: 8, hugepages: 4, devices: {nic: {}}"

ADVICE = f"""
title: what exists
machine: {HUGE}, memfds: {{m: {{pages: 4}}}}}}
rules: {{thp_enabled: always}}
threads:
  app:
    steps:
      - mmap: {{as: buf, pages: 4, align: 16384}}
      - store: {{map: buf, value: 1}}
      - {{madvise: {{map: buf, advice: free, pages: 1}}, as: free}}
      - {{madvise: {{map: buf, advice: pageout, pages: 1}}, as: pageout}}
      - {{madvise: {{map: buf, advice: populate_write, pages: 1}}, as: populate_write}}
      - {{madvise: {{map: buf, advice: collapse}}, as: collapse}}
      - {{madvise: {{map: buf, advice: wipeonfork, pages: 1}}, as: wipeonfork}}
      - {{mmap: {{as: huge, pages: 4, hugetlb: 2, memfd: 1}}, as: hugetlb_memfd}}
      - {{seal: {{file: m, seals: [future_write]}}, as: future_write}}
      - {{register_buffers: {{as: ring, map: buf, pages: 1}}}}
"""
BOTH = f"""
title: FOLL_GET and FOLL_PIN at once
machine: {SMALL}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - pin: {{as: slow, device: nic, map: buf, flags: [write, get, pin]}}
      - pin: {{as: fast, device: nic, map: buf, flags: [write, get, pin, fast]}}
"""
KILLED = f"""
title: SIGKILL is pending when slow GUP begins
machine: {SMALL}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - wait: {{time: 10us}}
      - pin: {{as: pinned, device: nic, map: buf, flags: [write]}}
  killer:
    steps:
      - signal: {{process: app}}
"""
KILLED_LATE = """
title: SIGKILL comes while slow GUP waits for a page that a fault reads from the disk
machine:
  cpus: 1
  memory: 64KiB
  levels: 2
  table_bits: 3
  devices: {nic: {}}
  disks: {sda: {}}
  filesystems: {ext4: {device: sda, files: {data: {pages: 1, fill: 0x11}}}}
threads:
  app:
    steps:
      - mmap: {as: buf, file: data}
      - pin: {as: pinned, device: nic, map: buf, flags: [write]}
  killer:
    steps:
      - signal: {process: app}
        after: block:read
"""
LONGTERM = f"""
title: long-term references that are no pins, and FOLL_FORCE to the fast call
machine: {SMALL}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - pin: {{as: slow, device: nic, map: buf, flags: [write, get, longterm]}}
      - pin: {{as: fast, device: nic, map: buf, flags: [write, get, longterm, fast]}}
      - pin: {{as: forced, device: nic, map: buf, flags: [write, get, force, fast]}}
"""
COPY = f"""
title: bytes of another process
machine: {SMALL}
threads:
  app:
    steps:
      - mmap: {{as: buf}}
      - store: {{map: buf, value: 1}}
      - fork: {{child: kid}}
      - process_vm: {{dir: write, target: kid, map: buf, value: 3}}
        as: wrote
      - process_vm: {{dir: read, target: kid, map: buf}}
        as: read
  kid:
    steps:
      - wait: {{time: 1ms}}
"""
DONTNEED = f"""
title: MADV_DONTNEED within a huge page, and of one and a bit
machine: {HUGE}}}
threads:
  app:
    steps:
      - mmap: {{as: buf, pages: 8, hugetlb: 2}}
      - store: {{map: buf, value: 0x11}}
      - store: {{map: buf, page: 4, value: 0x22}}
      - {{madvise: {{map: buf, page: 1, pages: 3, advice: dontneed}}, as: within}}
      - {{madvise: {{map: buf, pages: 5, advice: dontneed}}, as: across}}
      - {{load: {{map: buf}}, as: first}}
      - {{load: {{map: buf, page: 4}}, as: second}}
"""
CHILD = f"""
title: may a child store to its copy of a pinned huge page that is mapped read-only?
machine: {HUGE}}}
threads:
  app:
    steps:
      - mmap: {{as: buf, pages: 4, hugetlb: 2}}
      - store: {{map: buf, value: 0x11}}
      - pin: {{as: mr, device: nic, map: buf, flags: [write]}}
      - mprotect: {{map: buf, prot: r}}
      - fork: {{child: kid}}
  kid:
    steps:
      - {{store: {{map: buf, value: 0x22}}, as: stored}}
"""
RANGES = f"""
title: which ranges khugepaged takes
machine: {HUGE}, khugepaged: {{max_ptes_none: 1}}}}
threads:
  app:
    steps:
      - mmap: {{as: holes, pages: 4, align: 16384}}
      - store: {{map: holes, page: 0, value: 1}}
      - store: {{map: holes, page: 1, value: 1}}
      - madvise: {{map: holes, advice: hugepage}}
      - {{collapse: {{map: holes}}, as: two_holes}}
      - store: {{map: holes, page: 2, value: 1}}
      - {{collapse: {{map: holes}}, as: one_hole}}
      - mmap: {{as: kept, pages: 4, align: 16384}}
      - store: {{map: kept, page: 0, value: 1}}
      - store: {{map: kept, page: 1, value: 1}}
      - store: {{map: kept, page: 2, value: 1}}
      - store: {{map: kept, page: 3, value: 1}}
      - madvise: {{map: kept, advice: hugepage}}
      - mprotect: {{map: kept, prot: r}}
      - {{collapse: {{map: kept}}, as: read_only}}
"""
SWAPPED = f"""
title: khugepaged and what is swapped out
machine: {HUGE}, khugepaged: {{max_ptes_swap: 1}}}}
threads:
  app:
    steps:
      - mmap: {{as: buf, pages: 4, align: 16384}}
      - store: {{map: buf, page: 0, value: 1}}
      - store: {{map: buf, page: 1, value: 1}}
      - store: {{map: buf, page: 2, value: 1}}
      - store: {{map: buf, page: 3, value: 1}}
      - madvise: {{map: buf, advice: hugepage}}
      - shrink: {{pages: 2, anon: true, force: true}}
      - {{collapse: {{map: buf}}, as: two}}
      - load: {{map: buf, page: 0}}
      - load: {{map: buf, page: 1}}
      - shrink: {{pages: 1, anon: true, force: true}}
      - {{collapse: {{map: buf}}, as: one}}
"""
DEVICE = f"""
title: what a driver maps, page by page and as registers
machine: {SMALL}
threads:
  app:
    steps:
      - mmap: {{as: dev, device: gpu, pages: 2}}
      - store: {{map: dev, value: 0x11}}
      - pin: {{as: slow, device: nic, map: dev, flags: [write, get]}}
      - pin: {{as: fast, device: nic, map: dev, flags: [write, get, fast]}}
      - fork: {{child: kid}}
      - store: {{map: dev, value: 0x22}}
      - {{dma_read: {{pin: slow}}, as: sent}}
      - unpin: {{pin: slow}}
      - unpin: {{pin: fast}}
      - munmap: {{map: dev}}
        label: unmapped
      - mmap: {{as: regs, device: gpu, backing: registers}}
      - pin: {{as: of_vfio, device: vf, map: regs}}
      - pin: {{as: of_nic, device: nic, map: regs}}
  kid:
    steps:
      - {{load: {{map: dev}}, as: shared, after: unmapped}}
"""

CASES = [
    (ADVICE, "v3.17", {"free": "EINVAL", "wipeonfork": "EINVAL", "hugetlb_memfd": "EINVAL", "ring": "ENOSYS"}),
    (ADVICE, "v4.20", {"free": "ok", "wipeonfork": "ok", "hugetlb_memfd": "ok", "pageout": "EINVAL", "ring": "ENOSYS"}),
    (ADVICE, "v5.4", {"pageout": "ok", "future_write": "ok", "populate_write": "EINVAL", "ring": "ok"}),
    (ADVICE, "v5.15", {"populate_write": "ok", "collapse": "EINVAL"}),
    (ADVICE, "v6.1", {"populate_write": "ok", "collapse": "ok", "free": "ok", "future_write": "ok"}),
    (BOTH, "v3.17", {"slow": "ENOSYS", "fast": "ENOSYS"}),
    (BOTH, "v5.6", {"slow": "1", "fast": "EINVAL"}),
    (BOTH, "v5.7", {"slow": "EINVAL", "fast": "EINVAL"}),
    (KILLED, "v3.17", {"pinned": "ERESTARTSYS"}),
    (KILLED, "v5.7", {"pinned": "EINTR"}),
    (KILLED_LATE, "v3.17", {"pinned": "ERESTARTSYS"}),
    (KILLED_LATE, "v5.7", {"pinned": "EINTR"}),
    (LONGTERM, "v3.17", {"slow": "1", "fast": "1"}),
    (LONGTERM, "v5.6", {"slow": "1", "fast": "1", "forced": "1"}),
    (LONGTERM, "v5.10", {"slow": "EINVAL", "fast": "EINVAL", "forced": "1"}),
    (COPY, "v3.17", {"wrote": "4096", "read": "4096 3"}),
    (DONTNEED, "v3.17", {"within": "EINVAL", "across": "EINVAL", "first": "0x11", "second": "0x22"}),
    (DONTNEED, "v5.19", {"within": "EINVAL", "across": "ok", "first": "0x00", "second": "0x00"}),
    (DONTNEED, "v6.1", {"within": "EINVAL", "across": "ok", "first": "0x00", "second": "0x22"}),
    (CHILD, "v3.17", {"stored": "SIGSEGV"}),
    (CHILD, "v5.12", {"stored": "ok"}),
    (CHILD, "v6.16", {"stored": "SIGSEGV"}),
    (RANGES, "v3.17", {"two_holes": "EBUSY", "one_hole": "ok", "read_only": "EINVAL"}),
    (RANGES, "v6.18", {"two_holes": "EBUSY", "one_hole": "ok", "read_only": "ok"}),
    (SWAPPED, "v3.17", {"two": "EINVAL", "one": "EINVAL"}),
    (SWAPPED, "v4.20", {"two": "EINVAL", "one": "ok"}),
    (DEVICE, "v3.17", {"slow": "1", "fast": "1", "sent": "0x22", "of_vfio": "1", "of_nic": "EFAULT", "shared": "0x22"}),
]


def eras(text: str, first: str) -> list[str]:
    """From an era to the one before the next that the table has of the program."""
    names = list(ERAS)
    begins = [names.index(era) for program, era, _ in CASES if program is text]
    at = names.index(first)
    return names[at : min((begin for begin in begins if begin > at), default=len(names))]


ALL = [pytest.param(text, era, want, id=f"{text.split('title: ')[1].splitlines()[0]} {era}")
       for text, first, want in CASES for era in eras(text, first)]  # fmt: skip


@pytest.mark.parametrize(("text", "era", "want"), ALL)
def test_each_call_returns_what_it_does_in_the_era(text: str, era: str, want: dict[str, str]) -> None:
    result = run(text, era)
    assert {name: result.outcome.results[name] for name in want} == want
    assert not result.kinds


@pytest.mark.parametrize("era", ERAS)
def test_what_an_era_does_not_have_is_refused_without_a_warning(era: str) -> None:
    assert run(ADVICE, era).outcome.metrics["kernel_warnings"] == 0
    assert run(COPY, era).outcome.metrics["kernel_warnings"] == 0


@pytest.mark.parametrize(("era", "warnings"), [("v5.4", 0), ("v5.6", 1), ("v5.7", 2), ("v6.12", 2)])
def test_flags_that_exclude_each_other_are_warned_of(era: str, warnings: int) -> None:
    assert run(BOTH, era).outcome.metrics["kernel_warnings"] == warnings
