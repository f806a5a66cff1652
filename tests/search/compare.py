"""Compares what the reduction explores with all interleavings, and with what it explores if nothing commutes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.search.access import Access
from gupsim.search.dfs import Dfs
from gupsim.search.dpor import Dpor
from gupsim.search.execution import Execution
from gupsim.search.order import Order
from gupsim.search.program import Program
from gupsim.search.recorder import SearchRecorder
from gupsim.search.runs import Run, Runs
from gupsim.search.traces import Traces

End = tuple[Hashable, tuple[tuple[str, str], ...]]


class Outcome(NamedTuple):
    """How large the two searches were."""

    first: int
    second: int
    events: int


class PlainRecorder(SearchRecorder):
    """Nothing commutes: additions are read-modify-write, and a lock is one object for requests and releases."""

    def note(self, field: str, key: Hashable, mode: int) -> None:
        if key in ("queue", "serving"):
            key = "plain"
        super().note(field, key, READ | WRITE if mode & COMMUTE or key == "plain" else mode)


class WholeRuns(Runs):
    """Tells executions apart also by their whole trace, in which every delivery is an event."""

    def __init__(self, program: Program[Any]) -> None:
        super().__init__(program)
        self._whole = Order()
        self.whole = Traces(self._whole)

    def take(self, run: Run[Any], mid: int) -> Access | None:
        core, recorder = run.core, run.world.recorder
        rank = core.pending[mid][0][1]
        recorder.looking = True
        hard = core.step(mid)
        footprint = recorder.taken()
        self._whole.add(mid, rank, hard, footprint, core.observed)
        if footprint or core.observed:
            return self.order.add(mid, rank, hard, footprint, core.observed)
        self.order.pass_over(mid, hard)
        return None

    def rewind(self, deliveries: int) -> None:
        super().rewind(deliveries)
        self._whole.rewind(deliveries)
        self.whole.shrink(deliveries)


def end_of(execution: Execution) -> End:
    """What an execution ends in."""
    return (execution.state, tuple((found.kind, found.message) for found in execution.violations))


def compare_with_all(program: Program[Any], limit: int) -> Outcome | None:
    """All interleavings against the reduction: the same traces, each once, with the same ends.

    AssertionError says how they differ; None if there are more interleavings than `limit`.
    """
    runs = WholeRuns(program)
    ends: dict[int, End] = {}
    wholes: dict[int, int] = {}
    interleavings = 0
    for execution in Dfs(traces=True).executions(runs):
        interleavings += 1
        if interleavings > limit or execution.cut:
            return None
        assert execution.trace is not None
        end = ends.setdefault(execution.trace, end_of(execution))
        assert end == end_of(execution), f"equivalent executions end differently:\n{end}\n{end_of(execution)}"
        whole = wholes.setdefault(execution.trace, runs.whole.trace())
        assert whole == runs.whole.trace(), "traces differ in nothing but deliveries that touch nothing"
    assert len(set(wholes.values())) == len(ends), "a whole trace without what touches nothing is two traces"
    reduced = Runs(program)
    reduced.share_names(runs)
    traces: dict[int, End] = {}
    for execution in Dpor(suspicious=True).executions(reduced):
        assert execution.trace is not None
        assert not execution.blocked, "a blocked execution"
        assert execution.trace not in traces, "a trace explored twice"
        traces[execution.trace] = end_of(execution)
    assert traces.keys() == ends.keys(), f"{len(traces)} traces explored of {len(ends)}"
    assert traces == ends, "the same traces with other ends"
    return Outcome(interleavings, len(traces), runs.depth)


def compare_with_plain(program: Program[Any], limit: int) -> Outcome | None:
    """The reduction with commuting accesses against the one without: the same set of ends.

    AssertionError says how they differ; None if there are more executions than `limit`.
    """
    runs = Runs(program)
    ends: set[End] = set()
    commuting = 0
    for execution in Dpor().executions(runs):
        commuting += 1
        if commuting > limit or execution.cut:
            return None
        assert not execution.blocked, "a blocked execution"
        ends.add(end_of(execution))
    plain_ends: set[End] = set()
    plain = 0
    for execution in Dpor().executions(Runs(program, PlainRecorder)):
        plain += 1
        if plain > 20 * limit:
            return None
        plain_ends.add(end_of(execution))
    assert ends == plain_ends, f"{len(ends)} ends with commuting accesses, {len(plain_ends)} without"
    return Outcome(plain, commuting, runs.depth)
