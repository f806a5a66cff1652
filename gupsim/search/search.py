"""Searches a program with a strategy and counts what it sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from gupsim.search.execution import Execution
from gupsim.search.program import Program
from gupsim.search.runs import Runs
from gupsim.search.strategy import Strategy


class Found(msgspec.Struct, frozen=True):
    """The violations of one kind. message, schedule: of the first, as paths (see `Names`); executions_until_found:
    how many it took, it included; executions: how many show the kind."""

    kind: str
    message: str
    schedule: tuple[tuple[int, ...], ...]
    executions_until_found: int
    executions: int


class Report(msgspec.Struct):
    """What a search saw.

    complete: every execution was seen, up to the order of independent events; `why` says why not. traces: different
    executions, 0 if the strategy does not tell them apart; redundant: executions of a trace seen before.
    blocked: executions that could not go on; replays: executions that only served the reduction. events: delivered
    in all, replays included. depth: most events in one execution. promise: what the strategy guarantees. wall_s: how
    long it took.
    """

    strategy: str
    complete: bool = False
    why: str = ""
    executions: int = 0
    traces: int = 0
    redundant: int = 0
    blocked: int = 0
    replays: int = 0
    events: int = 0
    depth: int = 0
    found: dict[str, Found] = {}
    promise: str = ""
    wall_s: float = 0.0


def search(
    program: Program[Any],
    strategy: Strategy,
    *,
    limit: int | None = None,
    seconds: float | None = None,
    stop: Callable[[Report], bool] | None = None,
    each: Callable[[Execution], None] | None = None,
) -> Report:
    """Search until the strategy has nothing left, or one of the limits is reached.

    limit: executions. seconds: of real time. stop: asked after each execution that shows something new.
    each: gets every execution.
    """
    began = time.perf_counter()
    runs = Runs(program)
    report = Report(strategy.name)
    traces: set[int] = set()
    cut = False
    for execution in strategy.executions(runs):
        report.executions += 1
        cut = cut or execution.cut
        if execution.trace is not None and not execution.blocked:
            report.redundant += execution.trace in traces
            traces.add(execution.trace)
        news = _take(report, execution, runs)
        if each is not None:
            each(execution)
        if stop is not None and news and stop(report):
            report.why = "stopped at what was found"
        elif limit is not None and report.executions >= limit:
            report.why = f"the limit of {limit} executions"
        elif seconds is not None and time.perf_counter() - began > seconds:
            report.why = f"the limit of {seconds:g} s"
        if report.why:
            break
    else:
        report.complete = strategy.exhaustive and not cut
        if cut:
            report.why = f"executions were cut at {program.max_events} events"
    report.traces = len(traces)
    report.blocked = strategy.blocked
    report.replays = strategy.replays
    report.events = runs.events
    report.depth = runs.depth
    report.promise = strategy.promise()
    report.wall_s = time.perf_counter() - began
    return report


def _take(report: Report, execution: Execution, runs: Runs) -> bool:
    """Enter the violations of an execution; True if one of them is of a new kind."""
    news = False
    for violation in {violation.kind: violation for violation in reversed(execution.violations)}.values():
        before = report.found.get(violation.kind)
        if before is not None:
            report.found[violation.kind] = msgspec.structs.replace(before, executions=before.executions + 1)
            continue
        news = True
        report.found[violation.kind] = Found(
            kind=violation.kind,
            message=violation.message,
            schedule=tuple(runs.names.path(mid) for mid in execution.schedule),
            executions_until_found=report.executions,
            executions=1,
        )
    return news
