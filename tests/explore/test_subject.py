"""A scenario as a program to be searched: what its executions leave behind, and what its checkers are fed."""

import gc
from typing import Any

from gupsim.explore.subject import scenario_program
from gupsim.protocol.memmap import PageGet
from gupsim.protocol.message import Tracepoint
from gupsim.scenario.choices import kernel
from gupsim.scenario.load import load
from gupsim.search import Dpor, Runs
from gupsim.search.world import ExploredWorld
from gupsim.trace.live import LiveEvents
from gupsim.trace.records import Event
from gupsim.world import planned

SCENARIO = load("S01").scenario
RULES = kernel("v4.20").rules


def test_an_execution_leaves_nothing_to_the_garbage_collector() -> None:
    executions = Dpor().executions(Runs(scenario_program(SCENARIO, RULES)))
    next(executions)
    gc.collect()
    gc.disable()
    try:
        for _ in range(30):
            next(executions)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_one_plan_makes_the_same_world_again_and_again() -> None:
    plan = planned(SCENARIO, RULES, scripted=False)
    first = _played(plan, None)
    assert first
    assert _played(plan, None) == first == _played(planned(SCENARIO, RULES, scripted=False), None)


def test_an_event_has_the_same_number_whether_the_others_are_read_or_not() -> None:
    plan = planned(SCENARIO, RULES, scripted=False)
    gets = [event for event in _played(plan, None) if type(event.point) is PageGet]
    assert gets
    assert _played(plan, {PageGet}) == gets


def _played(plan: Any, only: set[type[Tracepoint]] | None) -> list[Event]:
    """The events of a world whose messages arrive oldest first."""
    events: list[Event] = []
    world: Any = ExploredWorld()
    built = plan.build(world)
    world.on_tracepoint(LiveEvents(events.append, only=only).tracepoint)
    built.boot()
    built.start()
    world.settle()
    return events
