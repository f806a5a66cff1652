"""The state containers record each access as what it is, and do with the data what plain ones do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gupsim.actors.base import Bits, Column, Entity, Field, Fifo, Map, Recorder, Refs, TicketLock, WaitQueue
from gupsim.actors.base.footprint import COMMUTE, READ, WRITE, Footprint
from gupsim.engine import TimedWorld
from tests.base.owner import RecordingOwner
from tests.engine.programs import Go, Script

RW = READ | WRITE


class Inode(Entity):
    """An object with two fields."""

    size = Field(0)
    name_of = Field("")


def recorded(owner: RecordingOwner, access: Callable[[], Any]) -> Footprint:
    """The footprint of one access alone."""
    owner.recorder.take()
    access()
    return owner.recorder.take()


def test_a_column_records_reads_writes_and_additions_by_row() -> None:
    owner = RecordingOwner()
    column = Column(owner, "page.maps", "i", 4)
    assert recorded(owner, lambda: column[2]) == {("page.maps", 2): READ}
    assert recorded(owner, lambda: column.__setitem__(2, 5)) == {("page.maps", 2): WRITE}
    assert recorded(owner, lambda: column.add(2, 3)) == {("page.maps", 2): COMMUTE}
    assert recorded(owner, lambda: column.__setitem__(1, column[2])) == {
        ("page.maps", 2): READ,
        ("page.maps", 1): WRITE,
    }
    assert list(column.data) == [0, 8, 8, 0]
    assert len(column) == 4


def test_bits_are_objects_of_their_own() -> None:
    owner = RecordingOwner()
    bits = Bits(owner, "page.flags", 2)
    assert recorded(owner, lambda: bits.test(1, 0b101)) == {("page.flags", (1, 1)): READ, ("page.flags", (1, 4)): READ}
    assert recorded(owner, lambda: bits.change(1, 0b001, 0b110)) == {
        ("page.flags", (1, 1)): RW,
        ("page.flags", (1, 2)): RW,
        ("page.flags", (1, 4)): RW,
    }


def test_changing_bits_tells_what_they_were_and_leaves_the_others() -> None:
    bits = Bits(RecordingOwner(), "page.flags", 2)
    assert bits.change(0, 0b1011, 0) == 0
    assert bits.change(0, 0b0100, 0b0001) == 0b0001
    assert bits.data[0] == 0b1110
    assert bits.test(0, 0b0111) == 0b0110
    assert bits.data[1] == 0


def test_the_highest_bit_of_a_flag_word_is_a_bit_like_any_other() -> None:
    owner = RecordingOwner()
    bits = Bits(owner, "page.flags", 1)
    bits.change(0, 1 << 63, 0)
    assert bits.test(0, 1 << 63) == 1 << 63


def test_a_map_records_its_keys_apart() -> None:
    owner = RecordingOwner()
    cache: Map[int, str] = Map(owner, "inode 3 pages")
    cache[7] = "old"
    at = ("inode 3 pages", 7)
    assert recorded(owner, lambda: cache[7]) == {at: READ}
    assert recorded(owner, lambda: cache.get(7)) == {at: READ}
    assert recorded(owner, lambda: 7 in cache) == {at: READ}
    assert recorded(owner, lambda: cache.__setitem__(7, "new")) == {at: WRITE}


@pytest.mark.parametrize(("kind", "mode"), [(Map, COMMUTE), (Fifo, WRITE)])
def test_members_come_to_a_map_in_any_order_and_to_a_fifo_in_theirs(kind: type[Map[int, str]], mode: int) -> None:
    owner = RecordingOwner()
    cache = kind(owner, "pages")
    everyone = ("pages", "*")
    assert recorded(owner, lambda: cache.__setitem__(7, "new")) == {("pages", 7): WRITE, everyone: mode}
    assert recorded(owner, lambda: cache.pop(8)) == {("pages", 8): RW}
    assert recorded(owner, lambda: cache.pop(7)) == {("pages", 7): RW, everyone: mode}


def test_what_looks_at_all_members_of_a_map_reads_its_membership() -> None:
    owner = RecordingOwner()
    cache: Map[int, str] = Map(owner, "pages")
    cache[9] = "nine"
    cache[3] = "three"
    everyone = ("pages", "*")
    assert recorded(owner, lambda: len(cache)) == {everyone: READ}
    assert recorded(owner, lambda: list(cache)) == {everyone: READ}
    all_of_it = {everyone: READ, ("pages", 9): READ, ("pages", 3): READ}
    assert recorded(owner, cache.items) == all_of_it
    assert recorded(owner, cache.values) == all_of_it


@pytest.mark.parametrize(("kind", "order"), [(Map, [3, 9]), (Fifo, [9, 3])])
def test_a_map_gives_what_was_put_in_by_key_and_a_fifo_by_order_of_insertion(
    kind: type[Map[int, str]], order: list[int]
) -> None:
    cache = kind(RecordingOwner(), "pages")
    cache[9] = "nine"
    cache[3] = "three"
    assert (cache[9], cache.get(3), cache.get(4), cache.get(4, "none")) == ("nine", "three", None, "none")
    assert (9 in cache, 4 in cache, len(cache)) == (True, False, 2)
    pairs = [(key, {3: "three", 9: "nine"}[key]) for key in order]
    assert (list(cache), cache.values(), cache.items()) == (order, [value for _, value in pairs], pairs)
    assert (cache.pop(9), cache.pop(9), list(cache)) == ("nine", None, [3])


def test_a_map_may_be_changed_while_it_is_walked() -> None:
    cache: Map[int, int] = Map(RecordingOwner(), "pages")
    for key in range(4):
        cache[key] = key
    for key in cache:
        cache.pop(key)
    assert len(cache) == 0


def test_the_fields_of_an_entity_are_objects_of_their_own() -> None:
    owner = RecordingOwner()
    inode = Inode(owner, "inode 12")
    assert recorded(owner, lambda: inode.size) == {("inode 12", "size"): READ}
    assert recorded(owner, lambda: setattr(inode, "size", 5)) == {("inode 12", "size"): WRITE}
    assert recorded(owner, lambda: Inode.size.add(inode, 3)) == {("inode 12", "size"): COMMUTE}
    assert recorded(owner, lambda: inode.name_of) == {("inode 12", "name_of"): READ}
    assert (inode.size, inode.name_of) == (8, "")


def test_two_entities_share_nothing() -> None:
    owner = RecordingOwner()
    one, two = Inode(owner, "inode 1"), Inode(owner, "inode 2")
    one.size = 5
    assert two.size == 0


def test_references_record_gets_of_a_ledger_as_additions() -> None:
    owner = RecordingOwner()
    refs = Refs(owner, "page.refs", 4)
    at = ("page.refs", 2)
    assert recorded(owner, lambda: refs.set(2, 1)) == {at: WRITE}
    assert recorded(owner, lambda: refs.get(2, 1)) == {at: WRITE}
    assert recorded(owner, lambda: refs.get(2, 1, "thread a")) == {at: COMMUTE}
    assert recorded(owner, lambda: refs.read(2)) == {at: READ}
    assert refs.read(2) == 3


@pytest.mark.parametrize("container", ["column", "bits", "map", "entity", "refs"])
def test_nothing_is_recorded_when_nobody_needs_it(container: str) -> None:
    owner = RecordingOwner()
    owner.recorder = Recorder()
    match container:
        case "column":
            Column(owner, "c", "i", 1)[0] = 1
        case "bits":
            Bits(owner, "b", 1).change(0, 1, 0)
        case "map":
            Map(owner, "m")[1] = 1
        case "entity":
            Inode(owner, "inode").size = 1
        case "refs":
            Refs(owner, "r", 1).get(0, 1, "thread a")
    assert owner.recorder.take() == {}


def lock_footprints(body: Callable[[Script, Recorder], Any]) -> Any:
    """What `body` returns, run inside an actor whose recorder is on."""
    recorder = Recorder(enabled=True)
    world = TimedWorld(recorder=recorder)

    async def inside(actor: Script) -> Any:
        recorder.take()
        return await body(actor, recorder)

    script = world.add("h0/script", Script, inside)
    world.post("h0/script", Go())
    world.run()
    return script.result


def test_the_release_of_a_lock_commutes_with_a_later_request() -> None:
    async def body(actor: Script, recorder: Recorder) -> tuple[Footprint, Footprint]:
        lock = TicketLock(actor, "lock")
        await lock.acquire()
        recorder.take()
        lock.release()
        released = recorder.take()
        lock.acquire()
        return released, recorder.take()

    released, requested = lock_footprints(body)
    assert released == {("lock", "serving"): COMMUTE}
    assert requested == {("lock", "queue"): WRITE}


def test_requests_of_readers_commute_with_each_other() -> None:
    async def body(actor: Script, recorder: Recorder) -> Footprint:
        TicketLock(actor, "lock").acquire(shared=True)
        return recorder.take()

    assert lock_footprints(body) == {("lock", "queue"): COMMUTE}


def test_a_trylock_looks_at_queue_and_holders_and_takes_a_place_only_if_it_succeeds() -> None:
    async def body(actor: Script, recorder: Recorder) -> list[Footprint]:
        lock = TicketLock(actor, "lock")
        found = []
        for _ in range(2):
            lock.try_acquire()
            found.append(recorder.take())
        return found

    assert lock_footprints(body) == [
        {("lock", "queue"): RW, ("lock", "serving"): READ},
        {("lock", "queue"): READ, ("lock", "serving"): READ},
    ]


def test_sleepers_commute_and_the_waker_meets_them_all() -> None:
    async def body(actor: Script, recorder: Recorder) -> tuple[Footprint, Footprint]:
        queue = WaitQueue(actor, "gate")
        queue.sleep()
        slept = recorder.take()
        queue.wake_all()
        return slept, recorder.take()

    assert lock_footprints(body) == ({("gate", "sleepers"): COMMUTE}, {("gate", "sleepers"): RW})
