"""The races that decide a violation, and what the nearest execution that is fine does instead."""

from __future__ import annotations

import pytest

from gupsim.protocol.memmap import Page
from gupsim.replay import Why, explain, minimised, replay
from gupsim.replay.objects import in_words
from gupsim.replay.show import why_lines
from gupsim.search import Finding, Program
from gupsim.search.world import ExploredWorld
from tests.replay.worlds import Bank, Look, bank, failing, torn_recording


def said(why: Why) -> str:
    return "\n".join(line.plain for line in why_lines(why, 100))


def test_a_lost_update_is_decided_by_who_reads_before_the_other_writes() -> None:
    _, runs, history, target = failing(bank(1, 2), "lost-update")
    why = explain(runs, history, target)
    race = why.races[0]
    assert race.objects == ("balance 0 of bank",)
    assert {race.first.context, race.second.context} == {"0", "1"}
    assert race.first.number < race.second.number
    assert why.fine is not None
    assert not why.fine.violations


def test_a_deadlock_is_decided_by_who_takes_which_lock_first() -> None:
    _, runs, history, target = failing(bank(transfers=((0, 1), (1, 0))), "deadlock")
    why = explain(runs, history, target)
    assert why.races
    assert any("account" in word for race in why.races for word in race.objects)
    assert why.fine is not None


def test_what_happens_in_every_order_is_decided_by_no_race() -> None:
    def check(_: ExploredWorld, __: Bank) -> list[Finding]:
        return [Finding("always", "bank: it is always so")]

    def build(world: ExploredWorld) -> Bank:
        made = world.add("bank", Bank)
        world.post("bank", Look(), context="a/1")
        return made

    _, runs, history, target = failing(Program(build, check), "always")
    why = explain(runs, history, target)
    assert (why.races, why.fine, why.tried) == ((), None, 0)
    assert "every interleaving" in said(why)

    _, runs, history, target = failing(Program(bank(1, 2).build, check), "always")
    why = explain(runs, history, target)
    assert (why.races, why.fine) == ((), None)
    assert why.tried > 0
    assert "no single race decides it" in said(why)


def test_races_turned_round_have_a_bound() -> None:
    _, runs, history, target = failing(bank(1, 2, 4), "lost-update")
    why = explain(runs, history, target, limit=1)
    assert why.tried == 1


def test_a_torn_page_is_explained_in_kernel_words() -> None:
    small, _ = minimised(replay(torn_recording()))
    replayed = replay(small)
    why = explain(replayed.runs, replayed.history, replayed.target)
    over = [word for race in why.races for word in race.objects]
    assert any(word.startswith("the bytes of page 1") for word in over)
    race = next(race for race in why.races if race.objects[0].startswith("the bytes of page 1"))
    assert {race.first.context.partition("#")[0], race.second.context.partition("#")[0]} == {"block/sda", "dma/nic"}
    assert "read bytes" in race.first.what + race.second.what
    assert "wrote bytes" in race.first.what + race.second.what
    lines = said(why)
    assert "the other way round, it does not happen" in lines
    assert "which does NOT match its checksum" in lines
    assert all(len(line) <= 100 for line in lines.splitlines())


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("page.flags", (3, int(Page.DIRTY))), "page 3's flag dirty"),
        (("page.refs", 3), "page 3's reference count"),
        (("page.refs", (3, "h0/app")), "page 3's reference count held by h0/app"),
        (("page lock 3", "queue"), "the page lock of page 3"),
        (("mmap_lock of app", "queue"), "the mmap_lock of app"),
        (("buffers", 3), "page 3's buffers"),
        (("buffer 0 of page 3", "dirty"), "the dirty bit of page 3's buffer 0"),
        (("frame", (3, 1)), "the bytes of page 3 (part 1)"),
        (("i_pages 1.dirty", 0), "page 0 of inode 1 in the page cache (tag dirty)"),
        (("i_pages 1.pages", 0), "page 0 of inode 1 in the page cache"),
        (("inode 1", "size"), "the size of inode 1"),
        (("pte", (4, 16)), "page-table entry 16 of table 4"),
        (("in_flight", 1), "in_flight 1 of driver/nic"),
        (("in_flight", "*"), "in_flight of driver/nic"),
    ],
)
def test_objects_have_names_that_a_kernel_developer_knows(key: tuple[str, object], words: str) -> None:
    assert in_words(1, [(0, key)], lambda _: "driver/nic") == [words]
