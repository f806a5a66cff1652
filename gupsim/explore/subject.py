"""What is searched, in a form that crosses process borders: a scenario under one kernel, or any program by name."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from gupsim.actors.rules import KernelRules
from gupsim.checkers import Suite, relates
from gupsim.checkers.checker import Checker
from gupsim.checkers.orders import Related
from gupsim.checkers.suite import ALL_CHECKERS
from gupsim.checkers.violation import Violation
from gupsim.engine.port import ActorPort
from gupsim.explore.script import script_of
from gupsim.outcomes import Witness, WitnessReader
from gupsim.outcomes.evidence import decided_of
from gupsim.outcomes.observables import observables
from gupsim.protocol.message import Tracepoint
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import Kernel, find_value
from gupsim.scenario.claims import claims_of, result_names
from gupsim.scenario.load import Loaded, load_form
from gupsim.scenario.model import Scenario
from gupsim.search.execution import Finding
from gupsim.search.guide import Alike, Guide
from gupsim.search.liveness import stuck
from gupsim.search.program import Program
from gupsim.search.world import ExploredWorld
from gupsim.trace.live import LiveEvents
from gupsim.world import World, planned

MAX_EVENTS: Final = 10_000
MAX_EVENTS_OF_WORKLOAD: Final = 1_000_000


class ScenarioSubject(msgspec.Struct, frozen=True, tag="scenario"):
    """form: the scenario as JSON, as its file would say it. rules: all of them, by name. max_events: of an execution;
    one of more is cut off and counts as starvation. claims: what is looked for beside violations, as texts. states:
    also tell the outcome of every execution."""

    form: str
    rules: dict[str, str]
    seed: int = 0
    max_events: int = MAX_EVENTS
    claims: tuple[str, ...] = ()
    states: bool = False


class ProgramSubject(msgspec.Struct, frozen=True, tag="program"):
    """maker: "package.module:function", which gives a Program; values: its arguments."""

    maker: str
    values: tuple[Any, ...] = ()


class Started(NamedTuple):
    """A world under way, and who watches it."""

    world: World
    suite: Suite
    reader: WitnessReader


Subject = ScenarioSubject | ProgramSubject


def subject_of(
    loaded: Loaded, kernel: Kernel, *, seed: int = 0, claims: Iterable[str] = (), states: bool = False
) -> ScenarioSubject:
    """A scenario under a kernel. claims: of these, those that are more than a kind of violation are looked for."""
    rules = {name: str(getattr(kernel.rules, name).value) for name in kernel.rules.__struct_fields__}
    form = json.dumps(file_form(loaded.scenario), sort_keys=True, separators=(",", ":"))
    max_events = MAX_EVENTS if loaded.scenario.workload is None else MAX_EVENTS_OF_WORKLOAD
    return ScenarioSubject(form, rules, seed, max_events, tuple(claims_of(claims)), states)


def program_of(subject: Subject) -> Program[Any]:
    """What a strategy can run."""
    if isinstance(subject, ProgramSubject):
        module, _, name = subject.maker.partition(":")
        maker: Callable[..., Program[Any]] = getattr(importlib.import_module(module), name)
        return maker(*subject.values)
    scenario = scenario_of(subject)
    chosen: dict[str, Any] = {name: find_value(name, value) for name, value in subject.rules.items()}
    rules = KernelRules(**chosen)
    return scenario_program(
        scenario,
        rules,
        seed=subject.seed,
        max_events=subject.max_events,
        claims=subject.claims,
        states=subject.states,
    )


def scenario_of(subject: ScenarioSubject) -> Scenario:
    """The scenario itself."""
    return load_form(json.loads(subject.form)).scenario


def scenario_program(
    scenario: Scenario,
    rules: KernelRules,
    *,
    seed: int = 0,
    max_events: int = MAX_EVENTS,
    checkers: tuple[type[Checker], ...] = ALL_CHECKERS,
    claims: Iterable[str] = (),
    states: bool = False,
) -> Program[Started]:
    """A scenario without its script: steps go on when the one before is done, whatever `after` and `until` say.

    Boot and mount are not explored, nor are threads that come last: nothing races with those. Checkers tell no
    stories: a replay of what is found does. The first execution is what the script shows, as nearly as a world without
    its gates allows. claims, states: as of `ScenarioSubject`. The state of an execution at its end is a `Witness`.
    """

    plan = planned(scenario, rules, scripted=False)
    compared = relates(checkers)
    sought = claims_of(claims)
    named = {name: found[0] for name, found in result_names(scenario).items()}
    content = any(claim.file or claim.disk or claim.memory for claim in sought.values())
    content = content or (states and observables(scenario).content)

    def orders(port: ActorPort, point: Tracepoint) -> Related:
        return compared(port.address, point)

    def start(world: ExploredWorld) -> Started:
        # The engine of a search takes no latencies and no codec: messages are not copied within one process.
        engine: Any = world
        built = plan.build(engine)
        reader = WitnessReader()
        suite = Suite(checkers, stories=False, beside=(reader,))
        world.relate_all(orders)
        world.on_tracepoint(LiveEvents(suite.feed, only=suite.reads).tracepoint)
        built.boot()
        world.settle()
        built.start()
        return Started(built, suite, reader)

    def check(world: ExploredWorld, started: Started) -> list[Violation | Finding]:
        # What comes last races with nothing: nobody asks what it touches.
        world.recorder.looking = False
        deadlocks = stuck(world.core) if sought else []
        if started.world.finish():
            world.settle()
        if content:
            started.world.look()
            world.settle()
        violations = started.suite.finish(world.now)
        kinds = {*(found.kind for found in deadlocks), *(found.kind for found in violations)}
        witness = started.reader.witness()
        shown = [text for text, claim in sought.items() if witness.holds(claim, named, kinds)]
        return [*violations, *(Finding(text, f"it ends with {text}") for text in shown)]

    def state(_: ExploredWorld, started: Started) -> Witness:
        return started.reader.witness(decided_of(plan.rules))

    def first() -> Guide:
        return Alike(script_of(scenario, rules, seed))

    return Program(start, check, state=state, first=first, seed=seed, max_events=max_events)
