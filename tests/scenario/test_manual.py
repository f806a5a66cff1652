"""The references of scenario files and of kernels say what is true, and all of it."""

import re
from pathlib import Path

import pytest

from gupsim.actors.rules import ERAS, PLATFORMS, POLICIES
from gupsim.checkers import KINDS
from gupsim.scenario.choices import RULES
from gupsim.scenario.load import load_text
from gupsim.scenario.reader import GENERATOR_WORDS, STEP_WORDS
from gupsim.scenario.schema import scenario_schema

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
TEXT = (REFERENCE / "scenario-files.md").read_text(encoding="utf-8")
KERNELS = (REFERENCE / "kernels.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_scenario(example: str) -> None:
    assert load_text(example)


def test_every_field_step_generator_and_kind_is_named() -> None:
    schema = scenario_schema()
    fields = {*schema["properties"], *schema["$defs"]["Machine"]["properties"]}
    named = set(re.findall(r"`([a-z_-]+)`", TEXT))
    assert {*fields, *STEP_WORDS, *GENERATOR_WORDS, *KINDS} <= named


def test_every_argument_of_every_step_is_named() -> None:
    definitions = scenario_schema()["$defs"]
    rows = dict(re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|", TEXT.partition("### workload")[0], re.MULTILINE))
    for word, cls in STEP_WORDS.items():
        name = cls.__name__ if cls.__name__ in definitions else f"gupsim.protocol.steps.{cls.__name__}"
        (row,) = (arguments for words, arguments in rows.items() if f"`{word}`" in words)
        # Where a step makes nothing that has a name, "as" is another word for its label.
        arguments = {f"`{argument}`" for argument in {*definitions[name]["properties"]} - {"as"}}
        assert arguments <= set(re.findall(r"`[a-z_]+`", row))


def test_every_era_platform_and_policy_has_a_line() -> None:
    named = re.findall(r"^\| `([a-z0-9.-]+)` \|", KERNELS.partition("## Rules")[0], re.MULTILINE)
    assert named == [*ERAS, *PLATFORMS, *POLICIES]


def test_every_rule_has_a_line_with_its_values() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \|.*\|([^|]*)\|$", KERNELS.partition("## Rules")[2], re.MULTILINE))
    told = {rule: re.findall("`([a-z_0-9]+)`", values) for rule, values in rows.items()}
    assert told == {rule: [value.value for value in values] for rule, values in RULES.items()}
