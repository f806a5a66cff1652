"""Two kernels that differ in one rule, which alone makes a scenario safe: what the tests of twins share.

Without the unsafe twin a proof would say as much about a scenario in which nothing can go wrong.
"""

from __future__ import annotations

from gupsim.explore.subject import scenario_program
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load, load_text
from gupsim.search import Dpor, Report, search


def searched(name: str, kernel: str, kind: str) -> Report:
    """The search of a scenario under a kernel, up to the first violation of a kind. name: or the scenario itself."""
    scenario = (load_text(name) if "\n" in name else load(name)).scenario
    program = scenario_program(scenario, expected_kernel(scenario, kernel).rules)
    return search(program, Dpor(), stop=lambda report: kind in report.found)


def check_twins(name: str, kind: str, safe: str, unsafe: str) -> None:
    """No interleaving of the safe one shows the violation, and some interleaving of its twin does."""
    proved = searched(name, safe, kind)
    assert proved.complete
    assert kind not in proved.found
    assert kind in searched(name, unsafe, kind).found
