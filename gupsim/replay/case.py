"""What is replayed: a scenario under a kernel or any program of actors, and what is left of it when steps go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from gupsim.explore.subject import scenario_program
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import Kernel
from gupsim.scenario.claims import check_claim, claims_of
from gupsim.scenario.errors import FieldError, ScenarioError
from gupsim.scenario.load import Loaded, load_form
from gupsim.scenario.model import Scenario, Thread
from gupsim.search.program import Program

Kept = dict[str, tuple[int, ...]]
"""The steps that are left, by thread, as numbers from 0."""


class Case(msgspec.Struct, frozen=True):
    """A program that can be made smaller. loaded, kernel: None for a program of actors, which cannot.

    loaded: the scenario as its file has it. kept: what is left of its threads; all of it at first.
    seed: of the actors' random streams. claims: what is looked for beside violations, as texts.
    """

    program: Program[Any]
    loaded: Loaded | None = None
    kernel: Kernel | None = None
    scenario: Scenario | None = None
    kept: Kept = {}
    seed: int = 0
    claims: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Threads and steps."""
        return len(self.kept), sum(map(len, self.kept.values()))

    @property
    def is_cut(self) -> bool:
        """True if steps of the file are gone."""
        return self.loaded is not None and self.kept != whole(self.loaded.scenario)

    def smaller(self) -> Iterator[Case]:
        """The same with one thread or one step less, the greatest cut first; invalid ones are left out."""
        if self.loaded is None or self.kernel is None:
            return
        for kept in smaller(self.kept):
            try:
                yield case_of(self.loaded, self.kernel, kept, seed=self.seed, claims=self.claims)
            except ScenarioError:
                continue


def case_of(
    loaded: Loaded, kernel: Kernel, kept: Kept | None = None, *, seed: int = 0, claims: Iterable[str] = ()
) -> Case:
    """A scenario, or what is left of it; ScenarioError if a step that is left, or a claim, needs one that is not."""
    kept = kept or whole(loaded.scenario)
    scenario = loaded.scenario if kept == whole(loaded.scenario) else cut(loaded.scenario, kept)
    sought = claims_of(claims)
    for claim in sought.values():
        try:
            check_claim(scenario, claim, ())
        except FieldError as error:
            raise ScenarioError(error.problem) from None
    program = scenario_program(scenario, kernel.rules, seed=seed, claims=sought)
    return Case(program, loaded, kernel, scenario, kept, seed, tuple(sought))


def whole(scenario: Scenario) -> Kept:
    """All steps of all threads."""
    return {name: tuple(range(len(thread.steps))) for name, thread in scenario.threads.items()}


def composed(outer: Kept, inner: Kept) -> Kept:
    """`inner` counts the steps that `outer` left: the same steps in the numbers of the file."""
    if not outer:
        return inner
    return {name: tuple(outer[name][number] for number in steps) for name, steps in inner.items() if name in outer}


def smaller(kept: Kept) -> Iterator[Kept]:
    """One thread less, the longest first; then one step less, the last ones of each thread first."""
    if len(kept) > 1:
        for name in sorted(kept, key=lambda name: (-len(kept[name]), name)):
            yield {other: steps for other, steps in kept.items() if other != name}
    longest = max(map(len, kept.values()), default=0)
    for back in range(1, longest + 1):
        for name, steps in kept.items():
            if len(steps) > 1 and back <= len(steps):
                yield {**kept, name: (*steps[: len(steps) - back], *steps[len(steps) - back + 1 :])}


def cut(scenario: Scenario, kept: Kept) -> Scenario:
    """The scenario with these steps only. What scripts a timed run goes: labels may be gone, and a search does not heed
    it. Steps and threads that a changed file no longer has are passed over."""
    threads: dict[str, Thread] = {}
    for name, thread in scenario.threads.items():
        steps = tuple(
            replace(thread.steps[number], after=(), until=(), delay="0ns")
            for number in kept.get(name, ())
            if number < len(thread.steps)
        )
        if steps:
            threads[name] = replace(thread, steps=steps)
    # Through the reader: it checks that every name that a step uses is still given.
    return load_form(file_form(replace(scenario, threads=threads, expectations={}, outcomes=()))).scenario
