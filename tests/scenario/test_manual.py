"""The reference of scenario files says what is true, and all of it."""

import re
from pathlib import Path

import pytest

from gupsim.scenario.load import load_text
from gupsim.scenario.model import KINDS
from gupsim.scenario.reader import GENERATOR_WORDS, STEP_WORDS
from gupsim.scenario.schema import scenario_schema

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "scenario-files.md").read_text(encoding="utf-8")
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
        name = cls.__name__ if cls.__name__ in definitions else f"protocol.steps.{cls.__name__}"
        (row,) = (arguments for words, arguments in rows.items() if f"`{word}`" in words)
        assert {f"`{argument}`" for argument in definitions[name]["properties"]} <= set(re.findall(r"`[a-z_]+`", row))
