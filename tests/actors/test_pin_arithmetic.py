"""How many pins a page can take (S15, seed 1): computed, and the table of the manual with it."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from gupsim.actors.rules.pins import OverflowGuard, PinApi
from gupsim.protocol import memmap, mm
from gupsim.protocol.gup import GrabTimes
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll, Prot
from tests.actors.anon_world import APP, MEMMAP, MM, Script, run

GIB = 1 << 18
"""Pages of a 1 GiB page."""
MANUAL = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "pin-arithmetic.md"
HOLDER = "driver/t#1"


async def small(script: Script) -> int:
    address = await script.anon()
    await script.store(address, 1)
    return (await script.ask(MM, mm.ReadPagemap(APP, address))).pfn


async def gigantic(script: Script) -> int:
    mapped = await script.ask(MM, mm.Mmap(APP, GIB, Prot.READ | Prot.WRITE, False, hugetlb=18))
    await script.store(mapped.address, 1)
    return (await script.ask(MM, mm.ReadPagemap(APP, mapped.address))).pfn


async def whole(script: Script, pfn: int, *, pin: bool, most: int) -> int:
    """try_grab_folio() of a whole 1 GiB page, once for each call, until it is refused."""
    for number in range(most):
        if (await script.ask(MEMMAP, memmap.GrabFolio(pfn, GIB, pin, HOLDER))).error:
            return number
    return most


def count(page: str, call: str, api: PinApi, *, guard: bool = True) -> tuple[int, int, bool]:
    """How often the call succeeds, the count afterwards, and whether the page reads as pinned then. Without the guard:
    until the count is what it was at the beginning."""
    pin = call == "pin"

    async def body(script: Script) -> tuple[int, int, bool]:
        pfn = await (gigantic(script) if page == "1 GiB" else small(script))
        step = (1 << 32) // {("4 KiB", True): 1024, ("4 KiB", False): 1}.get((page, pin), GIB)
        if page == "4 KiB":
            grabbed = (await script.ask(MEMMAP, GrabTimes(pfn, (1 << 32) - 1 if guard else step, pin, HOLDER))).times
        else:
            turns = 16 if api is PinApi.BIAS_ONLY and pin else step
            grabbed = await whole(script, pfn, pin=pin, most=turns)
        refs = (await script.ask(MEMMAP, memmap.ReadCounts(pfn))).refs
        pinned = await script.ask(MEMMAP, memmap.MaybeDmaPinned(pfn, "test"))
        return grabbed, refs, pinned.yes

    return run(
        body,
        frames=1 << (19 if page == "1 GiB" else 6),
        hugepages=((18, 1),) if page == "1 GiB" else (),
        pin_api=api,
        overflow_guard=OverflowGuard.GUARD if guard else OverflowGuard.NONE,
    )[0]


LIMITS = {
    ("4 KiB", "get", PinApi.BIAS): ((1 << 31) - 1, 1 << 32),
    ("4 KiB", "pin", PinApi.BIAS): (1 << 21, 1 << 22),
    ("1 GiB", "get", PinApi.BIAS): (8192, 16384),
    ("1 GiB", "pin", PinApi.BIAS_ONLY): (8, 16),
    ("1 GiB", "pin", PinApi.BIAS): (8192, 16384),
    ("1 GiB", "pin", PinApi.BIAS_ALL_LARGE): (8192, 16384),
}
"""Page, call and rule -> calls until the guard refuses, calls until the count is back where it was."""


@pytest.mark.parametrize(("row", "limits"), LIMITS.items())
def test_the_guard_refuses_what_comes_after_the_sign_bit(row: tuple[str, str, PinApi], limits: tuple[int, int]) -> None:
    times, refs, _ = count(*row)
    assert times == limits[0]
    assert refs < 0


@pytest.mark.parametrize(("row", "limits"), LIMITS.items())
def test_without_the_guard_the_count_comes_back_to_where_it_was(
    row: tuple[str, str, PinApi], limits: tuple[int, int]
) -> None:
    times, refs, pinned = count(*row, guard=False)
    assert (times, refs, pinned) == (limits[1], 1, False)


def test_a_count_that_overflowed_still_reads_as_pinned_and_an_exact_one_does_not() -> None:
    assert count("4 KiB", "pin", PinApi.BIAS)[2]
    assert count("1 GiB", "pin", PinApi.BIAS_ONLY)[2]
    assert not count("1 GiB", "pin", PinApi.BIAS)[2]


def test_eight_times_is_all_that_the_draft_allows_to_a_caller() -> None:
    """In halves: the pages of a whole one are too many for one message."""

    async def body(script: Script) -> object:
        mapped = await script.ask(MM, mm.Mmap(APP, GIB, Prot.READ | Prot.WRITE, False, hugetlb=18))
        half = GIB // 2
        results = []
        for number in range(17):
            address = mapped.address + number % 2 * half * PAGE_SIZE
            results.append((await script.gup(address, half, Foll.PIN | Foll.WRITE)).result)
        results.append((await script.gup(mapped.address + 5 * PAGE_SIZE, 1, Foll.GET)).result)
        return results

    pinned = run(body, frames=1 << 19, hugepages=((18, 1),), pin_api=PinApi.BIAS_ONLY)[0]
    assert pinned == [GIB // 2] * 16 + [-errno.ENOMEM] * 2


def test_the_manual_says_the_same() -> None:
    row = re.compile(r"^\| ([14] [KG]iB) \| (\w+) \| `(\w+)` \| [^|]+ \| ([\d,]+) \| ([\d,]+) \|", re.MULTILINE)
    told = {
        (page, call.lower(), PinApi(api)): (int(limit.replace(",", "")), int(wrap.replace(",", "")))
        for page, call, api, limit, wrap in row.findall(MANUAL.read_text(encoding="utf-8"))
    }
    assert told == LIMITS
