"""Each case on the model, held against what a kernel answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gupsim.actors.rules import KernelRules
from gupsim.conformance.cases import Case, Cases
from gupsim.conformance.errors import Unsupported
from gupsim.conformance.player import ModelFailed, Player
from gupsim.conformance.recording import End, Recording, Result, check_result
from gupsim.conformance.translate import translate


class Difference(msgspec.Struct, frozen=True):
    """One answer in which the model and the kernel differ. observation: its name, or which step or counter it is."""

    case: str
    observation: str
    model: Any
    kernel: Any


class NotCompared(msgspec.Struct, frozen=True):
    """A case that says nothing about the model. why: what no actor carries, or why it was not recorded."""

    case: str
    why: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One recording. era: whose rules the model had. agreed: cases without a difference."""

    file: str
    kernel: str
    era: str
    agreed: tuple[str, ...]
    disagreed: tuple[Difference, ...]
    unsupported: tuple[NotCompared, ...]
    skipped: tuple[NotCompared, ...]

    @property
    def cases(self) -> int:
        """How many were asked for."""
        failed = {difference.case for difference in self.disagreed}
        return len(self.agreed) + len(failed) + len(self.unsupported) + len(self.skipped)


def compare(
    cases: Cases,
    chosen: Iterable[Case],
    recording: Recording,
    name: str,
    *,
    era: str,
    rules: KernelRules,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Play the chosen cases. ConformanceError for a case or a result that makes no sense. progress: told of each case
    before it is played."""
    agreed: list[str] = []
    disagreed: list[Difference] = []
    unsupported: list[NotCompared] = []
    skipped: list[NotCompared] = []
    for case in chosen:
        expected = recording.cases.get(case.id)
        if expected is not None:
            check_result(expected, case, name)
        try:
            # Also without a recording: what is wrong with a case is to be said.
            program = translate(case, cases.file)
            if expected is None or expected.missing:
                why = "not in the recording" if expected is None else expected.missing
                skipped.append(NotCompared(case.id, why))
                continue
            if progress is not None:
                progress(case.id)
            names = [(step.obs, step.run_async) for step in case.steps]
            differences = _differences(case, Player(program, rules).play(names), expected)
        except Unsupported as error:
            unsupported.append(NotCompared(case.id, error.why))
        except ModelFailed as error:
            disagreed.append(Difference(case.id, "the model failed", str(error), None))
        else:
            disagreed += differences
            if not differences:
                agreed.append(case.id)
    return Comparison(
        file=name,
        kernel=recording.kernel,
        era=era,
        agreed=tuple(agreed),
        disagreed=tuple(disagreed),
        unsupported=tuple(unsupported),
        skipped=tuple(skipped),
    )


def _differences(case: Case, model: Result, kernel: Result) -> list[Difference]:
    """Named observations, the results of the other steps, and the counters at the end."""
    found: list[Difference] = []
    pairs: list[tuple[str, Any, Any]] = []
    for number, step in enumerate(case.steps):
        if step.obs:
            pairs.append((step.obs, model.obs[step.obs], kernel.obs[step.obs]))
        else:
            what = f"step {number + 1} ({step.op})"
            pairs.append((what, model.results[number], kernel.results[number]))
    assert model.end is not None
    assert kernel.end is not None
    pairs += [
        (f"end: {field}", getattr(model.end, field), getattr(kernel.end, field)) for field in End.__struct_fields__
    ]
    for what, ours, recorded in pairs:
        # The recorder calls errno 95 as the C library does.
        theirs = "EOPNOTSUPP" if recorded == "ENOTSUP" else recorded
        if ours != theirs or type(ours) is not type(theirs):
            found.append(Difference(case.id, what, ours, theirs))
    return found
