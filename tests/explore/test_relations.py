"""Tracepoints that a checker compares, though no actor orders them, are tried in both orders; others are not."""

from __future__ import annotations

import pytest

from gupsim.actors.base import Actor, Port, handles
from gupsim.checkers import Suite, relates
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.dma import DmaAccess, DmaEnd, DmaStart
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.fs import CacheDrop, FsyncBegin, FsyncEnd
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.memmap import Page, PageAlloc, PageFlags, PageFree, PageGet, PagePut
from gupsim.protocol.memory import MemoryRead, MemoryWrite
from gupsim.protocol.message import Message, Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.pages import Pages
from gupsim.search import Dpor, ExploredWorld, Program, search
from gupsim.trace.live import LiveEvents
from tests.explore.equivalents import kinds_in_both_orders


class Say(Message, frozen=True):
    """Emit tracepoint number `number`."""

    number: int


class Speaker(Actor):
    """Emits tracepoints and has no state at all."""

    def __init__(self, address: str, port: Port, points: tuple[Tracepoint, ...]) -> None:
        super().__init__(address, port)
        self.points = points

    @handles(Say)
    def say(self, msg: Say) -> None:
        self.trace(self.points[msg.number])
        if msg.number + 1 < len(self.points):
            self.send(self.address, Say(msg.number + 1))


def two_speakers(*lines: tuple[Tracepoint, ...]) -> Program[Suite]:
    def build(world: ExploredWorld) -> Suite:
        suite = Suite(stories=False)
        for number, points in enumerate(lines):
            world.add(f"h0/speaker/{number}", Speaker, points)
        compared = relates()
        world.relate_all(lambda port, point: compared(port.address, point))
        world.on_tracepoint(LiveEvents(suite.feed).tracepoint)
        for number in range(len(lines)):
            world.post(f"h0/speaker/{number}", Say(0))
        return suite

    return Program(build, lambda world, suite: suite.finish(world.now))


def write(chunk: int, pfn: int = 1) -> MemoryWrite:
    return MemoryWrite(pfn=pfn, offset=2048 * chunk, length=2048, chunk=chunk, digest=5, by="dma/nic")


ACCESS = DmaAccess(dma="dma/nic", operation=1, pfn=1, offset=0, length=1, to_memory=True)
START = DmaStart(dma="dma/nic", operation=1, pfn=1, to_memory=True)
END = DmaEnd(dma="dma/nic", operation=1, pfn=1, to_memory=True)
ALLOC = PageAlloc(pfn=1, order=0, owner="anon", generation=1)
HUGE = PageAlloc(pfn=0, order=1, owner="thp", generation=1)
FREE = PageFree(pfn=1, order=0, maps=0, pins=0)
BEGIN = FsyncBegin(fs="h0/fs/ext4", ino=1)
RETURN = FsyncEnd(fs="h0/fs/ext4", ino=1, error=0)
FAIL = FsyncEnd(fs="h0/fs/ext4", ino=1, error=-5)
RELEASE = Released(driver="h0/driver/nic", handle=1, owner="app", pfns=Pages.of((1,)), how="unpin")
REGISTER = Registered(driver="h0/driver/nic", handle=1, owner="app", pfns=Pages.of((1,)), pins=True)
STORED = BlockWrite(block="h0/block/sda", lba=0, pfn=1, digests=(1, 2), checked=False, intact=True)
DIRTY = PageFlags(pfn=1, set=int(Page.DIRTY), cleared=0)
LRU = PageFlags(pfn=1, set=0, cleared=int(Page.LRU))
DROP = CacheDrop(pfn=1, fs="h0/fs/ext4", ino=1, index=0, dirty=False, why="reclaim")
READ = MemoryRead(pfn=1, offset=0, length=2048, chunk=0, digest=5, by="block/sda")
GET = PageGet(pfn=1, amount=1, kind="pin", holder="h0/driver/nic", refs=2)
PUT = PagePut(pfn=1, amount=1, kind="pin", holder="h0/driver/nic", refs=1)
UNMAPPED = PagePut(pfn=1, amount=1, kind="map", holder="map:app:0x1000", refs=1)
REPLACED = PageReplaced(mm="app", address=0x1000, old=1, new=2, anon=True, why="wp_page_copy")
PINNED = PagesPinned("app", 0x1000, 1, 5, True, "h0/driver/nic", 1, (1,), True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ACCESS, FREE),
        (ACCESS, ALLOC),
        (ACCESS, HUGE),
        (START, FREE),
        (FREE, ALLOC),
        (write(0), write(1)),
        (write(0), DROP),
        (write(0), ALLOC),
        (write(0), BEGIN),
        (RELEASE, BEGIN),
        (REGISTER, BEGIN),
        (STORED, RETURN),
        (DIRTY, RETURN),
        (PUT, REPLACED),
    ],
    ids=lambda point: type(point).__name__,
)
def test_what_a_checker_compares_is_tried_in_both_orders(one: Tracepoint, other: Tracepoint) -> None:
    report = search(two_speakers((one,), (other,)), Dpor())
    assert report.complete
    assert report.traces == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ACCESS, ACCESS),
        (ACCESS, END),
        (ACCESS, write(0)),
        (write(0), write(0, pfn=2)),
        (write(0), READ),
        (write(0), STORED),
        (write(0), RETURN),
        (STORED, BEGIN),
        (STORED, FAIL),
        (LRU, RETURN),
        (RELEASE, REGISTER),
        (BEGIN, BEGIN),
        (GET, PUT),
        (GET, GET),
        (UNMAPPED, REPLACED),
        (PINNED, REPLACED),
        (REPLACED, REPLACED),
    ],
    ids=lambda point: type(point).__name__,
)
def test_no_other_order_costs_an_execution(one: Tracepoint, other: Tracepoint) -> None:
    assert search(two_speakers((one,), (other,)), Dpor()).traces == 1


def test_a_device_that_is_late_is_found_in_whatever_order_the_search_begins() -> None:
    device, allocator = (START, ACCESS, END), (FREE, ALLOC)
    for lines in ((device, allocator), (allocator, device)):
        report = search(two_speakers(*lines), Dpor())
        assert report.complete
        assert "dma-use-after-free" in report.found


@pytest.mark.parametrize(("name", "era"), [("S03", "v4.20"), ("S03", "v6.12"), ("S04", "v6.12")])
def test_equivalent_executions_of_a_scenario_show_the_same_violations(name: str, era: str) -> None:
    kinds_in_both_orders(name, era, 60)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "chosen", "kind"),
    [
        ("S16", "v5.19 + arm64", "pin-incoherent"),
        ("S21", "v5.12 + arm64", "refcount"),
        ("S22", "v4.20 + fast_protnone=ignored", "pin-incoherent"),
        ("S23", "v3.17 + pte_read=naive", "torn-entry"),
        ("S44", "v4.20 + migrate_order=count_first", "pin-incoherent"),
        ("S49", "v6.12 + fast_gup=x86", "refcount"),
    ],
)
def test_equivalent_executions_of_pins_show_the_same_violations(name: str, chosen: str, kind: str) -> None:
    assert kind in kinds_in_both_orders(name, chosen, 400)
