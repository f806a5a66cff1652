"""A scenario on the kernel of an era, with the rules that the scenario sets."""

from __future__ import annotations

from gupsim.run import RunResult, run_scenario
from gupsim.scenario.choices import kernel_of
from gupsim.scenario.load import load_text


def run(text: str, era: str) -> RunResult:
    loaded = load_text(text)
    return run_scenario(loaded, kernel_of(era, "", base_settings=loaded.scenario.rules))
