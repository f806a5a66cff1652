"""Scenario files: what they can say, reading them, finding them, and the kernel that they run under."""

from gupsim.scenario.canonical import digest, file_form
from gupsim.scenario.choices import ChoiceError, Kernel, expected_kernel, kernel, kernel_of
from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.find import Shipped, shipped
from gupsim.scenario.load import Loaded, load, load_form, load_text
from gupsim.scenario.model import Scenario
from gupsim.scenario.schema import scenario_schema

__all__ = [
    "ChoiceError",
    "Kernel",
    "Loaded",
    "Scenario",
    "ScenarioError",
    "Shipped",
    "digest",
    "expected_kernel",
    "file_form",
    "kernel",
    "kernel_of",
    "load",
    "load_form",
    "load_text",
    "scenario_schema",
    "shipped",
]
