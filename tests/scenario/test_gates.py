"""Waiting in a circle is found before anything runs, through labels and through the order of steps."""

import pytest

from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.gates import TRACEPOINT_NAMES, split_gate, watched
from gupsim.scenario.load import load_text


def scenario(**threads: str) -> str:
    lines = ["title: t", "threads:"]
    for name, steps in threads.items():
        lines += [f"  {name}:", "    steps:"]
        lines += [f"      - {step}" for step in steps.splitlines()]
    return "\n".join(lines) + "\n"


def problem(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_text(text, "f.yaml")
    return str(caught.value)


def wait(extra: str = "") -> str:
    return f"{{wait: {{time: 1us}}{', ' + extra if extra else ''}}}"


def test_two_steps_that_wait_for_each_other_are_named() -> None:
    text = scenario(one=wait("after: b, label: a"), two=wait("after: a, label: b"))
    assert problem(text) == (
        "f.yaml:5: threads.one.steps[0].after: cyclic wait: step 1 of one (wait) waits for 'b', step 1 of two (wait),"
        " which waits for 'a', step 1 of one (wait)"
    )


def test_a_circle_through_the_order_of_steps_is_found() -> None:
    text = scenario(
        one=f"{wait('after: b')}\n{wait('label: a')}",
        two=f"{wait('after: a')}\n{wait()}\n{wait('label: b')}",
    )
    said = problem(text)
    assert "cyclic wait" in said
    assert "waits for 'b', step 3 of two (wait)" in said
    assert "which waits for the step before it, step 2 of two (wait)" in said
    assert "which waits for 'a', step 2 of one (wait)" in said


def test_a_circle_of_three_threads_through_until_is_found() -> None:
    text = scenario(one=wait("until: c, label: a"), two=wait("after: a, label: b"), three=wait("after: b, label: c"))
    assert "cyclic wait" in problem(text)


def test_waiting_for_a_later_label_of_the_same_thread_is_refused() -> None:
    text = scenario(one=f"{wait('after: later')}\n{wait('label: later')}")
    assert "'later' is the label of a later step of the same thread: it would wait for ever" in problem(text)


def test_waiting_for_its_own_end_is_refused() -> None:
    assert "'a' is the label of the end of this very step" in problem(scenario(one=wait("until: a, label: a")))


def test_waiting_for_an_earlier_label_of_the_same_thread_is_allowed() -> None:
    assert load_text(scenario(one=f"{wait('label: a')}\n{wait('after: a')}"))


def test_many_threads_that_wait_in_a_line_are_allowed() -> None:
    names = [f"t{number}" for number in range(200)]
    threads = {name: wait(f"label: l{n}" + (f", after: l{n - 1}" if n else "")) for n, name in enumerate(names)}
    assert load_text(scenario(**threads))


def test_the_tracepoints_that_a_script_waits_for_are_watched_once() -> None:
    text = scenario(one=wait("after: ['dma:start', 'dma:start#2']"), two=wait("until: 'block:checksum'"))
    assert watched(load_text(text).scenario) == ("block:checksum", "dma:start")


def test_a_gate_counts_from_the_first_time() -> None:
    assert split_gate("block:checksum") == ("block:checksum", 1)
    assert split_gate("block:checksum#3") == ("block:checksum", 3)


def test_every_tracepoint_can_be_waited_for() -> None:
    for name in TRACEPOINT_NAMES:
        assert load_text(scenario(one=wait(f"after: '{name}'")))
