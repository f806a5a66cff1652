"""What the checkers of TLBs and page tables compare is tried in both orders, and nothing else is."""

from __future__ import annotations

import pytest

from gupsim.protocol.cpu import CpuAccess, TlbFlush
from gupsim.protocol.memmap import PageFree
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import MmLayout
from gupsim.protocol.pagetable import EntryChanged, TableFree, TableRead
from gupsim.search import Dpor, search
from tests.explore.equivalents import kinds_in_both_orders
from tests.explore.test_relations import two_speakers

CACHED = CpuAccess(cpu="cpu/0", mm="app", address=0x1008, pfn=1, write=True, cached=True)
WALKED = CpuAccess(cpu="cpu/0", mm="app", address=0x1008, pfn=1, write=True, cached=False)
MUNMAP = MmLayout(mm="app", what="munmap", address=0, pages=2)
MMAP = MmLayout(mm="app", what="mmap", address=0, pages=2)
ELSEWHERE = MmLayout(mm="app", what="munmap", address=0x2000, pages=2)
ALLOWED = EntryChanged(mm="app", address=0x1000, pfn=1, now="rw", why="do_swap_page")
REVOKED = EntryChanged(mm="app", address=0x1000, pfn=1, now="none", why="munmap")
FREE = PageFree(pfn=1, order=0, maps=0, pins=0)
FLUSH = TlbFlush(cpu="cpu/1", mm="app", first=0x1000, count=1, dropped=0)
READ = TableRead(by="app", mm="app", table=2, generation=1, now=1)
FREED = TableFree(table=2, generation=1, how="rcu")


@pytest.mark.parametrize(
    ("one", "other", "traces"),
    [
        (CACHED, MUNMAP, 2),
        (CACHED, ALLOWED, 2),
        (CACHED, FREE, 2),
        (CACHED, CACHED, 1),
        (CACHED, MMAP, 1),
        (CACHED, ELSEWHERE, 1),
        (CACHED, REVOKED, 1),
        (CACHED, FLUSH, 1),
        (WALKED, MUNMAP, 1),
        (MUNMAP, ALLOWED, 1),
        # Two actors would not know of the order; mm does, from the generation of the table.
        (READ, FREED, 1),
    ],
)
def test_an_access_is_compared_with_what_allows_and_what_forbids_it(
    one: Tracepoint, other: Tracepoint, traces: int
) -> None:
    assert search(two_speakers((one,), (other,)), Dpor()).traces == traces


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "chosen", "kind"),
    [
        ("S18", "v4.20 + arm64 + table_free=ipi", "table-use-after-free"),
        ("S18b", "v4.20 + table_free=ipi", "table-use-after-free"),
        ("S19b", "v3.17", "table-use-after-free"),
        ("S34", "v4.20", "data-loss"),
        ("S50", "v4.20 + flush_pending=ignored", "stale-tlb"),
        ("S50b", "v4.20 + mremap_flush=after_lock", "stale-tlb"),
    ],
)
def test_equivalent_executions_show_the_same_violations(name: str, chosen: str, kind: str) -> None:
    assert kind in kinds_in_both_orders(name, chosen, 500)
