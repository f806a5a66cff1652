"""The way out for mappings: entries, then translations, then pages and page tables."""

from __future__ import annotations

from typing import Any

import pytest

from gupsim.actors.rules.tables import (
    FlushPending,
    MremapFlush,
    ReclaimFlush,
    TableBatch,
    TableFree,
    TableSingleUser,
    TableSync,
    TlbFlush,
)
from gupsim.checkers import check_events
from gupsim.protocol import memmap, mm
from gupsim.protocol.cpu import TlbFlush as Flushed
from gupsim.protocol.memmap import PageFree
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.pagetable import EntryChanged, TableAlloc
from gupsim.protocol.pagetable import TableFree as TableFreed
from gupsim.trace.records import Event
from tests.actors.anon_world import APP, MEMMAP, MM, PAGE_SIZE, Foll, Prot, Script, run
from tests.actors.test_tlb import READ_ONLY, of, on_cpu1


def small(body: Any, **rules: Any) -> tuple[Any, list[Tracepoint]]:
    """On page tables of 4 entries: 16 pages in a pmd, 4 in a page table."""
    return run(body, levels=3, bits=2, **rules)


async def two_mappings(script: Script) -> tuple[int, int]:
    """A page table of their own each: addresses of page 0 and of the page in the next table."""
    first = (await script.ask(MM, mm.Mmap(APP, 4, int(Prot.READ | Prot.WRITE), False, align=4 * PAGE_SIZE))).address
    second = await script.anon()
    for address in (first, first + PAGE_SIZE, second):
        await script.store(address, 7)
    return first, second


def order(seen: list[Tracepoint], *kinds: type[Tracepoint]) -> list[str]:
    """Which of some kinds came in which order, without repetitions."""
    names = [type(point).__name__ for point in seen if isinstance(point, kinds)]
    return [name for number, name in enumerate(names) if not number or names[number - 1] != name]


def test_a_page_table_goes_when_no_mapping_is_in_its_reach() -> None:
    async def body(script: Script) -> None:
        first, second = await two_mappings(script)
        await script.ask(MM, mm.Munmap(APP, first + 2 * PAGE_SIZE, 2))
        await script.ask(MM, mm.Munmap(APP, second, 1))
        await script.ask(MM, mm.Munmap(APP, first, 2))

    seen = small(body)[1]
    unlinked = [(point.level, point.address) for point in of(EntryChanged, seen, why="free_pgtables")]
    assert [level for level, _ in unlinked] == [1, 1, 2]
    assert unlinked[0][1] > unlinked[1][1] >= unlinked[2][1]  # second's table, first's, and the one above both


def test_pages_and_tables_go_after_the_flush() -> None:
    async def body(script: Script) -> None:
        first, _ = await two_mappings(script)
        await script.ask(MM, mm.Munmap(APP, first, 4))

    seen = small(body)[1]
    begin = seen.index(of(EntryChanged, seen, why="munmap")[0])
    steps = order(seen[begin:], EntryChanged, Flushed, TableFreed, PageFree)
    assert steps == ["EntryChanged", "TlbFlush", "TableFree", "PageFree"]


def test_madvise_dontneed_frees_pages_and_no_table() -> None:
    async def body(script: Script) -> object:
        first, _ = await two_mappings(script)
        await script.ask(MM, mm.MadviseDontneed(APP, first, 4))
        return await script.load(first)

    result, seen = small(body)
    assert result == (0, "")
    assert len(of(PageFree, seen)) == 2
    assert not of(TableFreed, seen)


def test_exit_frees_every_table() -> None:
    async def body(script: Script) -> None:
        await two_mappings(script)
        await script.ask(MM, mm.ExitMm(APP))

    seen = small(body)[1]
    assert sorted(point.table for point in of(TableFreed, seen)) == [1, 2, 3, 4]
    assert len(of(PageFree, seen)) == 3


def test_a_freed_table_is_used_again_under_a_new_generation() -> None:
    async def body(script: Script) -> object:
        first, second = await two_mappings(script)
        await script.ask(MM, mm.Munmap(APP, second, 1))
        there = await script.anon()
        await script.store(there, 9)
        return await script.load(there), await script.load(first)

    result, seen = small(body)
    assert result == ((9, ""), (7, ""))
    assert [(point.table, point.generation) for point in of(TableAlloc, seen)] == [(4, 2)]


@pytest.mark.parametrize(
    ("how", "rules"),
    [
        ("flush", {}),
        ("rcu", {"table_free": TableFree.RCU}),
        ("sync", {"table_free": TableFree.RCU, "table_batch": TableBatch.FAILS}),
        ("at once", {"table_free": TableFree.RCU, "table_batch": TableBatch.FAILS, "table_sync": TableSync.NONE}),
        ("at once", {"table_free": TableFree.RCU, "table_single_user": TableSingleUser.SHORTCUT}),
        ("flush", {"table_single_user": TableSingleUser.SHORTCUT}),
    ],
)
def test_what_a_table_waits_for_is_a_rule(how: str, rules: dict[str, Any]) -> None:
    async def body(script: Script) -> None:
        _, second = await two_mappings(script)
        await script.ask(MM, mm.Munmap(APP, second, 1, users=1))

    assert [point.how for point in of(TableFreed, small(body, **rules)[1])] == [how]


@pytest.mark.parametrize(
    ("rules", "safe"),
    [
        ({"table_free": TableFree.RCU}, True),
        ({"table_free": TableFree.IPI}, False),
        ({"table_free": TableFree.RCU, "table_batch": TableBatch.FAILS}, True),
    ],
)
def test_a_broadcast_needs_more_than_the_flush(rules: dict[str, Any], safe: bool) -> None:
    def kinds(delay: int) -> set[str]:
        async def body(script: Script) -> None:
            address = await script.anon(4)
            for page in range(4):
                await script.store(address + page * PAGE_SIZE, 1)

            async def unmap() -> None:
                await script.sleep(delay)
                await script.ask(MM, mm.Munmap(APP, address, 4))

            script.start(unmap(), "other")
            await script.gup(address, 4, Foll.PIN | Foll.WRITE | Foll.FAST_ONLY, fast=True)

        seen = small(body, tlb_flush=TlbFlush.BROADCAST, **rules)[1]
        return {found.kind for found in check_events(events(seen))}

    found = {kind for delay in range(0, 2_000, 50) for kind in kinds(delay)}
    assert ("table-use-after-free" not in found) is safe


def events(seen: list[Tracepoint]) -> list[Event]:
    """As checkers are fed. Who said it does not matter here, but the host."""
    return [Event(number, number, "h0/mm", ("h0/mm", number), "", point) for number, point in enumerate(seen)]


def test_mremap_moves_the_pages_and_leaves_nothing_behind() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(3)
        for page in (0, 2):
            await script.store(address + page * PAGE_SIZE, 7 + page)
        pfn = (await script.gup(address)).pfns[0]
        before = await script.ask(MEMMAP, memmap.ReadCounts(pfn))
        there = (await script.ask(MM, mm.Mremap(APP, address, 3))).address
        after = await script.ask(MEMMAP, memmap.ReadCounts(pfn))
        old = await script.load(address)
        new = [await script.load(there + page * PAGE_SIZE) for page in range(3)]
        await script.ask(MM, mm.Munmap(APP, there, 3))
        return before == after, old, new, (await script.ask(MEMMAP, memmap.ReadCounts(pfn))).maps

    for rule in MremapFlush:
        result, seen = small(body, mremap_flush=rule)
        assert result == (True, (-1, "SIGSEGV"), [(7, ""), (0, ""), (9, "")], 0)
        assert not {found.kind for found in check_events(events(seen))} & {"refcount", "stale-tlb"}


def test_mremap_beyond_the_mapping_is_refused() -> None:
    async def body(script: Script) -> object:
        address = await script.anon(2)
        return (await script.ask(MM, mm.Mremap(APP, address, 3))).address

    assert small(body)[0] == -14


@pytest.mark.parametrize(("rule", "flushes"), [(ReclaimFlush.AT_ONCE, 1), (ReclaimFlush.DEFERRED, 0)])
def test_reclaim_may_put_its_flush_off(rule: ReclaimFlush, flushes: int) -> None:
    async def body(script: Script) -> object:
        address = await script.anon()
        await script.store(address, 7)
        pfn = (await script.gup(address, flags=Foll.GET | Foll.WRITE)).pfns[0]
        unmapped = await script.ask(MM, mm.TryToUnmap(pfn, 0))
        if unmapped.owed:
            await script.store(address, 8)  # through the translation that is still there
        await script.ask(MM, mm.TryToUnmapFlush())
        return unmapped.owed, unmapped.dirty

    (owed, dirty), seen = run(body, reclaim_flush=rule)
    unmapped = seen.index(of(EntryChanged, seen, why="try_to_unmap")[0])
    done = next(number for number, point in enumerate(seen) if type(point).__name__ == "Unmap")
    assert (owed, dirty) == ((True, True) if rule is ReclaimFlush.DEFERRED else (False, False))
    assert len([point for point in seen[unmapped:done] if isinstance(point, Flushed)]) == flushes
    if owed:
        assert [point.count for point in seen[done:] if isinstance(point, Flushed)] == [0]


@pytest.mark.parametrize("pending", FlushPending)
def test_whoever_changes_entries_looks_for_a_flush_that_reclaim_owes(pending: FlushPending) -> None:
    async def body(script: Script) -> str:
        address = await script.anon()
        await on_cpu1(script, address)
        pfn = (await script.gup(address, flags=Foll.GET | Foll.WRITE)).pfns[0]
        await script.ask(MM, mm.TryToUnmap(pfn, 0))
        await script.ask(MM, mm.Mprotect(APP, address, 1, READ_ONLY))
        return await on_cpu1(script, address, 2)

    signal, seen = run(body, reclaim_flush=ReclaimFlush.DEFERRED, flush_pending=pending)
    found = {found.kind for found in check_events(events(seen))}
    if pending is FlushPending.IGNORED:
        assert signal == ""
        assert "stale-tlb" in found
    else:
        assert signal == "SIGSEGV"
        assert "stale-tlb" not in found
