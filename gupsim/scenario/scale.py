"""A scenario made larger or smaller from the command line."""

from __future__ import annotations

import msgspec

from gupsim.protocol.units import UnitError, nanoseconds
from gupsim.protocol.units import duration as say_duration
from gupsim.scenario.canonical import file_form
from gupsim.scenario.load import Loaded, load_form
from gupsim.scenario.model import MAX_TIME


class ScaleError(ValueError):
    """It cannot be made so. option: which of the two, as "--hosts"."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")


def scaled(loaded: Loaded, *, hosts: int = 0, duration: str = "") -> Loaded:
    """With so many hosts, and a workload of so much virtual time; 0 and "" leave it as it is.

    ScaleError if it has no workload, or the time is none or too long; scenario errors come out as for a file.
    """
    if not hosts and not duration:
        return loaded
    scenario = loaded.scenario
    if hosts:
        scenario = msgspec.structs.replace(scenario, machine=msgspec.structs.replace(scenario.machine, hosts=hosts))
    if duration:
        if scenario.workload is None:
            raise ScaleError("--duration", f"{loaded.file} has no workload, and ends when its threads do")
        try:
            if nanoseconds(duration) > MAX_TIME:
                raise ScaleError("--duration", f"{duration} is too long: at most {say_duration(MAX_TIME)}")
        except UnitError as error:
            raise ScaleError("--duration", str(error)) from None
        scenario = msgspec.structs.replace(
            scenario, workload=msgspec.structs.replace(scenario.workload, duration=duration)
        )
    return load_form(file_form(scenario), loaded.file)
