"""The first execution of a search: what the scenario's script shows in a timed run."""

from __future__ import annotations

from typing import Any

from gupsim.actors.rules import KernelRules
from gupsim.scenario.model import Scenario
from gupsim.search.guide import Label, label_of
from gupsim.world import build


def script_of(scenario: Scenario, rules: KernelRules, seed: int) -> list[Label]:
    """What was delivered in a timed run, in order, boot left out: nobody explores it.

    A workload has no script, and its run may be long."""
    if scenario.workload is not None:
        return []
    world = build(scenario, rules, seed=seed, codec=False)
    world.boot()
    world.timed.run()
    labels: list[Label] = []
    core: Any = world.timed.core
    world.timed.on_delivery = lambda item: labels.append(label_of(core, item))
    world.start()
    world.timed.run()
    world.timed.close()
    return labels
