"""Why an execution goes wrong: the races that decide it, and how the nearest one that is fine differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from gupsim.checkers.story import is_noise
from gupsim.replay.errors import Diverged
from gupsim.replay.guide import Preferred
from gupsim.replay.history import Happening, History, Sought, play
from gupsim.replay.objects import clash, in_words
from gupsim.search.order import members
from gupsim.search.runs import Runs

LIMIT: Final = 400
"""Races that are turned round at most, the last ones first."""

EVENTS: Final = 200_000
"""Events that may be run for that: a few seconds."""

SHOWN: Final = 3
"""Deciding races that are kept."""


class Side(NamedTuple):
    """One event of a race. context: who; what: its tracepoints, or else its message. number: counted from 1."""

    number: int
    context: str
    what: str


class Race(NamedTuple):
    """Two events in conflict, in the order in which they happened. objects: what both touched, in kernel words."""

    first: Side
    second: Side
    objects: tuple[str, ...]


class Why(NamedTuple):
    """Why it goes wrong.

    races: that decide it, the last first: turned round, one of them alone, the violation is not there.
    fine: the nearest execution without it, None if none was found. only_wrong, only_fine: what is told in one of the
    two, after their common beginning. tried: races turned round, limited: not all of them were.
    """

    races: tuple[Race, ...]
    fine: History | None
    only_wrong: tuple[str, ...]
    only_fine: tuple[str, ...]
    tried: int
    limited: bool


def explain(
    runs: Runs,
    history: History,
    target: Sought,
    *,
    limit: int = LIMIT,
    progress: Callable[[int, int], None] | None = None,
) -> Why:
    """Turn the races of an execution round, one at a time from the end. progress: tried so far, and at most."""
    pairs = list(_races(history))
    limit = min(limit, max(EVENTS // max(len(history), 1), 1))
    address = _addresses(runs)
    deciding: list[Race] = []
    nearest: tuple[bool, History] | None = None
    known: set[tuple[str, str]] = set()
    tried = 0
    for first, second in pairs[:limit]:
        if len(deciding) >= SHOWN:
            break
        tried += 1
        if progress is not None:
            progress(tried, min(limit, len(pairs)))
        other = _reversed(runs, history, first, second, target)
        if other is None or other.found is not None:
            continue
        clean = not other.violations
        if nearest is None or (clean and not nearest[0]):
            nearest = (clean, other)
        race = _race(history, first, second, address)
        ends = (race.first.what, race.second.what)
        if ends not in known:
            known.add(ends)
            deciding.append(race)
    fine = nearest[1] if nearest is not None else None
    wrong_only, fine_only = difference(history, fine) if fine is not None else ((), ())
    limited = tried < len(pairs) and len(deciding) < SHOWN
    return Why(tuple(deciding), fine, wrong_only, fine_only, tried, limited)


def difference(wrong: History, fine: History) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is told in one of two executions only, or not at that place."""
    one, two = _told(wrong), _told(fine)
    only_one: list[str] = []
    only_two: list[str] = []
    for change, start, end, start2, end2 in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if change != "equal":
            only_one += one[start:end]
            only_two += two[start2:end2]
    both = set(only_one) & set(only_two)
    moved = [line for line in only_one if line in both]
    # What both tell, in another order, is told by the races already.
    first = [line for line in only_one if line not in moved]
    second = [line for line in only_two if line not in moved]
    return tuple(dict.fromkeys(first)), tuple(dict.fromkeys(second))


def _races(history: History) -> Iterator[tuple[int, int]]:
    """(first, second) of every race, the latest second first, then the latest first."""
    for second in range(len(history) - 1, -1, -1):
        for first in reversed(list(members(history.races[second]))):
            yield first, second


def _reversed(runs: Runs, history: History, first: int, second: int, target: Sought) -> History | None:
    """The nearest execution in which `second` comes before `first`: what does not depend on `first` goes ahead.

    Then `first` follows at once; or, if that is no better, it and what it causes only when all the rest is done.
    """
    bit = 1 << first
    ahead = [number for number in range(first + 1, second) if not history.before[number] & bit]
    mids = history.mids
    exactly = [*mids[:first], *(mids[number] for number in ahead), mids[second]]
    late = bit
    for number in range(first + 1, len(mids)):
        late |= (1 << number) if history.hards[number] & late else 0
    waits = [mid for number, mid in enumerate(mids) if late >> number & 1]
    goes_on = [mid for number, mid in enumerate(mids) if not late >> number & 1]
    other = None
    for then in (mids, [*goes_on, *waits]):
        try:
            other = play(runs, Preferred(exactly, then), target)
        except Diverged:
            return None
        if other.found is None:
            break
    return other


def _race(history: History, first: int, second: int, address: Callable[[int], str]) -> Race:
    objects = clash(history.accesses[first], history.accesses[second])
    words = in_words(objects, history.objects, address)
    return Race(_side(history, first), _side(history, second), tuple(words[:3]))


def _side(history: History, number: int) -> Side:
    event = history.events[number]
    what = what_of(event)
    if not event.points:
        # A step on the way: what it led to says more.
        context = event.label.context
        later = (other for other in history.events[number + 1 :] if other.label.context == context)
        told = next((point.say() for other in later for _, _, point in other.points if not is_noise(point)), "")
        what += f", on the way to: {told}" if told else ""
    return Side(number + 1, context_name(event), what)


def context_name(event: Happening) -> str:
    """Who, without the host: "app", "block/sda", "dma/nic#1"."""
    return _local(event.label.context or event.label.dst)


def what_of(event: Happening) -> str:
    """What an event did: what it told, else what its message is."""
    told = [point.say() for _, _, point in event.points if not is_noise(point)]
    told = told or [point.say() for _, _, point in event.points]
    if told:
        return "; ".join(told[:2])
    at = _local(event.label.dst)
    if not event.label.kind:
        return f"goes on at {at}"
    if event.name.endswith("answer"):
        return f"goes on at {at} after {event.label.kind} of {_local(event.src)}"
    return f"{event.label.kind} at {at}"


def _told(history: History) -> list[str]:
    return [
        f"{context_name(event)}: {point.say()}"
        for event in history.events
        for _, _, point in event.points
        if not is_noise(point)
    ]


def _addresses(runs: Runs) -> Callable[[int], str]:
    run = runs.open()
    addresses = [port.address for port in run.core.ports]
    run.world.close()

    def address(rank: int) -> str:
        return _local(addresses[rank])

    return address


def _local(address: str) -> str:
    """Without the host."""
    return address.partition("/")[2] or address
