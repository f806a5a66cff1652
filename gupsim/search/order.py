"""Which events of an execution must come before which: happens-before and races, event by event."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE, Footprint
from gupsim.search.access import NOTHING, Access

Told: TypeAlias = tuple[int, int, bool]
"""A delivery: its mid, the deliveries that it must follow (a mask), and whether it is no event."""

_FRESH: Final = 0
_SHARED: Final = (READ, COMMUTE)
_OBSERVED: Final = -1
"""Stands for the observed tracepoints in the place of an actor's rank."""


class _Object:
    """One (field, key) of an actor: the accesses to it alternate between phases of one mode.

    Within a phase of reads or of additions nothing is ordered; a write is a phase of its own. An event depends
    directly on the phase before its own, and on all earlier ones through that.

    phase: events of the phase that goes on now; previous: those of the one before (masks).
    """

    __slots__ = ("bit", "mode", "phase", "previous")

    def __init__(self, bit: int) -> None:
        self.bit = bit
        self.mode = _FRESH
        self.phase = 0
        self.previous = 0


class Order:
    """The events of the execution that runs now, by number; it shrinks back when another branch is taken.

    Sets of events are ints with one bit each. A delivery that touches nothing need not be an event (`pass_over`): what
    it does depends on its causes alone, and nothing but what it causes depends on it. So whoever leaves it out has as
    many traces as before, only shorter ones: what it causes comes after what it came after.

    deliveries: mids of all, in order, those that are no events included. stands_for: by delivery, its event, or those
    directly before it if it is none. starts: by event, the number of its delivery.
    numbers: of events, by mid. mids, ranks, accesses: what each event was. hards: its hard predecessors. before: all
    events that happen before it; direct: those of them with nothing between. races: earlier events that conflict with
    it and could come later instead. places: by rank, the events there. memos: by event, whatever a strategy wants to
    know as long as that event and those before it stay. objects: by bit of an Access, (rank, (field, key)).
    """

    def __init__(self) -> None:
        self.deliveries: list[int] = []
        self.stands_for: list[int] = []
        self.starts: list[int] = []
        self.mids: list[int] = []
        self.ranks: list[int] = []
        self.accesses: list[Access] = []
        self.hards: list[int] = []
        self.before: list[int] = []
        self.races: list[int] = []
        self.direct: list[int] = []
        self._undo: list[list[tuple[_Object, int, int, int]]] = []
        self.numbers: dict[int, int] = {}
        self.places: dict[int, int] = {}
        self.memos: list[dict[Any, Any]] = []
        self.objects: list[tuple[int, Hashable]] = []
        self._tables: dict[int, dict[Hashable, _Object]] = {}

    def __len__(self) -> int:
        return len(self.mids)

    def start_of(self, number: int) -> int:
        """How many deliveries come before event `number`; none before the first, so that 0 is a new beginning."""
        if not number:
            return 0
        return self.starts[number] if number < len(self.starts) else len(self.deliveries)

    def shrink(self, length: int) -> None:
        """Forget all events from number `length` on."""
        self.rewind(self.start_of(length))

    def rewind(self, deliveries: int) -> None:
        """Forget all but so many deliveries."""
        length = bisect_left(self.starts, deliveries)
        del self.deliveries[deliveries:], self.stands_for[deliveries:], self.starts[length:]
        for changes in reversed(self._undo[length:]):
            self._restore(changes)
        for mid in self.mids[length:]:
            del self.numbers[mid]
        del self._undo[length:], self.mids[length:], self.ranks[length:], self.accesses[length:], self.hards[length:]
        del self.before[length:], self.races[length:], self.direct[length:], self.memos[length:]
        places, below = self.places, (1 << length) - 1
        for rank in places:
            places[rank] &= below

    def add(self, mid: int, rank: int, hard: int, footprint: Footprint, observed: dict[Hashable, int]) -> Access:
        """The next delivery is an event: what it touched. hard: the deliveries that it must follow."""
        if len(self.deliveries) > len(self.mids):
            hard = self._events_of(hard)
        changes: list[tuple[_Object, int, int, int]] = []
        access, soft = self._touch(rank, footprint, observed, changes) if footprint or observed else (NOTHING, 0)
        before = self.before
        direct = soft | hard
        indirect = 0
        left = direct
        while left:
            last = left.bit_length() - 1
            indirect |= before[last]
            left = (left ^ 1 << last) & ~indirect
        number = len(self.mids)
        self.starts.append(len(self.deliveries))
        self.deliveries.append(mid)
        self.stands_for.append(1 << number)
        self.numbers[mid] = number
        self.places[rank] = self.places.get(rank, 0) | 1 << number
        self.memos.append({})
        self.mids.append(mid)
        self.ranks.append(rank)
        self.accesses.append(access)
        self.hards.append(hard)
        self.races.append(soft & ~hard & ~indirect)
        self.direct.append(direct & ~indirect)
        before.append(direct | indirect)
        self._undo.append(changes)
        return access

    def pass_over(self, mid: int, hard: int) -> None:
        """The next delivery touched nothing and is no event."""
        self.deliveries.append(mid)
        self.stands_for.append(self._events_of(hard))

    def retell(self, told: Iterable[Told]) -> None:
        """The events stay, and are told from the beginning with other deliveries around them."""
        del self.deliveries[:], self.stands_for[:], self.starts[:]
        for mid, hard, quiet in told:
            if quiet:
                self.pass_over(mid, hard)
            else:
                self.tell_again()

    def tell_again(self) -> None:
        """The next delivery is the next event that is known already."""
        number = len(self.starts)
        self.starts.append(len(self.deliveries))
        self.deliveries.append(self.mids[number])
        self.stands_for.append(1 << number)

    def quiet(self) -> list[tuple[int, int]]:
        """The deliveries that are no events: mid, and the events that must come before."""
        numbers = self.numbers
        pairs = zip(self.deliveries, self.stands_for, strict=True)
        return [(mid, events) for mid, events in pairs if mid not in numbers]

    def access(self, rank: int, footprint: Footprint, observed: dict[Hashable, int]) -> Access:
        """What an event touches, without its having happened here."""
        changes: list[tuple[_Object, int, int, int]] = []
        access, _ = self._touch(rank, footprint, observed, changes)
        self._restore(changes)
        return access

    def bit_of(self, place: int, key: Hashable) -> int:
        """The bit of an object in every Access, also of one that no event has touched yet. place: an actor's rank."""
        table = self._tables.setdefault(place, {})
        thing = table.get(key)
        if thing is None:
            thing = table[key] = _Object(1 << len(self.objects))
            self.objects.append((place, key))
        return thing.bit

    def independent_of(self, first: int) -> int:
        """All later events that event `first` need not precede."""
        bit = after = 1 << first
        event = bit << 1
        for before in self.before[first + 1 :]:
            if before & bit:
                after |= event
            event <<= 1
        return event - 1 & -bit & ~after

    def _events_of(self, deliveries: int) -> int:
        """The events that stand for a set of deliveries."""
        stands_for = self.stands_for
        events = 0
        while deliveries:  # mostly one
            last = deliveries.bit_length() - 1
            events |= stands_for[last]
            deliveries ^= 1 << last
        return events

    def _touch(
        self,
        rank: int,
        footprint: Footprint,
        observed: dict[Hashable, int],
        changes: list[tuple[_Object, int, int, int]],
    ) -> tuple[Access, int]:
        """Let the next event touch its objects: what it touched, and the earlier events in conflict with it."""
        access, soft = self._touch_at(rank, 2 << rank, footprint, changes)
        if observed:
            seen, conflicts = self._touch_at(_OBSERVED, 1, observed, changes)
            soft |= conflicts
            access = Access(
                access.where | 1,
                access.reads | seen.reads,
                access.adds | seen.adds,
                access.writes | seen.writes,
                access.blind | seen.blind,
            )
        return access, soft

    def _touch_at(
        self, place: int, where: int, touched: Mapping[Any, int], changes: list[tuple[_Object, int, int, int]]
    ) -> tuple[Access, int]:
        """As `_touch`, for the objects of one place, whose bit in `Access.where` is given."""
        event = 1 << len(self.mids)
        soft = reads = adds = writes = blind = 0
        table = self._tables.get(place)
        if table is None:
            table = self._tables[place] = {}
        for key, how in touched.items():
            thing = table.get(key) or self._thing(place, key)
            mode, phase = thing.mode, thing.phase
            changes.append((thing, mode, phase, thing.previous))
            if how == READ:
                reads |= thing.bit
            elif how == COMMUTE:
                adds |= thing.bit
            else:
                writes |= thing.bit
                if how == WRITE:
                    blind |= thing.bit
            if how == mode and how in _SHARED:
                soft |= thing.previous
                thing.phase = phase | event
            else:
                soft |= phase
                thing.mode = how
                thing.previous = phase
                thing.phase = event
        return Access(where, reads, adds, writes, blind), soft

    def _thing(self, place: int, key: Hashable) -> _Object:
        table = self._tables.setdefault(place, {})
        thing = table.get(key)
        if thing is None:
            thing = table[key] = _Object(1 << len(self.objects))
            self.objects.append((place, key))
        return thing

    def _restore(self, changes: list[tuple[_Object, int, int, int]]) -> None:
        for thing, mode, phase, previous in changes:
            thing.mode = mode
            thing.phase = phase
            thing.previous = previous


def members(events: int) -> Iterator[int]:
    """The numbers in a set of events, ascending."""
    while events:
        low = events & -events
        yield low.bit_length() - 1
        events ^= low
