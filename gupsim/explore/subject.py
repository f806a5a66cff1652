"""What is searched, in a form that crosses process borders: a scenario under one kernel, or any program by name."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from actors.rules import KernelRules
from gupsim.checkers import Suite
from gupsim.checkers.checker import Checker
from gupsim.checkers.suite import ALL_CHECKERS
from gupsim.checkers.violation import Violation
from gupsim.explore.relations import relations
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import Kernel, find_value
from gupsim.scenario.load import Loaded, load_form
from gupsim.scenario.model import Scenario
from gupsim.search.program import Program
from gupsim.search.world import ExploredWorld
from gupsim.trace.live import LiveEvents
from gupsim.world import World, planned

MAX_EVENTS: Final = 10_000
MAX_EVENTS_OF_WORKLOAD: Final = 1_000_000


class ScenarioSubject(msgspec.Struct, frozen=True, tag="scenario"):
    """form: the scenario as JSON, as its file would say it. rules: all of them, by name. max_events: of an execution;
    one of more is cut off and counts as starvation."""

    form: str
    rules: dict[str, str]
    seed: int = 0
    max_events: int = MAX_EVENTS


class ProgramSubject(msgspec.Struct, frozen=True, tag="program"):
    """maker: "package.module:function", which gives a Program; values: its arguments."""

    maker: str
    values: tuple[Any, ...] = ()


Subject = ScenarioSubject | ProgramSubject


def subject_of(loaded: Loaded, kernel: Kernel, *, seed: int = 0) -> ScenarioSubject:
    """A scenario under a kernel."""
    rules = {name: str(getattr(kernel.rules, name).value) for name in kernel.rules.__struct_fields__}
    form = json.dumps(file_form(loaded.scenario), sort_keys=True, separators=(",", ":"))
    max_events = MAX_EVENTS if loaded.scenario.workload is None else MAX_EVENTS_OF_WORKLOAD
    return ScenarioSubject(form, rules, seed, max_events)


def program_of(subject: Subject) -> Program[Any]:
    """What a strategy can run."""
    if isinstance(subject, ProgramSubject):
        module, _, name = subject.maker.partition(":")
        maker: Callable[..., Program[Any]] = getattr(importlib.import_module(module), name)
        return maker(*subject.values)
    scenario = load_form(json.loads(subject.form)).scenario
    chosen: dict[str, Any] = {name: find_value(name, value) for name, value in subject.rules.items()}
    rules = KernelRules(**chosen)
    return scenario_program(scenario, rules, seed=subject.seed, max_events=subject.max_events)


def scenario_program(
    scenario: Scenario,
    rules: KernelRules,
    *,
    seed: int = 0,
    max_events: int = MAX_EVENTS,
    checkers: tuple[type[Checker], ...] = ALL_CHECKERS,
) -> Program[tuple[World, Suite]]:
    """A scenario without its script: steps go on when the one before is done, whatever `after` and `until` say.

    Boot and mount are not explored, nor are threads that come last: nothing races with those. Checkers tell no
    stories: a replay of what is found does.
    """

    plan = planned(scenario, rules, scripted=False)

    def start(world: ExploredWorld) -> tuple[World, Suite]:
        # The engine of a search takes no latencies and no codec: messages are not copied within one process.
        engine: Any = world
        built = plan.build(engine)
        suite = Suite(checkers, stories=False)
        world.relate_all(relations)
        world.on_tracepoint(LiveEvents(suite.feed, only=suite.reads).tracepoint)
        built.boot()
        world.settle()
        built.start()
        return built, suite

    def check(world: ExploredWorld, started: tuple[World, Suite]) -> list[Violation]:
        built, suite = started
        # What comes last races with nothing: nobody asks what it touches.
        world.recorder.looking = False
        if built.finish():
            world.settle()
        return suite.finish(world.now)

    return Program(start, check, seed=seed, max_events=max_events)
