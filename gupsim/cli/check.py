"""`gupsim check`: the checkers over a stored trace."""

from __future__ import annotations

from gupsim.cli.console import OK, VIOLATION, say_json, stdout, warn
from gupsim.cli.options import JsonOption, TraceFile


def check(file: TraceFile, *, as_json: JsonOption = False) -> int:
    """Check a stored trace: the same verdict as of the run that wrote it. Exit status 1 if there is a violation."""
    from gupsim.checkers import Suite
    from gupsim.cli.play import outcome_json, show_outcome
    from gupsim.report import Metrics, Outcome
    from gupsim.trace import Event, TraceReader

    reader = TraceReader(file)
    suite, metrics = Suite(), Metrics()
    deliveries = 0
    for record in reader.records():
        if isinstance(record, Event):
            suite.feed(record)
            metrics.feed(record)
        else:
            deliveries += 1
    end_time = reader.end.time if reader.end is not None else reader.time
    outcome = Outcome(
        header=reader.header,
        violations=tuple(suite.finish(end_time)),
        metrics=metrics.values(),
        vmstat=metrics.vmstat,
        events=deliveries,
        end_time=end_time,
        trace_sha256=reader.sha256,
        warnings=tuple(reader.warnings()),
    )
    if as_json:
        for warning in outcome.warnings:
            warn(warning)
        say_json(outcome_json(outcome))
    else:
        show_outcome(outcome, stdout())
    return VIOLATION if outcome.violations else OK
