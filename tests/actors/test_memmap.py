"""struct page: what B3 says about counts and pins in every era, and what else a page is asked for."""

import errno
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from msgspec.structs import replace

from gupsim.actors.base import Actor, Port, Recorder, handles
from gupsim.actors.base.footprint import COMMUTE, READ, conflict
from gupsim.actors.memmap import Memmap
from gupsim.actors.memory import Memory
from gupsim.actors.rules import ERAS, KernelRules, RuleValue
from gupsim.actors.rules.pins import DebugVm, PinApi, ZeroPagePin
from gupsim.engine.core import Item
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.engine import ContextLost, LockContended, LockGranted
from gupsim.protocol.kernel import Boot, KernelBug, KernelWarning
from gupsim.protocol.memmap import (
    AddMaps,
    AllocPages,
    ChangeFlags,
    Counts,
    FreeFrozen,
    FreezeRefs,
    GetRefs,
    GrabFolio,
    LockPage,
    MaybeDmaPinned,
    MaybePinnedAsked,
    Page,
    PageAlloc,
    PageBadCount,
    PageFlags,
    PageFree,
    PageGet,
    PageMapped,
    PagePut,
    PutRefs,
    ReadCounts,
    ReadFlags,
    ReadMapping,
    ReadVmstat,
    SetMapping,
    ToPin,
    TryGet,
    TryLockPage,
    UnfreezeRefs,
    UnlockPage,
    UnpinRefs,
    WaitUnpinned,
    WaitWriteback,
)
from gupsim.protocol.memory import MemoryZero
from gupsim.protocol.message import Request, Tracepoint
from gupsim.protocol.reclaim import LruDel

MEMMAP = "h0/memmap"
NIC = "driver/nic#1"
COUNTING = ("v5.12", "v5.19", "v6.12")


class Script(Actor):
    """Runs a coroutine of the test as one kernel context."""

    def __init__(self, address: str, port: Port, body: Callable[["Script"], Coroutine[Any, Any, None]]) -> None:
        super().__init__(address, port)
        self.body = body
        self.pfn = -1

    @handles(Boot)
    async def boot(self, msg: Boot) -> None:
        await self.body(self)

    async def alloc(self, order: int = 0) -> int:
        answer = await self.ask(MEMMAP, AllocPages("test", order))
        return answer.pfn

    async def counts(self, pfn: int) -> Counts:
        return await self.ask(MEMMAP, ReadCounts(pfn))

    async def refs(self, pfn: int) -> int:
        return (await self.counts(pfn)).refs

    async def yes(self, request: Any) -> bool:
        answer = await self.ask(MEMMAP, request)
        return bool(answer.yes)

    async def error(self, request: Any) -> int:
        answer = await self.ask(MEMMAP, request)
        return int(answer.error)

    async def vmstat(self) -> dict[str, int]:
        return dict((await self.ask(MEMMAP, ReadVmstat())).counters)


class Reclaim(Actor):
    """Stands for vmscan: hears which pages were freed while on a list."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.gone: list[int] = []

    @handles(LruDel)
    def deleted(self, msg: LruDel) -> None:
        self.gone.append(msg.pfn)


Body = Callable[[Script], Coroutine[Any, Any, None]]


class Played:
    """A small host after its scripts have run."""

    def __init__(
        self, *bodies: Body, era: str = "v6.12", frames: int = 64, recorder: Recorder | None = None, **rules: RuleValue
    ) -> None:
        self.world = TimedWorld(recorder=recorder)
        self.points: list[Tracepoint] = []
        self.world.on_tracepoint(lambda _, point: self.points.append(point))
        kernel: KernelRules = replace(ERAS[era][0], **rules)
        self.memmap = self.world.add(MEMMAP, Memmap, rules=kernel, frames=frames)
        self.world.add("h0/memory", Memory, frames=frames, chunk=2048)
        self.reclaim = self.world.add("h0/reclaim", Reclaim)
        for number, body in enumerate(bodies):
            self.world.add(f"h0/script/{number}", Script, body)
        for number in range(len(bodies)):
            self.world.post(f"h0/script/{number}", Boot(), at=number * 10_000, context=f"thread{number}")
        self.done = False

    def run(self) -> "Played":
        self.world.run_all(100_000)
        return self

    def of(self, kind: type[Tracepoint]) -> list[Any]:
        return [point for point in self.points if type(point) is kind]

    def ledger(self) -> dict[tuple[int, str, str], int]:
        """References by page, kind and holder, as a checker of the tracepoints keeps them."""
        held: dict[tuple[int, str, str], int] = {}
        for point in self.points:
            if isinstance(point, PageGet | PagePut):
                key = (point.pfn, point.kind, point.holder)
                held[key] = held.get(key, 0) + (point.amount if isinstance(point, PageGet) else -point.amount)
        return {key: amount for key, amount in held.items() if amount}


def play(*bodies: Body, **options: Any) -> Played:
    return Played(*bodies, **options).run()


# The table of B3: what each operation adds, on small and large folios, in every era.


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("order", [0, 1, 2, 9])
def test_foll_get_adds_one_per_page_and_put_takes_it_back(era: str, order: int) -> None:
    pages = 1 << order

    async def body(script: Script) -> None:
        pfn = await script.alloc(order)
        assert await script.error(GrabFolio(pfn, pages, pin=False, holder=NIC)) == 0
        assert await script.refs(pfn) == 1 + pages
        assert not await script.yes(PutRefs(pfn, pages, "gup", NIC))
        assert await script.refs(pfn) == 1
        vmstat = await script.vmstat()
        assert vmstat["nr_foll_pin_acquired"] == vmstat["nr_foll_pin_released"] == 0

    assert play(body, era=era, frames=2048).of(PageBadCount) == []


@pytest.mark.parametrize(
    ("era", "order", "refs", "pins", "counted"),
    [
        ("v4.20", 0, 1, 0, 0), ("v5.6", 0, 1, 0, 0), ("v5.6", 2, 4, 0, 0),
        ("v5.12", 0, 1024, 1, 1), ("v5.12", 1, 2048, 2, 2), ("v5.12", 2, 4, 4, 4), ("v5.12", 9, 512, 512, 512),
        ("v5.19", 0, 1024, 1, 1), ("v5.19", 1, 2, 2, 2), ("v5.19", 2, 4, 4, 4), ("v6.12", 9, 512, 512, 512),
    ],
)  # fmt: skip
def test_foll_pin_adds_what_the_era_and_the_size_of_the_folio_say(
    era: str, order: int, refs: int, pins: int, counted: int
) -> None:
    pages = 1 << order

    async def body(script: Script) -> None:
        pfn = await script.alloc(order)
        assert await script.error(GrabFolio(pfn, pages, pin=True, holder=NIC)) == 0
        assert await script.refs(pfn) == 1 + refs
        assert played.memmap.counts.pins.data[pfn] == pins
        assert await script.yes(MaybeDmaPinned(pfn, "test")) is bool(counted)
        assert not await script.yes(UnpinRefs(pfn, pages, NIC))
        assert await script.refs(pfn) == 1
        assert not await script.yes(MaybeDmaPinned(pfn, "test"))
        vmstat = await script.vmstat()
        assert vmstat["nr_foll_pin_acquired"] == vmstat["nr_foll_pin_released"] == counted

    played = Played(body, era=era, frames=2048)
    played.run()
    assert played.of(PageBadCount) == []
    kind = "pin" if counted else "gup"
    assert [(point.kind, point.amount) for point in played.of(PageGet) if point.holder == NIC] == [(kind, pages)]
    assert [(point.kind, point.amount) for point in played.of(PagePut)] == [(kind, pages)]


@pytest.mark.parametrize(("era", "order"), [(era, order) for era in COUNTING for order in (0, 1, 2)])
def test_a_fast_pin_takes_a_plain_reference_first_and_ends_like_a_slow_one(era: str, order: int) -> None:
    async def body(script: Script) -> None:
        fast, slow = await script.alloc(order), await script.alloc(order)
        assert await script.yes(TryGet(fast, 1, NIC))
        assert await script.refs(fast) == 2
        assert not await script.yes(MaybeDmaPinned(fast, "test"))
        await script.ask(MEMMAP, ToPin(fast, 1, NIC))
        await script.ask(MEMMAP, GrabFolio(slow, 1, pin=True, holder=NIC))
        assert await script.refs(fast) == await script.refs(slow)
        assert await script.yes(MaybeDmaPinned(fast, "test"))
        await script.ask(MEMMAP, UnpinRefs(fast, 1, NIC))
        assert await script.refs(fast) == 1

    played = play(body, era=era)
    assert [(point.kind, type(point).__name__) for point in played.points
            if isinstance(point, PageGet | PagePut) and point.pfn == 1 << order and point.holder == NIC] == [
        ("gup", "PageGet"), ("gup", "PagePut"), ("pin", "PageGet"), ("pin", "PagePut"),
    ]  # fmt: skip


@pytest.mark.parametrize("era", ["v4.20", "v5.6"])
def test_before_pins_are_counted_a_fast_pin_is_a_plain_reference(era: str) -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, TryGet(pfn, 1, NIC))
        await script.ask(MEMMAP, ToPin(pfn, 1, NIC))
        assert await script.refs(pfn) == 2

    assert play(body, era=era).ledger() == {(1, "alloc", "thread0"): 1, (1, "gup", NIC): 1}


def test_a_page_of_a_large_folio_is_unpinned_on_its_own() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc(2)
        await script.ask(MEMMAP, GrabFolio(pfn, 4, pin=True, holder=NIC))
        await script.ask(MEMMAP, UnpinRefs(pfn + 3, 1, NIC))
        assert await script.refs(pfn) == 4
        assert await script.yes(MaybeDmaPinned(pfn + 1, "test"))

    assert play(body).ledger() == {(4, "alloc", "thread0"): 1, (4, "pin", NIC): 3}


@pytest.mark.parametrize(
    ("era", "refs"), [("v4.20", 2), ("v5.6", 2), ("v5.12", 1025), ("v5.19", 1025), ("v6.1", 1025), ("v6.12", 1)]
)
def test_the_zero_page_is_pinned_for_real_until_six_five(era: str, refs: int) -> None:
    async def body(script: Script) -> None:
        assert await script.error(GrabFolio(0, 1, pin=True, holder=NIC)) == 0
        assert await script.refs(0) == refs
        assert not await script.yes(UnpinRefs(0, 1, NIC))
        assert await script.refs(0) == 1

    assert play(body, era=era).of(PageBadCount) == []


def test_a_fast_pin_of_the_zero_page_leaves_nothing_behind_where_such_pins_are_ignored() -> None:
    async def body(script: Script) -> None:
        await script.ask(MEMMAP, TryGet(0, 1, NIC))
        await script.ask(MEMMAP, ToPin(0, 1, NIC))
        assert await script.refs(0) == 1

    assert play(body, zero_page_pin=ZeroPagePin.IGNORED).ledger() == {}


def test_the_zero_page_is_never_freed() -> None:
    async def body(script: Script) -> None:
        assert not await script.yes(PutRefs(0, 1, "gup", NIC))

    played = play(body)
    assert played.of(PageFree) == []
    assert played.of(PageBadCount) == [PageBadCount(pfn=0, what="underflow", refs=0)]


# The mismatch table of B3: a release with the wrong call (S31).


@pytest.mark.parametrize("era", COUNTING)
def test_a_small_page_that_was_pinned_and_then_put_leaks_1023_references_and_looks_pinned_for_ever(era: str) -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=True, holder=NIC))
        assert not await script.yes(PutRefs(pfn, 1, "gup", NIC))
        assert await script.refs(pfn) == 1024
        assert await script.yes(MaybeDmaPinned(pfn, "test"))
        assert not await script.yes(PutRefs(pfn, 1, "alloc", "thread0"))
        assert await script.refs(pfn) == 1023

    played = play(body, era=era)
    assert played.of(PageFree) == played.of(PageBadCount) == []
    assert played.ledger() == {(1, "pin", NIC): 1, (1, "gup", NIC): -1}


def test_a_large_folio_that_was_pinned_and_then_put_stays_pinned_until_it_is_freed() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc(2)
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=True, holder=NIC))
        assert not await script.yes(PutRefs(pfn, 1, "gup", NIC))
        assert await script.refs(pfn) == 1
        assert await script.yes(MaybeDmaPinned(pfn, "test"))
        assert await script.yes(PutRefs(pfn, 1, "alloc", "thread0"))

    assert play(body).of(PageFree) == [PageFree(pfn=4, order=2, maps=0, pins=1)]


def test_a_small_page_that_was_got_and_then_unpinned_underflows() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=False, holder=NIC))
        assert not await script.yes(UnpinRefs(pfn, 1, NIC))
        assert await script.refs(pfn) == 2 - 1024

    assert play(body).of(PageBadCount) == [PageBadCount(pfn=1, what="underflow", refs=-1022)]


def test_an_unpin_of_a_page_that_was_only_got_can_free_it_under_a_real_pinner() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=True, holder=NIC))
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=False, holder="driver/gpu#1"))
        assert not await script.yes(UnpinRefs(pfn, 1, "driver/gpu#1"))
        assert not await script.yes(MaybeDmaPinned(pfn, "test"))  # a false negative: the nic still writes
        assert not await script.yes(PutRefs(pfn, 1, "gup", "driver/gpu#1"))
        assert await script.yes(PutRefs(pfn, 1, "alloc", "thread0"))

    assert play(body).ledger()[1, "pin", NIC] == 1


def test_a_large_folio_that_was_got_and_then_unpinned_hides_a_real_pinner() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc(2)
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=False, holder="driver/gpu#1"))
        await script.ask(MEMMAP, UnpinRefs(pfn, 1, "driver/gpu#1"))
        assert await script.refs(pfn) == 1
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=True, holder=NIC))
        assert not await script.yes(MaybeDmaPinned(pfn, "test"))

    played = play(body)
    assert played.of(MaybePinnedAsked) == [MaybePinnedAsked(pfn=4, answer=False, by="test")]
    assert played.of(PageBadCount) == [PageBadCount(pfn=4, what="underflow", refs=1)]


def test_with_debug_vm_an_underflow_is_a_bug_that_ends_the_context() -> None:
    reached = []

    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=False, holder=NIC))
        await script.ask(MEMMAP, UnpinRefs(pfn, 1, NIC))
        reached.append(pfn)

    played = play(body, debug_vm=DebugVm.ON)
    assert [point.pfn for point in played.of(KernelBug)] == [1]
    assert len(played.of(ContextLost)) == 1
    assert reached == []


def test_a_release_of_a_free_frame_is_reported() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        assert await script.yes(PutRefs(pfn, 1, "alloc", "thread0"))
        assert not await script.yes(PutRefs(pfn, 1, "gup", NIC))

    assert play(body).of(PageBadCount) == [PageBadCount(pfn=1, what="underflow", refs=-1)]


# Limits of the count (S15) and false positives (S32).


def test_without_the_guard_the_count_wraps_and_a_few_puts_free_the_page() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GetRefs(pfn, 2**31 - 2, "gup", "fuse"))
        assert await script.error(GrabFolio(pfn, 1, pin=False, holder="fuse")) == 0
        assert await script.refs(pfn) == -(2**31)
        await script.ask(MEMMAP, GetRefs(pfn, 2**31, "gup", "fuse"))
        assert await script.refs(pfn) == 0

    played = play(body, era="v4.20")
    assert [(point.what, point.refs) for point in played.of(PageBadCount)] == [("overflow", -(2**31)), ("overflow", 0)]


@pytest.mark.parametrize("era", ["v5.6", "v5.12", "v6.12"])
def test_the_guard_refuses_when_the_count_is_not_positive(era: str) -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GetRefs(pfn, 2**31 - 1, "gup", "fuse"))
        assert await script.error(GrabFolio(pfn, 1, pin=False, holder="fuse")) == -errno.ENOMEM
        assert await script.error(GrabFolio(pfn, 1, pin=True, holder="fuse")) == -errno.ENOMEM
        assert not await script.yes(TryGet(pfn, 1, "fuse"))

    assert [point.where for point in play(body, era=era).of(KernelWarning)] == ["try_grab_folio"]


def test_without_the_guard_a_try_get_takes_a_negative_count_but_never_zero() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GetRefs(pfn, 2**31 - 1, "gup", "fuse"))
        assert await script.yes(TryGet(pfn, 1, "fuse"))
        assert not await script.yes(TryGet(pfn + 1, 1, "fuse"))

    play(body, era="v4.20")


def test_the_sign_bit_is_reached_by_two_million_pins_of_a_small_page() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GrabFolio(pfn, 2**21 - 1, pin=True, holder=NIC))
        assert await script.error(GrabFolio(pfn, 1, pin=True, holder=NIC)) == 0  # it overflows...
        assert await script.yes(MaybeDmaPinned(pfn, "test"))  # ...and is still seen: the comparison is unsigned
        assert await script.error(GrabFolio(pfn, 1, pin=True, holder=NIC)) == -errno.ENOMEM

    play(body)


def test_a_thousand_mappings_of_a_small_page_look_like_a_pin() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GetRefs(pfn, 1022, "map", "map:app:0x1000"))
        assert not await script.yes(MaybeDmaPinned(pfn, "test"))
        await script.ask(MEMMAP, GetRefs(pfn, 1, "map", "map:app:0x1000"))
        assert await script.yes(MaybeDmaPinned(pfn, "test"))

    play(body)


def test_a_thousand_references_of_a_large_folio_do_not() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc(1)
        await script.ask(MEMMAP, GetRefs(pfn, 5000, "map", "map:app:0x1000"))
        assert not await script.yes(MaybeDmaPinned(pfn, "test"))

    play(body)


# The ledger of the tracepoints.


def test_a_mapping_adopts_the_reference_of_the_fault_without_changing_the_count() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, AddMaps(pfn, 1, adopt="alloc", ledger="map:app:0x1000"))
        assert await script.counts(pfn) == Counts(refs=1, maps=1)
        assert await script.yes(PageMapped(pfn))
        await script.ask(MEMMAP, AddMaps(pfn, -1))
        assert await script.yes(PutRefs(pfn, 1, "map", "map:app:0x1000"))

    played = play(body)
    assert played.ledger() == {}
    assert played.of(PagePut)[0] == PagePut(pfn=1, amount=1, kind="alloc", holder="thread0", refs=1)
    assert played.of(PageGet)[1] == PageGet(pfn=1, amount=1, kind="map", holder="map:app:0x1000", refs=1)


def test_a_frozen_page_that_is_freed_gives_back_what_cache_and_isolation_held() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GetRefs(pfn, 1, "cache"))
        await script.ask(MEMMAP, PutRefs(pfn, 1, "alloc", "thread0"))
        assert await script.yes(TryGet(pfn, 1, "thread0", kind="isolate"))
        assert not await script.yes(FreezeRefs(pfn, 3))
        assert await script.yes(FreezeRefs(pfn, 2))
        assert not await script.yes(TryGet(pfn, 1, NIC))
        await script.ask(MEMMAP, FreeFrozen(pfn))

    played = play(body)
    assert played.ledger() == {}
    assert played.of(PageFree) == [PageFree(pfn=1, order=0, maps=0, pins=0)]


def test_an_invalidated_page_gives_back_the_cache_reference_when_the_caller_keeps_its_own() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GetRefs(pfn, 1, "cache"))
        await script.ask(MEMMAP, PutRefs(pfn, 1, "alloc", "thread0"))
        await script.ask(MEMMAP, GetRefs(pfn, 1, "lookup", "thread0"))
        assert await script.yes(FreezeRefs(pfn, 2))
        await script.ask(MEMMAP, UnfreezeRefs(pfn, 1))
        assert await script.refs(pfn) == 1
        assert await script.yes(PutRefs(pfn, 1, "lookup", "thread0"))

    assert play(body).ledger() == {}


def test_an_unfrozen_page_has_its_references_back() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        assert await script.yes(FreezeRefs(pfn, 1))
        await script.ask(MEMMAP, UnfreezeRefs(pfn, 1))
        assert await script.refs(pfn) == 1

    assert play(body).ledger() == {(1, "alloc", "thread0"): 1}


# The allocator.


def test_the_frame_freed_last_is_the_first_to_be_used_again_with_a_new_generation() -> None:
    async def body(script: Script) -> None:
        first, second = await script.alloc(), await script.alloc()
        await script.ask(MEMMAP, PutRefs(first, 1, "alloc", "thread0"))
        await script.ask(MEMMAP, PutRefs(second, 1, "alloc", "thread0"))
        assert [await script.alloc() for _ in range(3)] == [second, first, 3]

    allocs = play(body).of(PageAlloc)
    assert [(point.pfn, point.generation) for point in allocs] == [(1, 0), (2, 0), (2, 1), (1, 1), (3, 0)]


def test_a_compound_page_is_aligned_and_the_frames_before_it_are_not_lost() -> None:
    async def body(script: Script) -> None:
        large = await script.alloc(2)
        assert large == 4
        flags = [await script.ask(MEMMAP, ReadFlags(pfn, Page.HEAD | Page.TAIL)) for pfn in (large,)]
        assert [answer.flags for answer in flags] == [Page.HEAD]
        assert [await script.alloc() for _ in range(4)] == [1, 2, 3, 8]

    play(body)


def test_a_freed_large_block_is_split_when_nothing_smaller_is_left() -> None:
    async def body(script: Script) -> None:
        large = await script.alloc(2)
        assert await script.yes(PutRefs(large, 1, "alloc", "thread0"))
        singles = [await script.alloc() for _ in range(7)]
        assert sorted(singles) == [1, 2, 3, 4, 5, 6, 7]
        assert await script.alloc() == -errno.ENOMEM
        vmstat = await script.vmstat()
        assert (vmstat["nr_free_pages"], vmstat["pgalloc_normal"], vmstat["pgfree"]) == (0, 11, 4)

    play(body, frames=8)


def test_a_page_allocated_with_zero_is_cleared_before_its_owner_gets_it() -> None:
    async def body(script: Script) -> None:
        answer = await script.ask(MEMMAP, AllocPages("anon", 1, zero=True))
        assert answer.pfn == 2
        assert [point.pfn for point in played.of(MemoryZero)] == [2, 3]

    played = Played(body)
    played.run()


def test_a_page_freed_on_the_lru_is_reported_to_reclaim_with_all_its_state_gone() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, ChangeFlags(pfn, set=Page.LRU | Page.DIRTY | Page.UPTODATE))
        await script.ask(MEMMAP, SetMapping(pfn, "fs/ext4", 12, 3))
        assert (await script.vmstat())["nr_dirty"] == 1
        assert await script.yes(PutRefs(pfn, 1, "alloc", "thread0"))
        vmstat = await script.vmstat()
        assert (vmstat["nr_dirty"], vmstat["nr_file_pages"]) == (0, 0)
        assert (await script.ask(MEMMAP, ReadFlags(pfn, Page.DIRTY | Page.LRU))).flags == 0

    assert play(body).reclaim.gone == [1]


def test_a_page_freed_with_mappings_says_so() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, AddMaps(pfn, 2))
        await script.ask(MEMMAP, PutRefs(pfn, 1, "alloc", "thread0"))
        assert await script.counts(pfn) == Counts(refs=0, maps=0)

    assert play(body).of(PageFree) == [PageFree(pfn=1, order=0, maps=2, pins=0)]


def test_a_million_pages_are_columns_of_a_few_dozen_bytes() -> None:
    memmap = Played(frames=1 << 20).memmap
    assert memmap.bytes_per_page <= 40


# Flags, mapping, vmstat.


def test_changed_flags_are_answered_as_they_were_and_traced_as_they_changed() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, ChangeFlags(pfn, set=Page.DIRTY))
        answer = await script.ask(MEMMAP, ChangeFlags(pfn, set=Page.DIRTY | Page.UPTODATE))
        assert answer.flags == Page.DIRTY
        answer = await script.ask(MEMMAP, ChangeFlags(pfn, set=Page.WRITEBACK, clear=Page.DIRTY | Page.PRIVATE))
        assert answer.flags == Page.DIRTY

    assert play(body).of(PageFlags) == [
        PageFlags(pfn=1, set=Page.DIRTY, cleared=0),
        PageFlags(pfn=1, set=Page.UPTODATE, cleared=0),
        PageFlags(pfn=1, set=Page.WRITEBACK, cleared=Page.DIRTY),
    ]


def test_vmstat_counts_dirty_and_writeback_pages_of_files() -> None:
    async def body(script: Script) -> None:
        pfn, anon = await script.alloc(), await script.alloc()
        await script.ask(MEMMAP, SetMapping(pfn, "fs/ext4", 12, 3))
        await script.ask(MEMMAP, ChangeFlags(pfn, set=Page.DIRTY))
        await script.ask(MEMMAP, ChangeFlags(anon, set=Page.DIRTY | Page.ANON | Page.SWAPBACKED))
        await script.ask(MEMMAP, AddMaps(pfn, 1))
        await script.ask(MEMMAP, AddMaps(pfn, 1))
        await script.ask(MEMMAP, AddMaps(anon, 1))
        seen = await script.vmstat()
        assert [seen[name] for name in ("nr_dirty", "nr_mapped", "nr_anon_pages", "nr_file_pages")] == [1, 1, 1, 1]
        await script.ask(MEMMAP, ChangeFlags(pfn, set=Page.WRITEBACK, clear=Page.DIRTY))
        seen = await script.vmstat()
        assert (seen["nr_dirty"], seen["nr_writeback"]) == (0, 1)
        await script.ask(MEMMAP, ChangeFlags(pfn, clear=Page.WRITEBACK))
        seen = await script.vmstat()
        assert [seen[name] for name in ("nr_writeback", "nr_dirtied", "nr_written")] == [0, 1, 1]

    play(body)


def test_a_page_knows_which_page_of_which_file_it_is() -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, SetMapping(pfn, "fs/ext4", 12, 3))
        answer = await script.ask(MEMMAP, ReadMapping(pfn))
        assert (answer.fs, answer.ino, answer.index, answer.anon) == ("fs/ext4", 12, 3, False)
        await script.ask(MEMMAP, SetMapping(pfn))
        answer = await script.ask(MEMMAP, ReadMapping(pfn))
        assert (answer.fs, answer.ino) == ("", 0)

    play(body)


def test_a_page_beyond_the_memory_is_a_programming_error() -> None:
    async def body(script: Script) -> None:
        await script.refs(-1)

    with pytest.raises(Exception, match="page -1 of 64"):
        play(body)


# Locks and waits.


def test_the_page_lock_is_granted_in_the_order_of_asking_and_forgotten_when_idle() -> None:
    order: list[str] = []

    def locker(hold: int) -> Body:
        async def body(script: Script) -> None:
            await script.ask(MEMMAP, LockPage(7))
            order.append(script.port.context)
            await script.sleep(hold)
            assert not await script.yes(TryLockPage(7))
            await script.ask(MEMMAP, UnlockPage(7))

        return body

    played = play(locker(50_000), locker(50_000), locker(10))
    assert order == ["thread0", "thread1", "thread2"]
    assert len(played.memmap.locks) == 0
    assert played.of(LockContended)[0] == LockContended(lock="page lock 7", waiter="thread1", holders=("thread0",))
    assert played.of(LockGranted)[0] == LockGranted(lock="page lock 7", holder="thread1")


def test_the_end_of_io_unlocks_a_page_that_another_context_locked() -> None:
    async def reader(script: Script) -> None:
        await script.ask(MEMMAP, LockPage(7))

    async def interrupt(script: Script) -> None:
        await script.ask(MEMMAP, UnlockPage(7, holder="thread0"))
        assert await script.yes(TryLockPage(7))

    play(reader, interrupt)


def test_whoever_waits_for_writeback_goes_on_when_it_ends() -> None:
    times = []

    async def waiter(script: Script) -> None:
        await script.ask(MEMMAP, WaitWriteback(7))  # not under writeback: no wait
        await script.ask(MEMMAP, ChangeFlags(7, set=Page.WRITEBACK))
        await script.ask(MEMMAP, WaitWriteback(7))
        times.append(script.now)

    async def interrupt(script: Script) -> None:
        await script.ask(MEMMAP, ChangeFlags(7, set=Page.WRITEBACK, clear=Page.DIRTY))
        await script.ask(MEMMAP, ChangeFlags(7, clear=Page.WRITEBACK))

    play(waiter, interrupt)
    assert 10_000 < times[0] < 11_000


def test_whoever_waits_for_the_unpin_goes_on_after_the_last_one() -> None:
    times = []

    async def pinner(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=True, holder=NIC))
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=True, holder=NIC))
        await script.sleep(20_000)
        await script.ask(MEMMAP, UnpinRefs(pfn, 1, NIC))
        await script.sleep(20_000)
        await script.ask(MEMMAP, UnpinRefs(pfn, 1, NIC))

    async def waiter(script: Script) -> None:
        await script.ask(MEMMAP, WaitUnpinned(1))
        times.append(script.now)

    play(pinner, waiter)
    assert times[0] > 40_000


def test_an_unpin_waiter_that_was_deceived_by_plain_references_goes_on_when_they_go() -> None:
    times = []

    async def holder(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GetRefs(pfn, 1023, "map", "map:app:0x1000"))
        await script.sleep(20_000)
        await script.ask(MEMMAP, PutRefs(pfn, 1, "map", "map:app:0x1000"))

    async def waiter(script: Script) -> None:
        await script.ask(MEMMAP, WaitUnpinned(1))
        times.append(script.now)

    play(holder, waiter)
    assert times[0] > 20_000


# Footprints: what the search may and may not reorder (granularity.md, section 4).


def footprints(*requests: Request[Any]) -> list[dict[tuple[str, Any], int]]:
    """The footprint at memmap of each of `requests`, one after the other, after an allocation of page 1; without the
    look at which folio the page belongs to, which all have in common."""
    recorder = Recorder(enabled=True)
    taken: list[dict[tuple[str, Any], int]] = []

    async def body(script: Script) -> None:
        await script.alloc()
        await script.ask(MEMMAP, GetRefs(1, 1, "cache"))
        for request in requests:
            await script.ask(MEMMAP, request)

    played = Played(body, recorder=recorder)
    events: list[Item] = []

    def before(item: Item) -> None:
        # What was recorded since the delivery before belongs to that one.
        footprint = recorder.take()
        if events and isinstance(events[-1][4], Request) and events[-1][1] == played.world.core.ranks[MEMMAP]:
            taken.append({at: mode for at, mode in footprint.items() if at[0] != "page.head"})
        events.append(item)

    played.world.on_delivery = before
    played.run()
    return taken[2:]


def test_plain_references_of_two_contexts_commute() -> None:
    first, second, put, again = footprints(
        GetRefs(1, 1, "lookup", "a"), TryGet(1, 1, NIC), PutRefs(1, 1, "lookup", "a"), PutRefs(1, 1, "gup", NIC)
    )
    assert first == second == put == again == {("page.refs", 1): COMMUTE}


def test_the_last_put_is_ordered_with_all_others() -> None:
    get, last = footprints(GetRefs(1, 1, "lookup", "a"), PutRefs(1, 2, "cache"))
    assert conflict(get, last)


def test_asking_for_pins_depends_on_pins_and_not_on_plain_references() -> None:
    get, asked, pin, unpin = footprints(
        GetRefs(1, 1, "lookup", "a"), MaybeDmaPinned(1, "test"), GrabFolio(1, 1, pin=True, holder=NIC),
        UnpinRefs(1, 1, NIC),
    )  # fmt: skip
    assert asked == {("page.pins", 1): READ}
    assert not conflict(get, asked)
    assert conflict(asked, pin)
    assert conflict(asked, unpin)
    assert not conflict(get, unpin)


def test_asking_for_pins_depends_on_plain_references_once_they_could_decide() -> None:
    many, asked = footprints(GetRefs(1, 1000, "map", "a"), MaybeDmaPinned(1, "test"))
    assert conflict(many, asked)


def test_a_freeze_depends_on_every_reference() -> None:
    get, refused = footprints(GetRefs(1, 1, "lookup", "a"), FreezeRefs(1, 2))
    assert conflict(get, refused)


def test_counting_mappings_and_vmstat_commutes() -> None:
    first, second = footprints(AddMaps(1, 1), AddMaps(1, 1))
    assert not conflict(first, second)


def test_different_flags_of_a_page_are_different_objects() -> None:
    first, second = footprints(ChangeFlags(1, set=Page.REFERENCED), ReadFlags(1, Page.LRU))
    assert not conflict(first, second)


@pytest.mark.parametrize("api", PinApi)
def test_any_pin_rule_can_be_combined_with_any_era(api: PinApi) -> None:
    async def body(script: Script) -> None:
        pfn = await script.alloc()
        await script.ask(MEMMAP, GrabFolio(pfn, 1, pin=True, holder=NIC))
        await script.ask(MEMMAP, UnpinRefs(pfn, 1, NIC))
        assert await script.yes(PutRefs(pfn, 1, "alloc", "thread0"))

    assert play(body, era="v4.20", pin_api=api).ledger() == {}
