"""refcount, pin-leak, misidentified-pin and dma-use-after-free: who holds a page, and whether it is still there."""

import pytest

from gupsim.protocol.dma import DmaStart
from gupsim.protocol.driver import Released
from gupsim.protocol.memmap import MaybePinnedAsked, PageAlloc, PageBadCount, PageFree, PageGet, PagePut
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.pages import Pages
from gupsim.protocol.process import ProcessExit, ProcessForked
from tests.checkers.history import History


def released(history: History, handle: int = 1, how: str = "match") -> None:
    """The driver says that it is done."""
    history.emit("h0/driver/nic", Released("driver/nic", handle, "app", Pages.of((7,)), how))


# refcount


def test_put_page_of_a_pinned_page_is_a_mismatch_and_leaks() -> None:
    history = History()
    history.register(kind="pin")
    history.put(7, "gup", "driver/nic#1", 1026)
    released(history, how="put")
    refcount, leak = history.violations()
    assert (refcount.kind, leak.kind) == ("refcount", "pin-leak")
    assert "dropped page 7 with put_page(), but had taken it with pin_user_pages(): 1023" in refcount.message
    assert refcount.actors == ("h0/memmap", "h0/driver/nic")
    assert "driver/nic#1 still holds 1 pin(s) of page 7" in leak.message


def test_unpin_of_a_page_that_was_got_is_a_mismatch_and_no_leak() -> None:
    history = History()
    history.register(kind="gup")
    history.put(7, "pin", "driver/nic#1", -1022)
    released(history, how="unpin")
    (found,) = history.violations()
    assert found.kind == "refcount"
    assert "loses 1024 instead of 1" in found.message


@pytest.mark.parametrize("kind", ["gup", "pin"])
def test_the_right_partner_is_no_mismatch(kind: str) -> None:
    history = History()
    history.register(kind=kind)
    history.release(kind=kind)
    assert history.kinds() == []


def test_a_put_too_many_is_a_violation_but_not_one_of_the_kernels_own_references() -> None:
    history = History()
    history.register()
    history.release()
    history.put(7, "gup", "driver/nic#1", 0)
    history.put(7, "map", "map:app:0x1000", 0)
    (found,) = history.violations()
    assert "1 time(s) more often than it had taken it" in found.message


def test_a_count_out_of_range_is_reported_once_per_life_of_the_page() -> None:
    history = History()
    history.emit("h0/memmap", PageBadCount(7, "underflow", -1022))
    history.emit("h0/memmap", PageBadCount(7, "underflow", -1023))
    assert history.kinds() == ["refcount"]
    history.free()
    history.emit("h0/memmap", PageBadCount(7, "underflow", -1022))
    assert history.kinds() == ["refcount", "refcount"]


def test_a_page_freed_while_a_driver_holds_it_is_a_violation() -> None:
    history = History()
    history.register(kind="pin")
    history.free(pins=1)
    (found,) = history.violations()
    assert found.message == "page 7 was freed although it still has 1 FOLL_PIN reference(s) of driver/nic#1"
    assert found.actors == ("h0/memmap", "h0/driver/nic")


def test_a_page_freed_while_mapped_is_a_violation_and_one_that_nobody_holds_is_not() -> None:
    mapped = History()
    mapped.free(maps=2)
    assert "2 page-table mapping(s)" in mapped.violations()[0].message
    free = History()
    free.get(7, "alloc", "main")
    free.put(7, "alloc", "main", 0)
    free.get(7, "map", "map:app:0x1000")
    free.put(7, "map", "map:app:0x1000", 0)
    free.free()
    assert free.kinds() == []


# pin-leak


def test_references_that_outlive_their_process_are_a_leak() -> None:
    history = History()
    history.register(kind="pin")
    history.emit("h0/process/app", ProcessExit("app"))
    (found,) = history.violations()
    assert found.kind == "pin-leak"
    assert "process app, for which it took them, is gone" in found.message
    assert found.event is None


def test_a_device_that_is_closed_just_after_the_exit_leaks_nothing() -> None:
    history = History()
    history.register()
    history.emit("h0/process/app", ProcessExit("app"))
    history.put(7, "gup", "driver/nic#1")
    assert history.kinds() == []


def test_what_a_living_owner_holds_at_the_end_is_no_leak() -> None:
    history = History()
    history.register(handle=1)
    history.register(handle=2)
    history.release(handle=1)
    history.emit("h0/process/other", ProcessExit("other"))
    assert history.kinds() == []


@pytest.mark.parametrize(
    ("drivers", "exits", "kinds"),
    [
        (("driver/nic",), ("app",), []),
        (("driver/nic",), ("kid",), []),
        (("driver/nic",), ("app", "kid"), ["pin-leak"]),
        (("driver/gpu",), ("app",), ["pin-leak"]),
    ],
)
def test_a_child_that_has_the_device_open_keeps_what_its_parent_registered(
    drivers: tuple[str, ...], exits: tuple[str, ...], kinds: list[str]
) -> None:
    history = History()
    history.register(kind="pin")
    history.emit("h0/process/kid", ProcessForked("app", "kid", drivers))
    for owner in exits:
        history.emit(f"h0/process/{owner}", ProcessExit(owner))
    assert history.kinds() == kinds


def test_references_in_the_drivers_own_name_are_compared_with_its_living_registrations() -> None:
    history = History()
    for handle in (1, 2):
        history.register(handle=handle)
        history.put(7, "gup", f"driver/nic#{handle}")
        history.get(7, "gup", "driver/nic")
    released(history, handle=1)
    (found,) = history.violations()
    assert found.message == (
        "driver/nic still holds 1 reference(s) of page 7, but the driver released registration 1 of app"
    )


def test_a_leaked_page_that_was_freed_all_the_same_is_the_business_of_refcount() -> None:
    history = History()
    history.register()
    released(history)
    history.free()
    assert history.kinds() == ["refcount"]


# misidentified-pin


def test_a_no_for_a_pinned_page_is_a_violation() -> None:
    history = History()
    history.register(kind="pin")
    history.emit("h0/memmap", MaybePinnedAsked(7, False, "reclaim"))
    (found,) = history.violations()
    assert found.kind == "misidentified-pin"
    assert "reclaim asked" in found.message
    assert "driver/nic#1 has 1 pin(s)" in found.message


@pytest.mark.parametrize(("kind", "answer"), [("pin", True), ("gup", False), ("gup", True)])
def test_a_yes_and_a_no_for_a_plain_reference_are_none(kind: str, answer: bool) -> None:
    history = History()
    history.register(kind=kind)
    history.emit("h0/memmap", MaybePinnedAsked(7, answer, "reclaim"))
    assert history.kinds() == []


def test_frames_of_two_hosts_are_different_frames() -> None:
    history = History()
    history.register(kind="pin")
    history.emit("h1/memmap", MaybePinnedAsked(7, False, "reclaim"))
    assert history.kinds() == []


# dma-use-after-free


def test_dma_into_a_frame_that_was_freed_meanwhile_is_reported_once_per_operation() -> None:
    history = History().cached()
    history.emit("h0/dma/nic", DmaStart("dma/nic", 1, 7, True))
    history.access(chunk=0)
    history.free()
    history.access(chunk=0)
    history.access(chunk=1)
    (found,) = history.violations()
    assert found.kind == "dma-use-after-free"
    assert "which is free" in found.message


def test_dma_into_a_frame_that_belongs_to_somebody_else_by_now_is_a_violation() -> None:
    history = History().cached()
    history.emit("h0/dma/nic", DmaStart("dma/nic", 1, 7, True))
    history.free()
    history.emit("h0/memmap", PageAlloc(7, 0, "anon", 1))
    history.access()
    assert "belongs to 'anon' by now" in history.violations()[0].message


def test_dma_into_a_frame_of_its_own_life_is_none() -> None:
    history = History().cached()
    history.free()
    history.emit("h0/memmap", PageAlloc(7, 0, "anon", 1))
    history.dma()
    history.free()
    assert history.kinds() == []


def test_freeing_a_large_block_frees_all_its_frames() -> None:
    history = History()
    history.emit("h0/memmap", PageAlloc(4, 2, "anon", 0))
    history.emit("h0/dma/nic", DmaStart("dma/nic", 1, 7, True))
    history.emit("h0/memmap", PageFree(4, 2, 0, 0))
    history.access()
    assert history.kinds() == ["dma-use-after-free"]


def test_what_a_call_that_obtained_nothing_still_holds_is_a_leak() -> None:
    history = History()
    history.emit("h0/memmap", PageGet(7, 3, "pin", "driver/nic#1", 3073))
    call = PagesPinned("app", 0x1000, 4, 0, True, "driver/nic#1", -14, Pages(), fast=True)
    history.emit("h0/cpu/0", call)
    (leak,) = history.violations()
    assert (leak.kind, leak.message) == (
        "pin-leak", "driver/nic#1 still holds 3 pin(s) of page 7, but its call returned -14",
    )  # fmt: skip
    history.emit("h0/memmap", PagePut(7, 3, "pin", "driver/nic#1", 1))
    assert history.kinds() == []
