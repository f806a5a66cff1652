"""From a recording to the same execution again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from gupsim.checkers import Suite
from gupsim.checkers.violation import Violation as Told
from gupsim.replay.case import Case, Kept, case_of, composed, cut
from gupsim.replay.changes import (
    changed_scenario,
    changed_version,
    chosen_now,
    current,
    kernel_as_recorded,
    rules_of,
)
from gupsim.replay.errors import BadRecording, Changed, Diverged, NotReproduced
from gupsim.replay.file import recorded
from gupsim.replay.guide import Fallback, Strict
from gupsim.replay.history import History, Sought, play, sought
from gupsim.replay.minimise import Minimised, Minimiser
from gupsim.replay.recording import Expected, Recording, Schedule, mids_of, schedule_of
from gupsim.scenario.choices import ChoiceError, Kernel
from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.load import Loaded, load, load_form
from gupsim.search.execution import Violation
from gupsim.search.program import Program
from gupsim.search.runs import Runs
from gupsim.search.world import ExploredWorld
from gupsim.trace.live import LiveEvents
from gupsim.trace.records import Event


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that was played again.

    changes: what was not as recorded, () if all was. left: where the execution left the recording, None if nowhere.
    violations: of it, with their stories; found: the recorded one, None if it is not there. events: tracepoints.
    """

    recording: Recording
    case: Case
    runs: Runs
    history: History
    violations: tuple[Told, ...]
    events: tuple[Event, ...]
    changes: tuple[str, ...] = ()
    left: Diverged | None = None

    @property
    def found(self) -> Violation | None:
        """The violation that was recorded."""
        return self.history.found

    @property
    def target(self) -> Sought:
        """What a smaller execution must show."""
        return target_of(self.recording.expected)


def replay(recording: Recording, *, name: str = "", scenario: str = "", fallback: bool = False) -> Replayed:
    """Play a recording again.

    name: of its file, for messages. scenario: the scenario to play it on, instead of the one that it names.
    Changed if that, the rules or gupsim itself are not what they were; Diverged where the execution leaves the
    recording; NotReproduced if it ends without the violation. fallback: none of the three.
    """
    case, changes = _case(recording, scenario)
    if changes and not fallback:
        raise Changed(name or "the recording", changes)
    replayed, left = _played(recording, case, fallback=fallback)
    if fallback:
        return replace(replayed, changes=tuple(changes), left=left)
    expected = recording.expected
    if not any(found.kind == expected.kind and found.message == expected.message for found in replayed.violations):
        there = "; ".join(f"{found.kind}: {found.message}" for found in replayed.violations) or "no violation"
        raise NotReproduced(
            f"{name or 'the recording'}: was followed to its end, event {len(replayed.history)}, but there is no"
            f" {expected.kind}: {expected.message} -- instead there is {there} (--fallback shows it)"
        )
    return replayed


def record(
    loaded: Loaded,
    kernel: Kernel,
    paths: Sequence[tuple[int, ...]],
    violation: Violation,
    *,
    strategy: str = "",
    seed: int = 0,
    seed_of_actors: int = 0,
) -> Recording:
    """A violation that a search found, ready to be saved. paths: of the messages, in the order of delivery, as
    `Names.path` gives them. strategy, seed: of the search. The execution is run once more."""
    case = case_of(loaded, kernel, seed=seed_of_actors, claims=(violation.kind,))
    runs = Runs(case.program)
    mids = [runs.names.at(path) for path in paths]
    history = play(runs, Strict(mids), sought(violation), stop=False)
    recording = recorded(loaded, kernel, schedule_from(runs, history), violation, strategy=strategy, seed=seed)
    return replace(recording, seed_of_actors=seed_of_actors)


def schedule_from(runs: Runs, history: History) -> Schedule:
    """What is to be saved of an execution."""
    what = [(label.kind, label.dst) for label in history.labels]
    return schedule_of(runs.names, history.mids, what, whole=history.whole)


def minimised(replayed: Replayed, minimiser: Minimiser | None = None) -> tuple[Recording, Minimised]:
    """The smallest execution found that shows the recorded violation, as a recording, and how it was found."""
    minimiser = minimiser or Minimiser(replayed.target)
    result = minimiser.shrink(replayed.case, replayed.runs, replayed.history)
    recording, case, history = replayed.recording, result.case, result.history
    assert history.found is not None
    assert case.loaded is not None
    assert case.kernel is not None
    assert recording.scenario is not None
    outer = recording.scenario.kept
    kept = composed(outer, case.kept) if case.is_cut or outer else {}
    anew = recorded(
        case.loaded,
        case.kernel,
        schedule_from(result.runs, history),
        history.found,
        strategy=recording.strategy,
        seed=recording.seed,
        cut=case.scenario,
        kept=kept,
    )
    return replace(anew, seed_of_actors=recording.seed_of_actors), result


def target_of(expected: Expected) -> Sought:
    """What counts as the recorded violation."""
    return sought(_Named(expected.kind, expected.message, expected.actors))


class _Named(msgspec.Struct, frozen=True):
    kind: str
    message: str
    actors: tuple[str, ...]


class _Tapped(ExploredWorld):
    """A world of which all tracepoints are heard by `reader` too, from the first on."""

    def __init__(self, world: ExploredWorld, reader: Callable[[Event], object]) -> None:
        self.__dict__ = world.__dict__
        self._hear = LiveEvents(reader).tracepoint
        self.core.on_tracepoint = self._hear

    def on_tracepoint(self, reader: Any) -> None:
        def both(port: Any, tracepoint: Any) -> None:
            self._hear(port, tracepoint)
            reader(port, tracepoint)

        self.core.on_tracepoint = both


def _played(recording: Recording, case: Case, *, fallback: bool) -> tuple[Replayed, Diverged | None]:
    program: Program[Any] = case.program
    events: list[Event] = []

    def build(world: ExploredWorld) -> Any:
        return program.build(_Tapped(world, events.append))

    runs = Runs(replace(program, build=build))
    schedule = recording.schedule
    mids = mids_of(schedule, runs.names)
    guide = Fallback(mids, schedule) if fallback else Strict(mids, schedule)
    history = play(runs, guide, target_of(recording.expected), stop=False)
    told = _in_time(events)
    silent = Runs(program)
    silent.names = runs.names
    replayed = Replayed(
        recording=recording,
        case=case,
        runs=silent,
        history=history,
        violations=tuple(_told(history, told)),
        events=told,
    )
    return replayed, guide.left if isinstance(guide, Fallback) else None


def _in_time(events: Sequence[Event]) -> tuple[Event, ...]:
    """In a search time grows along causes only; in what a person reads it must not run backwards."""
    latest = 0
    told = []
    for event in events:
        latest = max(latest, event.time)
        told.append(event if event.time == latest else replace(event, time=latest))
    return tuple(told)


def _told(history: History, events: Sequence[Event]) -> list[Told]:
    """The violations as people get to see them: a search's checkers tell no stories."""
    suite = Suite()
    for event in events:
        suite.feed(event)
    told = suite.finish(history.end_time) if history.whole else suite.violations
    own = [found for found in history.violations if not isinstance(found, Told)]
    return [*told, *(_of_search(found, history) for found in own)]


def _of_search(found: Violation, history: History) -> Told:
    """A violation that the search itself saw: a deadlock, a handler that raised. Its message names an actor."""
    addresses = sorted({event.label.dst for event in history.events}, key=lambda name: (-len(name), name))
    at = next((name for name in addresses if name in found.message), addresses[0] if addresses else "")
    return Told(kind=found.kind, time_ns=history.end_time, message=found.message, actors=(at,))


def _case(recording: Recording, scenario: str) -> tuple[Case, list[str]]:
    """What is to be played, and in what it differs from what was recorded."""
    place, choice = recording.scenario, recording.kernel
    if place is None or choice is None:
        raise BadRecording(f"it was recorded by a test of {recording.program or 'actors'}; that test replays it")
    changes = changed_version(recording)
    now, problems = _now(recording, scenario)
    changes += problems or changed_scenario(place, now)
    rules, differences = rules_of(choice)
    changes += differences
    try:
        kernel = chosen_now(choice) if rules is None or differences else kernel_as_recorded(choice, rules)
        if now is not None and now.digest != place.digest:
            form = cut(now.scenario, place.kept) if place.kept else now.scenario
            loaded = Loaded(form, now.file, now.digest)
        else:
            loaded = Loaded(load_form(place.form, place.file).scenario, place.file, place.digest)
            _check_kept(place.kept, loaded)
        case = case_of(loaded, kernel, seed=recording.seed_of_actors, claims=(recording.expected.kind,))
    except (ChoiceError, ScenarioError) as error:
        # Nothing can be played at all: with what changed, if that is why.
        raise BadRecording("; ".join([*changes, f"it cannot be played here: {error}"])) from None
    return case, changes


def _check_kept(kept: Kept, loaded: Loaded) -> None:
    """BadRecording if that is not what was kept of this scenario."""
    if kept and {name: len(steps) for name, steps in kept.items()} != {
        name: len(thread.steps) for name, thread in loaded.scenario.threads.items()
    }:
        raise BadRecording("it says that other steps are left of its scenario than are in it")


def _now(recording: Recording, scenario: str) -> tuple[Loaded | None, list[str]]:
    """The scenario as it is now, and why it cannot be read if it cannot."""
    assert recording.scenario is not None
    if scenario:
        return load(scenario), []
    try:
        return current(recording.scenario), []
    except ScenarioError as error:
        return None, [f"its scenario cannot be read any more: {error}"]
