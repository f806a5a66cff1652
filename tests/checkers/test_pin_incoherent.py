"""pin-incoherent and torn-entry, on histories written by hand."""

from __future__ import annotations

import pytest

from gupsim.protocol.folio import FolioSplit
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.memmap import Page, PageAlloc, PageFlags, PageGet, PagePut
from gupsim.protocol.mm import Foll, PagesPinned
from gupsim.protocol.pages import Pages
from gupsim.protocol.pagetable import EntryChanged
from gupsim.report.metrics import Metrics
from tests.checkers.history import History

AT = 0x4000
HOLDER = "driver/nic#1"


class Pins(History):
    """Process app, which has page 7 at 0x4000."""

    def __init__(self) -> None:
        super().__init__(placed=False)
        self.emit("h0/memmap", PageAlloc(7, 0, "anon", 0))
        self.maps(7)

    def maps(self, pfn: int, now: str = "rw", why: str = "do_anonymous_page", address: int = AT) -> None:
        self.emit("h0/mm", EntryChanged("app", address, pfn, now, why))

    def pin(self, flags: int, pfn: int = 7, address: int = AT) -> None:
        kind = "pin" if flags & Foll.PIN else "gup"
        self.get(pfn, kind, HOLDER)
        self.emit("h0/cpu/0", PagesPinned("app", address, 1, flags, kind == "pin", HOLDER, 1, Pages.of((pfn,)), True))

    def replace(self, old: int = 7, new: int = 9, *, anon: bool = True, why: str = "wp_page_copy") -> None:
        self.emit("h0/mm", EntryChanged("app", AT, old, "none", why))
        self.emit("h0/mm", EntryChanged("app", AT, new, "rw,dirty", why))
        self.emit("h0/mm", PageReplaced("app", AT, old, new, anon, why))


@pytest.mark.parametrize(
    ("flags", "anon", "promised"),
    [
        (Foll.PIN | Foll.WRITE, True, True),
        (Foll.GET | Foll.WRITE, True, True),
        (Foll.GET | Foll.WRITE, False, True),
        (Foll.PIN, True, True),
        (Foll.PIN, False, False),
        (Foll.PIN | Foll.LONGTERM, False, True),
        (Foll.GET | Foll.LONGTERM, True, True),
        (Foll.GET, True, False),
    ],
)
def test_which_calls_promise_that_the_page_stays_where_it_is(flags: int, anon: bool, promised: bool) -> None:
    history = Pins()
    history.pin(flags)
    history.replace(anon=anon)
    assert history.kinds() == ["pin-incoherent"] * promised


def test_a_page_that_was_given_back_may_be_replaced() -> None:
    history = Pins()
    history.pin(Foll.PIN | Foll.WRITE)
    history.put(7, "pin", HOLDER)
    history.replace()
    assert history.kinds() == []


def test_a_walk_that_returns_a_page_which_was_replaced_meanwhile_is_told_once() -> None:
    history = Pins()
    history.replace(why="collapse_huge_page")
    history.pin(Foll.PIN | Foll.WRITE)
    history.pin(Foll.PIN | Foll.WRITE, pfn=9)
    (found,) = history.violations()
    assert found.pfn == 7
    assert found.message.startswith("collapse_huge_page replaced page 7 of app at 0x4000 by page 9")
    assert "h0/driver/nic" in found.actors


def test_an_old_page_that_is_mapped_there_again_is_right_again() -> None:
    history = Pins()
    history.replace()
    history.maps(9, "none", "munmap")
    history.maps(7)
    history.pin(Foll.PIN | Foll.WRITE)
    assert history.kinds() == []


@pytest.mark.parametrize("why", ["madvise", "munmap", "move_ptes"])
def test_what_a_process_does_to_its_own_mapping_is_counted_and_no_violation(why: str) -> None:
    history = Pins()
    history.pin(Foll.PIN | Foll.WRITE)
    history.maps(7, "none", why)
    history.maps(9)
    assert history.kinds() == []
    metrics = Metrics()
    for event in history.events:
        metrics.feed(event)
    assert metrics.values()["pins_moved_by_user"] == 1


def test_pins_of_a_huge_page_are_followed_through_its_split() -> None:
    history = Pins()
    history.emit("h0/memmap", PageAlloc(16, 1, "anon", 0))
    history.maps(17)
    history.emit("h0/memmap", PageGet(16, 1, "pin", HOLDER, 2))
    history.emit("h0/cpu/0", PagesPinned("app", AT, 1, 5, True, HOLDER, 1, Pages.of((17,)), True))
    history.emit("h0/memmap", FolioSplit(16, 1, 2))
    history.emit("h0/memmap", PagePut(16, 1, "pin", "driver/gpu#1", 1))
    history.replace(old=17)
    assert "pin-incoherent" in history.kinds()


def test_the_put_of_a_tail_is_the_put_of_its_huge_page() -> None:
    history = Pins()
    history.emit("h0/memmap", PageAlloc(16, 1, "anon", 0))
    history.maps(17)
    history.emit("h0/memmap", PageGet(16, 1, "pin", HOLDER, 2))
    history.emit("h0/cpu/0", PagesPinned("app", AT, 1, 5, True, HOLDER, 1, Pages.of((17,)), True))
    history.emit("h0/memmap", PagePut(16, 1, "pin", HOLDER, 1))
    history.replace(old=17)
    assert history.kinds() == []


def test_a_page_that_never_stood_at_an_address_was_read_in_two_halves() -> None:
    history = Pins()
    history.maps(7, "none", "madvise")
    history.maps(9)
    history.pin(Foll.PIN, pfn=7)
    history.pin(Foll.PIN, pfn=9)
    history.pin(Foll.PIN, pfn=5)
    assert history.kinds() == ["torn-entry"]


def test_every_page_of_a_huge_leaf_stands_at_its_own_address() -> None:
    history = Pins()
    history.emit("h0/mm", EntryChanged("app", 0x8000, 16, "rw", "huge", 1))
    history.pin(Foll.PIN, pfn=17, address=0x9000)
    history.pin(Foll.PIN, pfn=18, address=0x9000)
    assert history.kinds() == ["torn-entry"]


def test_a_reference_on_what_is_no_page_of_memory_is_a_refcount_violation() -> None:
    history = Pins()
    history.emit("h0/memmap", PageFlags(7, Page.RESERVED, 0))
    history.get(7, "gup", HOLDER)
    (found,) = history.violations()
    assert (found.kind, found.actors) == ("refcount", ("h0/memmap", "h0/driver/nic"))
