"""What memmap records as independent really commutes: random pairs of operations, played in both orders.

granularity.md, section 4: every new rule for additions is fuzzed, because the first one looked right and was wrong.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from gupsim.actors.base import Actor, Recorder, handles
from gupsim.actors.base.footprint import Footprint, conflict
from gupsim.actors.memmap import Memmap
from gupsim.actors.rules import ERAS
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.gup import GrabTimes, TryGrab
from gupsim.protocol.memmap import (
    AddMaps,
    AllocPages,
    ChangeFlags,
    FreezeRefs,
    GetRefs,
    GrabFolio,
    MaybeDmaPinned,
    PageMapped,
    PutRefs,
    ReadCounts,
    ReadFlags,
    ReadMapping,
    ReadVmstat,
    SetMapping,
    ToPin,
    TryGet,
    UnpinRefs,
)
from gupsim.protocol.message import Message
from gupsim.protocol.reclaim import LruDel

PAIRS = 400
JUMP = 512
"""From so many references on, two additions may see each other's threshold; they still commute."""


class Reclaim(Actor):
    """Takes the news of freed pages."""

    @handles(LruDel)
    def deleted(self, msg: LruDel) -> None:
        pass


class Machine:
    """struct page by itself; operations are played without an engine between them."""

    def __init__(self, era: str) -> None:
        self.recorder = Recorder(enabled=True)
        world = TimedWorld(recorder=self.recorder)
        self.memmap = world.add("h0/memmap", Memmap, rules=ERAS[era][0], frames=16)
        world.add("h0/reclaim", Reclaim)
        world.seal()

    def play(self, message: Message) -> tuple[Any, Footprint]:
        self.recorder.take()
        result = getattr(self.memmap, self.memmap.handlers[type(message)])(message)
        if hasattr(result, "send"):
            with pytest.raises(StopIteration) as end:
                result.send(None)
            result = end.value.value
        return result, self.recorder.take()

    def state(self) -> Any:
        """All that a later operation could see."""
        counts, frames, mappings = self.memmap.counts, self.memmap.frames, self.memmap.mappings
        return (
            counts.refs.counts.tolist(),
            counts.pins.data.tolist(),
            counts.maps.data.tolist(),
            {page: held for page, held in counts.refs._ledgers.items() if held},
            {page: held for page, held in counts._pinners.items() if held},
            counts._transient,
            counts._frozen,
            self.memmap.flags.data.tolist(),
            mappings._inos.tolist(),
            mappings._indices.tolist(),
            frames._orders.tolist(),
            [free.tolist() for free in frames._free],
            frames._never_used,
            self.memmap.vmstat._counters,
        )


def some_operation(random: Random, who: str, pfn: int) -> Message:
    """What a context or a driver named `who`, which has a reference, may ask of page `pfn`."""
    few, mapping = random.choice([1, 1, 1, 2]), f"map:{who}"
    flag = random.choice([1, 2, 4, 64, 512])
    choices: list[Callable[[], Message]] = [
        lambda: GetRefs(pfn, few, "lookup", who),
        lambda: GetRefs(pfn, 600, "lookup", who),
        lambda: GetRefs(pfn, 1000, "map", mapping),
        lambda: GetRefs(pfn, 1, "cache"),
        lambda: PutRefs(pfn, few, "lookup", who),
        lambda: PutRefs(pfn, few, "gup", who),
        lambda: PutRefs(pfn, random.choice([1, 1000]), "map", mapping),
        lambda: PutRefs(pfn, 1, "cache"),
        lambda: TryGet(pfn, few, who),
        lambda: TryGrab(pfn, few, who) if pfn == 1 else TryGet(pfn, few, who),
        lambda: GrabTimes(pfn, 2, random.choice([True, False]), who),
        lambda: ToPin(pfn, few, who),
        lambda: GrabFolio(pfn, few, pin=False, holder=who),
        lambda: GrabFolio(pfn, few, pin=True, holder=who),
        lambda: UnpinRefs(pfn, few, who),
        lambda: MaybeDmaPinned(pfn, who),
        lambda: FreezeRefs(pfn, random.choice([4, 5, 6, 1028])),
        lambda: ReadCounts(pfn),
        lambda: PageMapped(pfn),
        lambda: AddMaps(pfn, random.choice([1, -1])),
        lambda: AddMaps(pfn, 1, "lookup", mapping),
        lambda: ChangeFlags(pfn, set=flag),
        lambda: ChangeFlags(pfn, clear=flag),
        lambda: ReadFlags(pfn, random.choice([1, 3, 64])),
        lambda: SetMapping(pfn, "fs/ext4", random.choice([0, 5]), 1),
        lambda: ReadMapping(pfn),
        lambda: AllocPages("test", random.choice([0, 1, 2])),
        ReadVmstat,
    ]
    return random.choice(choices)()


def both_orders(era: str, before: list[Message], first: Message, second: Message, pfn: int) -> list[tuple[Any, ...]]:
    """Whether the two conflict, their answers, the state after them and their footprints, in either order; nothing if
    the page is no longer allocated by then: nobody may ask anything of it."""
    played: list[tuple[Any, ...]] = []
    for pair in ((first, second), (second, first)):
        machine = Machine(era)
        for message in before:
            machine.play(message)
        if machine.memmap.frames.generations[pfn]:
            return []
        done = {id(message): machine.play(message) for message in pair}
        (answer, mine), (other, theirs) = done[id(first)], done[id(second)]
        played.append((conflict(mine, theirs), answer, other, machine.state(), mine, theirs))
    return played


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("era", ERAS)
def test_operations_that_are_recorded_as_independent_commute(era: str, seed: int) -> None:
    random = Random(f"{era}/{seed}")
    independent = 0
    for _ in range(PAIRS):
        order = random.choice([0, 1, 2])
        pfn = 1 << order
        before: list[Message] = [AllocPages("test", order)]
        before += [some_operation(random, random.choice("ab"), pfn) for _ in range(random.randrange(6))]
        for who in "ab":
            before += [GetRefs(pfn, 1, "lookup", who), TryGet(pfn, 1, who)]
        first, second = some_operation(random, "a", pfn), some_operation(random, "b", pfn)
        played = both_orders(era, before, first, second, pfn)
        if not played or all(play[0] for play in played):
            continue
        independent += 1
        jump = max(getattr(first, "amount", 0), getattr(second, "amount", 0)) >= JUMP
        compared = slice(0, 4 if jump else 6)
        assert played[0][compared] == played[1][compared], f"{first} and {second} after {before}"
    assert independent > PAIRS // 4
