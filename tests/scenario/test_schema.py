"""The published schema and the loader agree on what a scenario file is."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from gupsim.scenario.find import shipped
from gupsim.scenario.load import load_text
from gupsim.scenario.reader import GENERATOR_WORDS, STEP_WORDS
from gupsim.scenario.schema import scenario_schema

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", [entry.name for entry in shipped()])
def test_every_shipped_scenario_is_valid(name: str, validator: jsonschema.Draft202012Validator) -> None:
    text = (ROOT / "scenarios" / name).read_text(encoding="utf-8")
    validator.validate(yaml.safe_load(text))
    assert text.startswith("# yaml-language-server: $schema=../scenario.schema.json\n")


def test_the_file_for_editors_is_the_schema_of_this_version() -> None:
    kept = json.loads((ROOT / "scenarios" / "scenario.schema.json").read_text(encoding="utf-8"))
    assert kept == scenario_schema(), "run: gupsim scenarios --schema > scenarios/scenario.schema.json"


@pytest.mark.parametrize(
    "step",
    [
        {"mmapp": {}},
        {"mmap": {"as": "buf", "size": 1}},
        {"mmap": {}},
        {"sync": {}, "lable": "x"},
        {"sync": {}, "fsync": {"file": "f"}},
        {"dma_write": {"pin": "mr", "value": 256}},
        {"wait": {"time": "5 minutes"}},
        {"unpin": {"pin": "mr", "how": "throw"}},
        "mmap",
        "sink",
        7,
    ],
)
def test_what_the_loader_refuses_the_schema_refuses(step: object, validator: jsonschema.Draft202012Validator) -> None:
    scenario = {"title": "t", "threads": {"app": {"steps": [step]}}}
    assert not validator.is_valid(scenario)
    with pytest.raises(ValueError, match=r"threads\.app\.steps\[0\]"):
        load_text(json.dumps(scenario))


@pytest.mark.parametrize(
    "step",
    ["exit", {"exit": {}}, {"exit": None}, {"wait": {"time": "1us"}, "after": "dma:end", "label": "x", "delay": "1ns"}],
)
def test_every_form_of_a_step_is_valid_in_both(step: object, validator: jsonschema.Draft202012Validator) -> None:
    scenario = {"title": "t", "threads": {"app": {"steps": [step]}}}
    validator.validate(scenario)
    load_text(json.dumps(scenario))


def test_the_schema_describes_every_step_and_generator() -> None:
    schema = scenario_schema()
    for what, words in (("Step", STEP_WORDS), ("Generator", GENERATOR_WORDS)):
        described = {form["title"]: form.get("description") for form in schema["$defs"][what]["anyOf"]}
        assert all(described[word] for word in words)
