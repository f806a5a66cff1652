"""The cases: small programs in the vocabulary of kernel-facts."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from typing import Annotated, Any, Final

import msgspec

from gupsim.conformance.errors import ConformanceError
from gupsim.conformance.files import decode, read_json

MAX_CASES: Final = 10_000
MAX_STEPS: Final = 1_000

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One operation. obs: name of the observation that its result is; async: it may block; wait: for a join, unused."""

    proc: Word
    op: Word
    args: dict[str, Any] | None = None
    obs: str = ""
    run_async: bool = msgspec.field(name="async", default=False)
    wait: float | None = None


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One program. Only `needs` and `steps` have a meaning; area and id select."""

    id: Word
    area: Word
    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=MAX_STEPS)]
    title: str = ""
    why: str = ""
    tier: str = ""
    needs: tuple[str, ...] = ()


class _CaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cases: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=MAX_CASES)]
    vocabulary: str = ""


class _Named(msgspec.Struct, frozen=True):
    id: Any = None


class Cases(msgspec.Struct, frozen=True):
    """All cases of a file, by id in their order. file: as the user named it."""

    file: str
    cases: dict[str, Case]


def load_cases(path: Traversable, name: str) -> Cases:
    """ConformanceError for everything that can be wrong with the file."""
    whole = decode(read_json(path, name), _CaseFile, name)
    cases: dict[str, Case] = {}
    for number, raw in enumerate(whole.cases):
        case = decode(raw, Case, f"{name}: {_called(raw, number)}")
        if case.id in cases:
            raise ConformanceError(f"{name}: case {case.id}: there are two cases of this id")
        _check_observations(case, name)
        cases[case.id] = case
    return Cases(name, cases)


def _called(raw: msgspec.Raw, number: int) -> str:
    """A case as a message names it, also if it is broken."""
    try:
        found = msgspec.json.decode(raw, type=_Named).id
    except msgspec.ValidationError:
        found = None
    return f"case {found}" if isinstance(found, str) and found else f"case number {number + 1}"


def _check_observations(case: Case, name: str) -> None:
    seen: set[str] = set()
    for number, step in enumerate(case.steps, 1):
        if step.obs in seen:
            place = f"{name}: case {case.id}: step {number} ({step.op})"
            raise ConformanceError(f"{place}: there are two observations {step.obs!r}")
        if step.obs:
            seen.add(step.obs)
