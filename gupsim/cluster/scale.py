"""A scenario made larger or smaller from the command line."""

from __future__ import annotations

import msgspec

from gupsim.cluster.errors import ConfigError
from gupsim.scenario.canonical import file_form
from gupsim.scenario.load import Loaded, load_form


def scaled(loaded: Loaded, *, hosts: int = 0, duration: str = "") -> Loaded:
    """With so many hosts, and a workload of so much virtual time; 0 and "" leave it as it is.

    Scenario errors come out as for a file. ConfigError if there is nothing to scale.
    """
    scenario = loaded.scenario
    if hosts:
        scenario = msgspec.structs.replace(scenario, machine=msgspec.structs.replace(scenario.machine, hosts=hosts))
    if duration:
        if scenario.workload is None:
            raise ConfigError(f"{loaded.file} has no workload: its duration cannot be set")
        scenario = msgspec.structs.replace(
            scenario, workload=msgspec.structs.replace(scenario.workload, duration=duration)
        )
    return load_form(file_form(scenario), loaded.file)
