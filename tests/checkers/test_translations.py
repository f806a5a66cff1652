"""stale-tlb and table-use-after-free, over histories written by hand."""

from __future__ import annotations

import pytest

from gupsim.protocol.cpu import CpuAccess, TlbFlush, TlbSpared
from gupsim.protocol.memmap import PageAlloc, PageFree
from gupsim.protocol.mm import MmLayout, Prot
from gupsim.protocol.pagetable import EntryChanged, TableAlloc, TableFree, TableRead
from tests.checkers.history import History

MM, CPU1 = "h0/mm", "h0/cpu/1"
AT = 0x2000
NOTHING, READ = 0, int(Prot.READ)


class Translations(History):
    """A page of app at 0x2000 is frame 7, and CPU 1 has stored to it once."""

    def __init__(self) -> None:
        super().__init__()
        self.emit("h0/memmap", PageAlloc(7, 0, "anon", 0))
        self.entry("rw,dirty", "do_anonymous_page")
        self.access(cached=False)

    def entry(self, now: str, why: str, pfn: int = 7) -> None:
        self.emit(MM, EntryChanged(mm="app", address=AT, pfn=pfn, now=now, why=why))

    def access(self, *, cached: bool = True, write: bool = True, pfn: int = 7) -> None:
        point = CpuAccess(cpu="cpu/1", mm="app", address=AT + 8, pfn=pfn, write=write, cached=cached)
        self.emit(CPU1, point)

    def flushed(self) -> None:
        self.emit(CPU1, TlbFlush(cpu="cpu/1", mm="app", first=AT, count=1, dropped=1))

    def spared(self, why: str = "lazy") -> None:
        self.emit(CPU1, TlbSpared(cpu="cpu/1", mm="app", first=AT, count=1, why=why))

    def returned(self, what: str, allows: int = NOTHING, address: int = AT) -> None:
        self.emit(MM, MmLayout(mm="app", what=what, address=address, pages=1, allows=allows))


def test_a_translation_may_be_used_until_the_system_call_returns() -> None:
    history = Translations()
    history.entry("none", "munmap")
    history.access()
    assert not history.kinds()
    history.returned("munmap")
    history.access()
    (found,) = history.violations()
    assert found.kind == "stale-tlb"
    assert found.message == (
        "cpu/1 stored to page 7 at 0x2000 of app through a translation that it had cached, but munmap of it has"
        " returned"
    )
    assert [event.point.say() for event in found.chain][-2:] == [
        "app: munmap of 1 page(s) at 0x2000",
        "cpu/1 stored to 0x2008 of app (page 7)",
    ]


def test_another_page_is_none_of_its_business() -> None:
    history = Translations()
    history.entry("none", "try_to_unmap")
    history.returned("munmap", address=AT + 0x1000)
    history.access()
    assert not history.kinds()


@pytest.mark.parametrize(("write", "kinds"), [(True, ["stale-tlb"]), (False, [])])
def test_memory_that_became_read_only_may_still_be_read(write: bool, kinds: list[str]) -> None:
    history = Translations()
    history.entry("ro", "mprotect")
    history.returned("mprotect", READ)
    history.access(write=write)
    assert history.kinds() == kinds


def test_an_entry_that_reclaim_cleared_counts_for_mprotect_too() -> None:
    history = Translations()
    history.entry("swap", "try_to_unmap")
    history.returned("mprotect", READ)
    history.access(write=False)  # may be read, and reclaim has not said that it is done
    assert not history.kinds()
    history.access()
    assert history.kinds() == ["stale-tlb"]


def test_after_madvise_only_its_own_changes_count() -> None:
    history = Translations()
    history.entry("none", "page_mkclean")
    history.returned("dontneed")
    history.access()
    assert not history.kinds()
    history.entry("ro", "page_mkclean")
    history.entry("none", "madvise")
    history.returned("dontneed")
    history.access(write=False)
    assert history.kinds() == ["stale-tlb"]


def test_what_is_allowed_again_may_be_used_again() -> None:
    history = Translations()
    history.entry("none", "madvise")
    history.returned("dontneed")
    history.entry("rw,dirty", "do_shared_fault")
    history.access()
    assert not history.kinds()


def test_a_huge_leaf_is_revoked_as_a_whole() -> None:
    history = Translations()
    leaf = EntryChanged(mm="app", address=0, pfn=5, now="rw", why="collapse", level=1, pages=4)
    history.emit(MM, leaf)
    history.emit(MM, EntryChanged(mm="app", address=0, pfn=5, now="none", why="munmap", level=1, pages=4))
    history.returned("munmap")
    history.access(pfn=7)
    assert history.kinds() == ["stale-tlb"]


def test_a_table_that_is_unlinked_says_nothing_of_pages_that_were_never_mapped() -> None:
    history = Translations()
    history.emit(MM, EntryChanged(mm="app", address=0, pfn=-1, now="none", why="free_pgtables", level=1, pages=2))
    history.returned("munmap", address=0)
    history.access()
    assert not history.kinds()


@pytest.mark.parametrize("why", ["lazy", "preempted", "another mm"])
def test_a_cpu_that_was_spared_must_catch_up_before_it_uses_the_translation(why: str) -> None:
    history = Translations()
    history.spared(why)
    history.access()
    assert history.kinds() == ["stale-tlb"]
    caught_up = Translations()
    caught_up.spared(why)
    caught_up.flushed()
    caught_up.access(cached=False)
    caught_up.access()
    assert not caught_up.kinds()


def test_a_frame_is_not_used_after_it_was_freed() -> None:
    history = Translations()
    history.entry("none", "munmap")
    history.emit("h0/memmap", PageFree(7, 0, 0, 0))
    history.access()
    assert history.kinds() == ["stale-tlb"]


def test_nor_after_it_belongs_to_somebody_else() -> None:
    history = Translations()
    history.emit("h0/memmap", PageFree(7, 0, 0, 0))
    history.emit("h0/memmap", PageAlloc(7, 0, "cache", 0))
    history.access()
    assert history.kinds() == ["stale-tlb"]


def test_a_walker_must_find_the_generation_of_a_table_that_it_came_for() -> None:
    history = History()
    history.emit(MM, TableRead(by="app", mm="app", table=2, generation=1, now=1))
    assert not history.kinds()
    history.emit(MM, TableFree(table=2, generation=1, how="flush"))
    history.emit(MM, TableRead(by="app", mm="app", table=2, generation=1, now=0))
    history.emit(MM, TableRead(by="app", mm="app", table=2, generation=1, now=0))
    (found,) = history.violations()
    assert found.kind == "table-use-after-free"
    assert "which was freed (after the TLB flush) and is free" in found.message


def test_a_table_that_is_in_use_again_is_another_one() -> None:
    history = History()
    history.emit(MM, TableFree(table=2, generation=1, how="at once"))
    history.emit(MM, TableAlloc(mm="other", table=2, generation=2, level=0))
    history.emit(MM, TableRead(by="app", mm="app", table=2, generation=1, now=2))
    (found,) = history.violations()
    assert "is in use as generation 2 by now" in found.message
