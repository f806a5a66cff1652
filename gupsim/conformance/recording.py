"""Recordings: what a real kernel answered, and which era of the model it is held against."""

from __future__ import annotations

import re
from importlib.resources.abc import Traversable
from typing import Any, Final

import msgspec

from gupsim.actors.rules import ERAS
from gupsim.conformance.cases import Case
from gupsim.conformance.errors import ConformanceError
from gupsim.conformance.files import decode, read_json
from gupsim.protocol.memory import PAGE_SIZE

_RELEASE: Final = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")
_DISTRIBUTION: Final = re.compile(r"[0-9]+\.[0-9]+\.0-[0-9]")
"""A release like "6.1.0-56-amd64": the number counts the distribution's builds of a kernel with all its backports."""


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pins acquired and released after everything is gone, and the difference before anybody was told to exit."""

    acq: int
    rel: int
    still_pinned_before_exit: int


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a case. skipped, error: why there is nothing to compare with. boot: options of the machine."""

    obs: dict[str, Any] = {}
    results: tuple[Any, ...] = ()
    end: End | None = None
    skipped: str = ""
    error: str = ""
    boot: str = ""

    @property
    def missing(self) -> str:
        """Why there is nothing to compare with, or ""."""
        return self.skipped or (f"the recording has an error: {self.error}" if self.error else "")


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. kernel: as `uname -r` says it."""

    kernel: str
    cases: dict[str, Result]
    version: str = ""
    page_size: int = PAGE_SIZE
    features: tuple[str, ...] = ()
    boot: str = ""


def load_recording(path: Traversable, name: str) -> Recording:
    """ConformanceError for everything that can be wrong with the file."""
    recording = decode(read_json(path, name), Recording, name)
    if recording.page_size != PAGE_SIZE:
        raise ConformanceError(f"{name}: page_size: {recording.page_size}; the model has pages of {PAGE_SIZE} bytes")
    return recording


def era_of(recording: Recording, name: str) -> str:
    """The era whose rules are those of the recorded kernel: the newest of its series that is not newer than it."""
    match = _RELEASE.match(recording.kernel)
    if match is None:
        raise ConformanceError(f"{name}: kernel: {recording.kernel!r} is no kernel release, as 6.12.117")
    series = (int(match[1]), int(match[2]))
    patch = float("inf") if _DISTRIBUTION.match(recording.kernel) else int(match[3] or 0)
    fitting = [era for era in ERAS if _numbers(era)[:2] == series and _numbers(era)[2] <= patch]
    if not fitting:
        known = ", ".join(ERAS)
        problem = f"there is no era for {recording.kernel!r}; --kernel chooses one (of {known})"
        raise ConformanceError(f"{name}: kernel: {problem}")
    return max(fitting, key=_numbers)


def check_result(result: Result, case: Case, name: str) -> None:
    """A recording fits its case: one result for each step, and the observations that the steps name."""
    place = f"{name}: case {case.id}"
    if result.missing:
        return
    if len(result.results) != len(case.steps):
        problem = f"{len(result.results)} results for {len(case.steps)} steps: it was recorded of another program"
        raise ConformanceError(f"{place}: {problem}")
    named = {step.obs for step in case.steps if step.obs}
    for observation in sorted(named ^ set(result.obs)):
        who = "the recording" if observation in result.obs else "the case"
        raise ConformanceError(f"{place}: only {who} has an observation {observation!r}")
    if result.end is None:
        raise ConformanceError(f"{place}: the field 'end' is missing")


def _numbers(era: str) -> tuple[int, int, int]:
    match = _RELEASE.fullmatch(era)
    assert match is not None, era
    return int(match[1]), int(match[2]), int(match[3] or 0)
