"""What a replay file says: which world, which order of events, which violation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec

from gupsim.replay.errors import BadRecording
from gupsim.search.names import ANSWER, OUTSIDE, TIMER, Names

FORMAT: Final = "gupsim-replay"
FORMAT_VERSION: Final = 1

MAX_EVENTS: Final = 100_000
MAX_STEP: Final = 100_000
"""Messages that one event may have sent before the one that is named: a name numbers all of them."""

Row = tuple[
    Annotated[int, msgspec.Meta(ge=-MAX_EVENTS, le=MAX_EVENTS)],
    Annotated[int, msgspec.Meta(ge=TIMER, le=MAX_STEP)],
]
"""The causal name of a message: who sent it (0 the outside world, n the n-th event of `Schedule.events`, -n the n-th
row of `Schedule.others`), and which of its messages it is, from 0; or ANSWER or TIMER."""

Word = Annotated[str, msgspec.Meta(max_length=300)]
Line = Annotated[str, msgspec.Meta(max_length=20_000)]
Index = Annotated[int, msgspec.Meta(ge=0, lt=MAX_EVENTS)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a recording."""


class Place(Part, frozen=True, kw_only=True):
    """A scenario: by name, by digest, and itself.

    file: as `gupsim` was given it. digest: of that file. form: the scenario that was run, in its canonical form.
    kept: if it was cut down, the steps of the file's threads that are left, by number from 0; {} if it was not.
    """

    file: Word
    title: Word
    digest: Word
    form: dict[str, Any]
    kept: dict[Word, tuple[Index, ...]] = {}


class Choice(Part, frozen=True, kw_only=True):
    """A kernel: how it was chosen, and all of its rules as they were then. platform: x86 in recordings that were made
    before there were others."""

    era: Word
    platform: Word = "x86"
    policies: tuple[Word, ...] = ()
    settings: tuple[tuple[Word, Word], ...] = ()
    rules: dict[Word, Word]


class Expected(Part, frozen=True, kw_only=True):
    """The violation. actors: addresses of those who took part, () if the search itself saw it."""

    kind: Word
    message: Line
    actors: tuple[Word, ...] = ()


class Schedule(Part, frozen=True, kw_only=True):
    """Events in the order of delivery, named by what causes them and never by position among what was possible.

    words: message classes and addresses. what: for each event, (class, address) as numbers of words, for a reader
    and to notice a changed program. others: names that others are built on and that are no events of the schedule.
    whole: the execution ends with the last event; otherwise the violation shows there and more would follow.
    """

    words: Annotated[tuple[Word, ...], msgspec.Meta(max_length=10_000)]
    events: Annotated[tuple[Row, ...], msgspec.Meta(max_length=MAX_EVENTS)]
    what: Annotated[tuple[tuple[Index, Index], ...], msgspec.Meta(max_length=MAX_EVENTS)]
    others: Annotated[tuple[Row, ...], msgspec.Meta(max_length=MAX_EVENTS)] = ()
    whole: bool = True


class Recording(Part, frozen=True, kw_only=True):
    """One replay file. gupsim: the version that wrote it. scenario: None for an actor program of a test, `program`
    names that. strategy, seed: what found the violation. seed_of_actors: of their random streams."""

    format: Word
    version: int
    gupsim: Word
    scenario: Place | None = None
    program: Word = ""
    kernel: Choice | None = None
    strategy: Word = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    seed_of_actors: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    expected: Expected
    schedule: Schedule


def schedule_of(names: Names, mids: Sequence[int], what: Iterable[tuple[str, str]], *, whole: bool = True) -> Schedule:
    """A schedule by its mids. what: class and address of each event's message, ("", address) for a wake."""
    numbers = {mid: number for number, mid in enumerate(mids, start=1)}
    numbers[OUTSIDE] = 0
    others: list[int] = []
    for mid in mids:
        missing = []
        parent = names.parents[mid]
        while parent not in numbers:
            missing.append(parent)
            numbers[parent] = 0  # its number follows, when those above it have theirs
            parent = names.parents[parent]
        for parent in reversed(missing):
            others.append(parent)
            numbers[parent] = -len(others)
    words: dict[str, int] = {}
    described = tuple((words.setdefault(kind, len(words)), words.setdefault(dst, len(words))) for kind, dst in what)
    return Schedule(
        words=tuple(words),
        events=tuple((numbers[names.parents[mid]], names.path(mid)[-1]) for mid in mids),
        what=described,
        others=tuple((numbers[names.parents[mid]], names.path(mid)[-1]) for mid in others),
        whole=whole,
    )


def mids_of(schedule: Schedule, names: Names) -> list[int]:
    """The mids of the events among `names`; BadRecording if it names something twice or in a circle."""
    rows = {**{-n: row for n, row in enumerate(schedule.others, start=1)}}
    rows |= dict(enumerate(schedule.events, start=1))
    known = {0: OUTSIDE}
    for start in rows:
        path: list[int] = []
        at = start
        while at not in known:
            if at not in rows or len(path) > len(rows):
                raise BadRecording(f"its event {start} is sent by no event of it")
            path.append(at)
            at = rows[at][0]
        for number in reversed(path):
            parent, step = rows[number]
            known[number] = _named(names, known[parent], step, number)
    mids = [known[number] for number in range(1, len(schedule.events) + 1)]
    if len(set(mids)) != len(mids):
        raise BadRecording("it names one event twice")
    return mids


def described(schedule: Schedule, number: int) -> tuple[str, str]:
    """Class and address of the message of event `number`, from 0."""
    kind, dst = schedule.what[number]
    return schedule.words[kind], schedule.words[dst]


def check(recording: Recording) -> None:
    """What the types do not say; BadRecording if it is wrong."""
    schedule = recording.schedule
    if len(schedule.what) != len(schedule.events):
        raise BadRecording(f"it describes {len(schedule.what)} of {len(schedule.events)} events")
    if any(index >= len(schedule.words) for pair in schedule.what for index in pair):
        raise BadRecording("an event is described by a word that is not there")
    total = sum(max(step, 0) for _, step in (*schedule.events, *schedule.others))
    if total > 2 * MAX_EVENTS:
        raise BadRecording("its events are numbered higher than any execution does")
    if (recording.scenario is None) != (recording.kernel is None):
        raise BadRecording("it has a scenario or a kernel, but not both")
    mids_of(schedule, Names())


def _named(names: Names, parent: int, step: int, number: int) -> int:
    if step >= 0:
        while len(names.children[parent]) <= step:
            names.next_child(parent)
        return names.children[parent][step]
    if parent == OUTSIDE:
        raise BadRecording(f"its event {number} is an answer to the outside world")
    return names.answer(parent) if step == ANSWER else names.timer(parent)
