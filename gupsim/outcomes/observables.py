"""What an outcome is made of: the results and places that a scenario is about, everything else projected away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gupsim.outcomes.witness import NEVER, Witness
from gupsim.protocol import steps
from gupsim.scenario.claims import PLACES, files_with_pages, mappings, name_of, result_names
from gupsim.scenario.model import Claim, Scenario

WARNINGS = "warnings"
_BYTES = (steps.Load, steps.Read, steps.DmaRead)
"""Steps that return one byte."""
_TELLING = (steps.Load, steps.Read, steps.DmaRead, steps.PipeRead, steps.ProcessVm)
"""Steps that return bytes: of interest also where they have no name."""


class Observables(msgspec.Struct, frozen=True):
    """steps: name and place of each. places: as a claim names them, "file data". warnings: whether they count. bytes:
    steps that return a byte."""

    steps: tuple[tuple[str, tuple[str, int]], ...]
    places: tuple[str, ...]
    warnings: bool
    bytes: frozenset[tuple[str, int]]

    @property
    def content(self) -> bool:
        """Does it take a look at what is in files and memory at the end?"""
        return bool(self.places)

    def outcome(self, witness: Witness) -> str:
        """One outcome as herd7 writes it: "again=ENOMEM; seen=0x22;"."""
        return " ".join(f"{name}={value};" for name, value in self.values(witness))

    def named(self, witness: Witness) -> dict[str, str]:
        """Results alone, of the steps that ended."""
        return {name: value for name, value in self._results(witness) if value != NEVER}

    def values(self, witness: Witness) -> Iterator[tuple[str, str]]:
        """Each name with its value."""
        yield from self._results(witness)
        for place in self.places:
            kind, _, name = place.partition(" ")
            yield place, witness.at(kind, name)
        if self.warnings:
            yield WARNINGS, ", ".join(witness.warnings) or "none"

    def _results(self, witness: Witness) -> Iterator[tuple[str, str]]:
        for name, step in self.steps:
            value = witness.results.get(step, NEVER)
            yield name, f"{int(value):#04x}" if step in self.bytes and value.isdigit() else value


def observables(scenario: Scenario) -> Observables:
    """Those that the file names; else all results that have names or are bytes, all files and mappings, the warnings.
    What it expects something of comes on top."""
    if not scenario.outcomes:
        every = tuple(_every_result(scenario)), tuple(_every_place(scenario))
        return Observables(*every, warnings=True, bytes=_bytes(scenario))
    return _named(scenario, [*scenario.outcomes, *(text for claim in _claims(scenario) for text in named_in(claim))])


def _claims(scenario: Scenario) -> Iterator[Claim]:
    for expected in scenario.expectations.values():
        for claim in (*expected.reachable, *expected.unreachable):
            if isinstance(claim, Claim):
                yield claim


def is_about_results(scenario: Scenario) -> bool:
    """Does the file name outcomes, or claim anything of results under some kernel?"""
    return bool(scenario.outcomes) or any(_claims(scenario))


def named_in(claim: Claim) -> Iterator[str]:
    """The results and places that a claim is about, as `outcomes` would name them."""
    yield from (*claim.result, *claim.load)
    for place in PLACES:
        yield from (f"{place} {name}" for name in getattr(claim, place))
    if claim.warning:
        yield WARNINGS


def _named(scenario: Scenario, texts: Iterable[str]) -> Observables:
    names = result_names(scenario)
    wanted = dict.fromkeys(texts)
    places = tuple(text for text in wanted if text.partition(" ")[0] in PLACES and " " in text)
    results = tuple((text, names[text][0]) for text in wanted if text not in places and text != WARNINGS)
    return Observables(results, places, WARNINGS in wanted, _bytes(scenario))


def _bytes(scenario: Scenario) -> frozenset[tuple[str, int]]:
    return frozenset(
        (thread, number)
        for thread, spec in scenario.threads.items()
        for number, step in enumerate(spec.steps)
        if isinstance(step, _BYTES)
    )


def _every_result(scenario: Scenario) -> Iterator[tuple[str, tuple[str, int]]]:
    for thread, spec in scenario.threads.items():
        for number, step in enumerate(spec.steps):
            if step.label or getattr(step, "name", "") or isinstance(step, _TELLING):
                yield name_of(scenario, (thread, number)), (thread, number)


def _every_place(scenario: Scenario) -> Iterator[str]:
    for name, pages in files_with_pages(scenario.machine).items():
        for page in range(pages):
            place = f"{name}:{page}" if pages > 1 else name
            yield f"file {place}"
            if name not in scenario.machine.memfds:
                yield f"disk {place}"
    for (process, name), pages in mappings(scenario).items():
        for page in range(pages):
            yield f"memory {process}/{name}" + (f":{page}" if pages > 1 else "")
