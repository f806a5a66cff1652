"""Folios of several pages in memmap: mappings of the whole and of parts, flags of single pages, the split."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from gupsim.actors.base.footprint import conflict
from gupsim.protocol.folio import GetTails, MostMapped, SplitFolio, SplitMapping
from gupsim.protocol.memmap import (
    AddMaps,
    AllocPages,
    ChangeFlags,
    FreezeRefs,
    GetRefs,
    GrabFolio,
    MaybeDmaPinned,
    Page,
    PutRefs,
    ReadCounts,
    ReadFlags,
    ReadFolio,
    ReadMapping,
    ReadVmstat,
    TryGet,
    UnpinRefs,
)
from gupsim.protocol.message import Message
from tests.actors.test_memmap_footprints import Machine

HEAD = 4
PAGES = 4


def machine(era: str = "v6.12", *before: Message) -> Machine:
    made = Machine(era)
    for message in (AllocPages("anon", 2), *before):
        made.play(message)
    return made


def answer(made: Machine, message: Message) -> Any:
    return made.play(message)[0]


def anon_pages(made: Machine) -> int:
    return dict(answer(made, ReadVmstat()).counters)["nr_anon_pages"]


def test_vmstat_counts_each_page_that_is_mapped_once() -> None:
    made = machine("v6.12", ChangeFlags(HEAD, set=Page.ANON), AddMaps(HEAD, 1, entire=True))
    seen = [anon_pages(made)]
    for change in (
        AddMaps(HEAD + 1, 1),
        AddMaps(HEAD, -1, entire=True),
        AddMaps(HEAD + 1, 1),
        AddMaps(HEAD + 1, -2),
        AddMaps(HEAD + 3, 1),
    ):
        made.play(change)
        seen.append(anon_pages(made))
    assert seen == [4, 4, 1, 1, 0, 1]


def test_a_leaf_becomes_entries_without_a_moment_unmapped() -> None:
    made = machine("v6.12", ChangeFlags(HEAD, set=Page.ANON), AddMaps(HEAD, 1, "alloc", "map:leaf", entire=True))
    made.play(GetRefs(HEAD, PAGES - 1, "map", "map:leaf"))
    made.play(SplitMapping(HEAD, "map:leaf", tuple(f"map:{page}" for page in range(PAGES)), exclusive=True))
    counts = answer(made, ReadCounts(HEAD))
    flags = [answer(made, ReadFlags(HEAD + page, Page.ANON_EXCLUSIVE)).flags for page in range(PAGES)]
    assert (counts.refs, counts.maps, answer(made, MostMapped(HEAD)).maps, anon_pages(made)) == (4, 4, 1, 4)
    assert flags == [Page.ANON_EXCLUSIVE] * PAGES


def test_exclusive_is_a_flag_of_the_page_and_dirty_one_of_the_folio() -> None:
    made = machine("v6.12", ChangeFlags(HEAD + 2, set=Page.ANON_EXCLUSIVE | Page.DIRTY))
    mask = Page.ANON_EXCLUSIVE | Page.DIRTY
    assert answer(made, ReadFlags(HEAD + 2, mask)).flags == mask
    assert answer(made, ReadFlags(HEAD + 1, mask)).flags == Page.DIRTY
    assert answer(made, ChangeFlags(HEAD + 2, clear=mask)).flags == mask


def test_a_split_gives_each_page_its_reference_its_flags_and_its_lock() -> None:
    made = machine("v6.12", ChangeFlags(HEAD, set=Page.ANON | Page.DIRTY), FreezeRefs(HEAD, 1))
    made.play(SplitFolio(HEAD, 1, "lookup"))
    kept = Page.ANON | Page.DIRTY
    for page in range(HEAD, HEAD + PAGES):
        folio = answer(made, ReadFolio(page))
        flags = answer(made, ReadFlags(page, kept | Page.HEAD | Page.TAIL)).flags
        assert (folio.head, folio.pages, flags, answer(made, ReadCounts(page)).refs) == (page, 1, kept, 1)
    free = dict(answer(made, ReadVmstat()).counters)["nr_free_pages"]
    assert answer(made, PutRefs(HEAD + 1, 1, "lookup", made.memmap.port.context)).yes
    assert dict(answer(made, ReadVmstat()).counters)["nr_free_pages"] == free + 1


def test_before_4_5_a_split_hands_the_references_of_tails_over() -> None:
    made = machine("v3.17", GetTails(HEAD, HEAD + 1, 2, "driver/nic"))
    made.play(SplitFolio(HEAD, 1, "map"))
    assert [answer(made, ReadCounts(HEAD + page)).refs for page in range(PAGES)] == [1, 2, 2, 1]


def some_operation(random: Random, who: str) -> Message:
    """What may be asked of a folio or of one of its pages."""
    at = HEAD + random.randrange(PAGES)
    one = random.choice([1, -1])
    choices: list[Callable[[], Message]] = [
        lambda: AddMaps(at, one),
        lambda: AddMaps(HEAD, one, entire=True),
        lambda: MostMapped(at),
        lambda: ReadCounts(at),
        lambda: ReadFolio(at),
        lambda: ReadMapping(at),
        lambda: GetRefs(at, 1, "lookup", who),
        lambda: PutRefs(at, 1, "gup", who),
        lambda: TryGet(at, 1, who),
        lambda: GrabFolio(at, 1, pin=True, holder=who),
        lambda: GrabFolio(at, 1, pin=False, holder=who),
        lambda: UnpinRefs(at, 1, who),
        lambda: GetTails(HEAD, at, 1, who),
        lambda: MaybeDmaPinned(at, who),
        lambda: ChangeFlags(at, set=random.choice([Page.ANON_EXCLUSIVE, Page.DIRTY, Page.ANON])),
        lambda: ChangeFlags(at, clear=random.choice([Page.ANON_EXCLUSIVE, Page.DIRTY])),
        lambda: ReadFlags(at, Page.ANON_EXCLUSIVE | Page.DIRTY),
        lambda: SplitFolio(HEAD, 1, "lookup"),
        ReadVmstat,
    ]
    return random.choice(choices)()


def state(made: Machine) -> Any:
    memmap = made.memmap
    maps, tails = memmap.folio_maps, memmap.tail_pins
    return made.state(), maps._entire._data, maps._pages._data, tails._pins._data


@pytest.mark.parametrize("era", ["v3.17", "v5.12", "v6.12"])
def test_operations_on_a_folio_that_are_recorded_as_independent_commute(era: str) -> None:
    random = Random(era)
    independent = 0
    for _ in range(600):
        before = [some_operation(random, random.choice("ab")) for _ in range(random.randrange(5))]
        before += [GetRefs(HEAD, 9, "lookup", who) for who in "ab"]
        first, second = some_operation(random, "a"), some_operation(random, "b")
        results = []
        for pair in ((first, second), (second, first)):
            made = machine(era, *before)
            done = {id(message): made.play(message) for message in pair}
            (one, mine), (other, theirs) = done[id(first)], done[id(second)]
            results.append((conflict(mine, theirs), one, other, state(made)))
        if all(result[0] for result in results):
            continue
        independent += 1
        assert results[0][1:] == results[1][1:], f"{first} and {second} after {before}"
    assert independent > 60
