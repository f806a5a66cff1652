"""A scenario has one canonical form and one digest, however its file is laid out."""

import pytest

from gupsim.scenario.canonical import digest, file_form
from gupsim.scenario.find import shipped
from gupsim.scenario.load import load, load_form, load_text

BLOCK = """\
# a comment
title: One
machine:
  devices: {nic: {}}
threads:
  app:
    steps:
      - mmap: {as: buf, pages: 1}
      - pin:
          device: nic
          as: mr
          map: buf
        label: pinned
      - dma_write: {pin: mr, value: 0xAA}
        after: [pinned]
"""
FLOW = """\
{"threads": {"app": {"cpu": 0, "steps": [{"mmap": {"as": "buf"}}, {"label": "pinned", "pin": {"as": "mr",
"map": "buf", "device": "nic", "flags": "write"}}, {"dma_write": {"pin": "mr", "value": 170}, "after": "pinned"}]}},
"machine": {"devices": {"nic": {"chunk_time": "1us"}}}, "title": 'One'}
"""


def test_the_digest_does_not_depend_on_the_layout_of_the_file() -> None:
    assert load_text(BLOCK).digest == load_text(FLOW).digest


@pytest.mark.parametrize(("old", "new"), [("0xAA", "0xAB"), ("One", "Two"), ("pages: 1", "pages: 2")])
def test_the_digest_depends_on_what_the_file_says(old: str, new: str) -> None:
    assert load_text(BLOCK).digest != load_text(BLOCK.replace(old, new)).digest


def test_the_order_of_steps_counts_and_the_order_of_threads_does_not() -> None:
    one = "title: t\nthreads: {a: {steps: [{wait: {time: 1us}}]}, b: {steps: [{wait: {time: 2us}}, exit]}}"
    two = "title: t\nthreads: {b: {steps: [{wait: {time: 2us}}, exit]}, a: {steps: [{wait: {time: 1us}}]}}"
    three = "title: t\nthreads: {a: {steps: [{wait: {time: 1us}}]}, b: {steps: [exit, {wait: {time: 2us}}]}}"
    assert load_text(one).digest == load_text(two).digest != load_text(three).digest


def test_the_form_says_nothing_that_is_there_by_default() -> None:
    assert file_form(load_text(BLOCK).scenario) == {
        "title": "One",
        "machine": {"devices": {"nic": {}}},
        "threads": {
            "app": {
                "steps": [
                    {"mmap": {"as": "buf"}},
                    {"pin": {"as": "mr", "device": "nic", "map": "buf"}, "label": "pinned"},
                    {"dma_write": {"pin": "mr", "value": 170}, "after": ["pinned"]},
                ]
            }
        },
    }


@pytest.mark.parametrize("name", [entry.name for entry in shipped()])
def test_the_form_of_a_shipped_scenario_loads_as_the_same_scenario(name: str) -> None:
    loaded = load(name)
    again = load_form(file_form(loaded.scenario))
    assert again.scenario == loaded.scenario
    assert again.digest == loaded.digest == digest(loaded.scenario)
