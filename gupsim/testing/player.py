"""One execution under a schedule that is told by where it leaves the usual order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from gupsim.actors.base.footprint import COMMUTE, READ, Footprint
from gupsim.engine.core import Item
from gupsim.engine.fence import fence
from gupsim.engine.task import Part, Task
from gupsim.search.core import ExploredCore
from gupsim.search.execution import Execution
from gupsim.search.runs import Runs

Chooser: TypeAlias = Callable[[ExploredCore, str, int], int]
"""Given the core, the context of the last event and the number of the next one: which mid comes next."""

_MAX_TEXT: Final = 72


class Event(msgspec.Struct, frozen=True):
    """One event. context: whose; actor: where; what: a line for people; touches: what it read and wrote there.

    usual: the mid that would have come next in the usual order. open: the previous context could have gone on.
    """

    mid: int
    context: str
    actor: str
    what: str
    touches: str
    usual: int
    open: bool


class History(msgspec.Struct, frozen=True):
    """An execution with its events. error: what the test itself raised."""

    execution: Execution
    events: tuple[Event, ...]
    error: BaseException | None

    @property
    def deviations(self) -> dict[int, int]:
        """By number of event, the mid that came in the place of the usual one."""
        return {number: event.mid for number, event in enumerate(self.events) if event.mid != event.usual}

    @property
    def switches(self) -> int:
        """How often another context went on than before."""
        return sum(one.context != other.context for one, other in zip(self.events, self.events[1:], strict=False))

    @property
    def interruptions(self) -> int:
        """Those switches at which the context could have gone on."""
        return sum(
            other.open and one.context != other.context
            for one, other in zip(self.events, self.events[1:], strict=False)
        )

    @property
    def cost(self) -> tuple[int, int, int]:
        """What makes a schedule hard to follow, worst first."""
        return (self.interruptions, self.switches, len(self.events))

    def digest(self) -> str:
        """Tells this history apart from others, on any machine."""
        text = "\n".join(f"{event.actor} {event.what}" for event in self.events)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def play(runs: Runs, choose: Chooser) -> History:
    """Run one execution to its end."""
    run = runs.open()
    core = run.core
    recorder = run.world.recorder
    recorder.looking = True
    events: list[Event] = []
    context = ""
    with fence(core.running):
        while core.count < runs.program.max_events and runs.go_on(run):
            usual, goes_on = usual_choice(core, context)
            mid = choose(core, context, len(events))
            item = core.pending[mid][0]
            whose, what = context_of(core, item), _what(core, item)
            recorder.taken()
            core.step(mid)
            touches = _touches(recorder.taken())
            events.append(Event(mid, whose, core.name_of(item[1]), what, touches, usual, goes_on))
            context = whose
    execution = runs.end(run, [event.mid for event in events])
    return History(execution, tuple(events), run.built.error)


def usual_choice(core: ExploredCore, context: str) -> tuple[int, bool]:
    """The usual order: whoever was at work goes on, or else what waits longest. True if he could go on."""
    for mid, (item, _) in core.pending.items():
        if context and context_of(core, item) == context:
            return mid, True
    return next(iter(core.pending)), False


def leaving(deviations: Mapping[int, int]) -> Chooser:
    """The usual order but for these events. A message that cannot come then is left to the usual order."""

    def choose(core: ExploredCore, context: str, number: int) -> int:
        mid = deviations.get(number)
        return mid if mid in core.pending else usual_choice(core, context)[0]

    return choose


def following(schedule: list[int], merge: int) -> Chooser:
    """As `schedule`, except that from event `merge` on the context before it goes on for as long as it can."""
    place = {mid: number for number, mid in enumerate(schedule)}
    after: list[str] = []

    def choose(core: ExploredCore, context: str, number: int) -> int:
        if number == merge:
            after.append(context)
        if after and context == after[0]:
            usual, goes_on = usual_choice(core, context)
            if goes_on:
                return usual
            after[:] = [""]
        return min(core.pending, key=lambda mid: place.get(mid, len(place) + mid))

    return choose


def context_of(core: ExploredCore, item: Item) -> str:
    """In which context a delivery goes on."""
    token = item[5]
    port = core.ports[item[1]]
    if token < 0:
        return port.context_of(item)
    waiting: Task | Part | None = port.waiting.get(token)
    if isinstance(waiting, Part):
        waiting = port.waiting.get(waiting.join.token)
    return waiting.context if isinstance(waiting, Task) else item[7] or port.address


def _what(core: ExploredCore, item: Item) -> str:
    token = item[5]
    port = core.ports[item[1]]
    if token < 0:
        sender = core.name_of(item[2])
        return _short(item[4]) + (f" of {sender}" if sender else "")
    if item[4] is not None and item[2] != item[1]:
        return f"{_short(item[4])}, the answer of {core.name_of(item[2])}"
    reason = port.reasons.get(token)
    if repr(item[4]) == "TIMED_OUT":
        return f"time-out: no {reason}" if reason else "a time-out that comes too late"
    return f"gets {reason}" if reason else "goes on"


def _touches(footprint: Footprint) -> str:
    """ "reads balance, writes lock"; engine bookkeeping left out."""
    words: dict[str, list[str]] = {}
    for (field, key), mode in footprint.items():
        if field not in ("token", "context"):
            name = f"{field} {key}" if key != "" else field.removeprefix("self.")
            verb = "reads" if mode == READ else "adds to" if mode == COMMUTE else "writes"
            words.setdefault(verb, []).append(name)
    return "; ".join(f"{verb} {', '.join(dict.fromkeys(names))}" for verb, names in sorted(words.items()))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."
