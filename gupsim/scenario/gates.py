"""What `after` and `until` wait for: labels and tracepoints that exist, and no waiting in a circle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gupsim.protocol.catalog import ALL_TRACEPOINTS
from gupsim.protocol.steps import Fork, Step, word
from gupsim.scenario.errors import FieldError, Path, unknown
from gupsim.scenario.model import Scenario
from gupsim.scenario.references import process_of

TRACEPOINT_NAMES: Final = tuple(sorted(str(kind.__struct_config__.tag) for kind in ALL_TRACEPOINTS))
"""What `after` and `until` may name besides labels."""

Place = tuple[str, int]
"""A step: its thread and its number in it."""


def split_gate(gate: str) -> tuple[str, int]:
    """ "block:checksum#2" is ("block:checksum", 2); without a number it is the first time."""
    name, _, times = gate.partition("#")
    return name, int(times) if times else 1


def check_gates(scenario: Scenario) -> None:
    """FieldError for the first thing that is wrong."""
    labels = _labels(scenario)
    for place, step in _steps(scenario):
        for kind in ("after", "until"):
            for gate in getattr(step, kind):
                _check_gate(gate, kind, place, labels)
    for name in scenario.threads:
        _check_beginning(scenario, name, labels)
    circle = _circle(scenario, labels)
    if circle:
        raise _circular(scenario, circle)


def watched(scenario: Scenario) -> tuple[str, ...]:
    """The tracepoints that some step waits for."""
    gates = (gate for _, step in _steps(scenario) for gate in (*step.after, *step.until))
    return tuple(sorted({split_gate(gate)[0] for gate in gates if ":" in gate}))


def _steps(scenario: Scenario) -> Iterator[tuple[Place, Step]]:
    for name, thread in scenario.threads.items():
        for number, step in enumerate(thread.steps):
            yield (name, number), step


def _at(place: Place, field: str) -> Path:
    return "threads", place[0], "steps", place[1], field


def _labels(scenario: Scenario) -> dict[str, Place]:
    labels: dict[str, Place] = {}
    for place, step in _steps(scenario):
        if step.label in labels:
            first = labels[step.label]
            raise FieldError(
                f"label {step.label!r} is already that of step {first[1] + 1} of thread {first[0]!r}",
                *_at(place, "label"),
            )
        if step.label:
            labels[step.label] = place
    return labels


def _check_gate(gate: str, kind: str, place: Place, labels: dict[str, Place]) -> None:
    name, times = split_gate(gate)
    if ":" in name:
        if name not in TRACEPOINT_NAMES:
            raise FieldError(unknown("tracepoint", name, TRACEPOINT_NAMES), *_at(place, kind))
        if times < 1:
            raise FieldError(f"{gate!r}: times are counted from 1", *_at(place, kind))
        return
    if name not in labels:
        problem = unknown("label", name, labels, instead="no step has a label")
        raise FieldError(problem, *_at(place, kind))
    if times != 1:
        raise FieldError(f"{gate!r}: a label is seen once", *_at(place, kind))
    thread, number = labels[name]
    if thread == place[0] and (number > place[1] or (number == place[1])):
        where = "the end of this very step" if number == place[1] else "a later step of the same thread"
        raise FieldError(f"{name!r} is the label of {where}: it would wait for ever", *_at(place, kind))


def _check_beginning(scenario: Scenario, thread: str, labels: dict[str, Place]) -> None:
    begins = scenario.threads[thread].begins
    if not begins:
        return
    process = process_of(thread, scenario.threads[thread])
    inside = {
        label: place for label, place in labels.items() if process_of(place[0], scenario.threads[place[0]]) == process
    }
    if begins not in inside:
        instead = f"no step of process {process[1]!r} has a label"
        raise FieldError(unknown("label", begins, inside, instead=instead), "threads", thread, "begins")
    if inside[begins][0] == thread:
        raise FieldError(f"{begins!r} is the label of a step of the thread itself", "threads", thread, "begins")


def _circle(scenario: Scenario, labels: dict[str, Place]) -> list[tuple[Place, str]]:
    """Ends of steps that wait for each other: [(step, gate or "" for the order of its thread), ...]; [] if none.

    The end of a step waits for the end of the step before it and for all labels in its `after` and `until`; the first
    one of a process that is forked waits for the fork.
    """
    waits: dict[Place, list[tuple[Place, str]]] = {}
    forks = {
        (process_of(place[0], scenario.threads[place[0]])[0], step.child): place
        for place, step in _steps(scenario)
        if isinstance(step, Fork)
    }
    for place, step in _steps(scenario):
        begins = scenario.threads[place[0]].begins
        waits[place] = [(labels[begins], begins)] if begins and not place[1] else []
        fork = forks.get(process_of(place[0], scenario.threads[place[0]]))
        if fork is not None and not place[1]:
            waits[place].append((fork, ""))
        waits[place] += [(labels[split_gate(gate)[0]], gate) for gate in (*step.after, *step.until) if ":" not in gate]
        if place[1]:
            waits[place].append(((place[0], place[1] - 1), ""))
    done: set[Place] = set()
    for start, first in waits.items():
        stack = [(start, "", iter(first))] if start not in done else []
        while stack:
            place, _, rest = stack[-1]
            target, gate = next((edge for edge in rest if edge[0] not in done), (place, None))
            if gate is None:
                done.add(place)
                stack.pop()
                continue
            on_path = [entry[0] for entry in stack]
            if target in on_path:
                return [(entry[0], entry[1]) for entry in stack[on_path.index(target) + 1 :]] + [(target, gate)]
            stack.append((target, gate, iter(waits[target])))
    return []


def _circular(scenario: Scenario, circle: list[tuple[Place, str]]) -> FieldError:
    """The circle as a sentence: each entry is what the one before it waits for."""

    def name(place: Place) -> str:
        return f"step {place[1] + 1} of {place[0]} ({word(scenario.threads[place[0]].steps[place[1]])})"

    # Start the story at a step that waits for a label: a plain order of steps says nothing.
    turn = next(index for index, (_, gate) in enumerate(circle) if gate)
    circle = circle[turn:] + circle[:turn]
    start = circle[-1][0]
    parts = []
    for place, gate in circle:
        parts.append(f"for {gate!r}, {name(place)}" if gate else f"for the step before it, {name(place)}")
    sentence = f"cyclic wait: {name(start)} waits " + ", which waits ".join(parts)
    step = scenario.threads[start[0]].steps[start[1]]
    kind = "after" if circle[0][1] in step.after else "until"
    return FieldError(sentence, *_at(start, kind))
