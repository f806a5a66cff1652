"""One execution, event by event, with what was told in it and what is wrong with it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from gupsim.engine.fence import fence
from gupsim.engine.port import ActorPort
from gupsim.protocol.message import Tracepoint
from gupsim.search.access import Access
from gupsim.search.core import ExploredCore
from gupsim.search.execution import Finding, Violation
from gupsim.search.guide import Guide, Label, label_of
from gupsim.search.liveness import stuck
from gupsim.search.order import Order, members
from gupsim.search.runs import Run, Runs

_NUMBER: Final = re.compile(r"\d+")
_BY_CONTEXT: Final = re.compile(r"#\d+|<[0-9.a-z]+")


class Sought(NamedTuple):
    """A kind of violation at a place: what a smaller execution must show too.

    message: without its numbers: which half of a page was torn, or its frame, is the same to us. actors: who took part.
    """

    kind: str
    message: str
    actors: tuple[str, ...]


class Happening(NamedTuple):
    """One event. src: address of the sender, "" for the outside world. points: (context, address, tracepoint).
    delivery: seq, reply_to, context, cause_src and cause_seq of the message, as in a trace."""

    mid: int
    name: str
    label: Label
    src: str
    time: int
    points: tuple[tuple[str, str, Tracepoint], ...]
    delivery: tuple[int, int, str, int, int]


class History:
    """An execution that has ended.

    violations: all that was seen. found: the one that was sought, None if it is not there; at: the number of the
    event in which it was seen, None if that was the end. whole: nothing was left to happen.
    addresses: of the actors, by rank. before, races, hards: by event, sets of earlier events, as in `Order`.
    """

    def __init__(self, events: list[Happening], order: Order, end_time: int, *, whole: bool) -> None:
        self.events = events
        self.before = list(order.before)
        self.races = list(order.races)
        self.hards = list(order.hards)
        self.accesses: list[Access] = list(order.accesses)
        self.objects = order.objects
        self.end_time = end_time
        self.whole = whole
        self.addresses: tuple[str, ...] = ()
        self.violations: tuple[Violation, ...] = ()
        self.found: Violation | None = None
        self.at: int | None = None

    def __len__(self) -> int:
        return len(self.events)

    @property
    def mids(self) -> list[int]:
        """The schedule."""
        return [event.mid for event in self.events]

    @property
    def labels(self) -> list[Label]:
        """What its events are."""
        return [event.label for event in self.events]

    @property
    def switches(self) -> int:
        """How often another context goes on than the one before."""
        contexts = [event.label.context for event in self.events if event.label.context]
        return sum(one != other for one, other in itertools.pairwise(contexts))

    def cone(self) -> list[int]:
        """The mids of the event in which the violation was seen, and of all that it depends on, in order."""
        assert self.at is not None
        return [self.events[number].mid for number in members(self.before[self.at] | 1 << self.at)]


def sought(violation: Violation) -> Sought:
    """What it takes for another violation to be the same one."""
    actors = tuple(_BY_CONTEXT.sub("", actor) for actor in getattr(violation, "actors", ()))
    return Sought(violation.kind, _NUMBER.sub("N", _BY_CONTEXT.sub("", violation.message)), actors)


def play(
    runs: Runs,
    guide: Guide,
    target: Sought | None = None,
    *,
    stop: bool = True,
    watch: Callable[[Happening], object] | None = None,
) -> History:
    """Run the program of `runs` as `guide` says. Diverged comes through.

    target: the violation that is looked for. stop: end with the event in which it is seen. watch: gets each event.
    """
    runs.shrink(0)
    run = runs.open()
    core = run.core
    events: list[Happening] = []
    points: list[tuple[str, str, Tracepoint]] = []
    reader = core.on_tracepoint

    def hear(port: ActorPort, tracepoint: Tracepoint) -> None:
        points.append((port.context, port.address, tracepoint))
        if reader is not None:
            reader(port, tracepoint)

    core.on_tracepoint = hear
    at = None
    seen = 0
    try:
        with fence(core.running):
            while core.count < runs.program.max_events and (core.pending or runs.go_on(run)):
                mid = guide.choose(core)
                if mid is None:
                    break
                item = core.pending[mid][0]
                label = label_of(core, item)
                runs.follow(run, mid)
                src = core.ports[item[2]].address if item[2] >= 0 else ""
                delivery = (item[3], item[5], item[7], item[8], item[9])
                event = Happening(mid, runs.names.text(mid), label, src, item[0], tuple(points), delivery)
                events.append(event)
                points.clear()
                if watch is not None:
                    watch(event)
                violations = _so_far(core, run.built)
                if target is not None and at is None and len(violations) > seen:
                    seen = len(violations)
                    if any(sought(violation) == target for violation in violations):
                        at = core.count - 1
                        if stop:
                            break
            if at is None or not stop:
                guide.end(core)
            whole = not core.pending and not runs.go_on(run)
        history = History(events, runs.order, core.now, whole=whole)
        history.addresses = tuple(port.address for port in core.ports)
        history.violations = tuple(_judged(runs, run))
    finally:
        run.world.close()
        runs.shrink(0)
    history.at = at
    if target is not None:
        history.found = next((found for found in history.violations if sought(found) == target), None)
    return history


def _so_far(core: ExploredCore, built: Any) -> Sequence[Violation]:
    """What is known to be wrong before the end: a suite of checkers tells, and so does a handler that raised."""
    violations: Sequence[Violation] = getattr(built, "violations", ())
    if not core.failures:
        return violations
    return [*_failures(core), *violations]


def _failures(core: ExploredCore) -> list[Violation]:
    return [Finding("actor-failed", why) for why in sorted(map(str, core.failures))]


def _judged(runs: Runs, run: Run[Any]) -> list[Violation]:
    """What is wrong with an execution; if something is left to happen, only what is known by now."""
    core, program = run.core, runs.program
    violations = _failures(core)
    if core.pending:
        if core.count >= program.max_events:
            violations.append(Finding("starvation", f"still running after {core.count} events"))
        return [*violations, *getattr(run.built, "violations", ())]
    if program.deadlocks and not violations:
        violations += stuck(core)
    core.rest()
    if program.check is not None:
        violations += program.check(run.world, run.built)
    return violations
