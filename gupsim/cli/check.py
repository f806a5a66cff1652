"""`gupsim check`: the checkers over a stored trace."""

from __future__ import annotations

from gupsim.cli.console import OK, UNDECIDED, VIOLATION, say_json, stdout, warn
from gupsim.cli.options import JsonOption, TraceFile


def check(file: TraceFile, *, as_json: JsonOption = False) -> int:
    """Check a stored trace: the same verdict as of the run that wrote it.

    Exit status 1 if there is a violation, 3 if there is none in a trace that is cut off: what came after, nobody knows.
    """
    from gupsim.checkers import Suite
    from gupsim.cli.play import outcome_json, show_outcome
    from gupsim.outcomes import WitnessReader, shown_by
    from gupsim.report import Metrics, Outcome
    from gupsim.trace import Event, TraceReader

    reader = TraceReader(file)
    witness = WitnessReader()
    suite, metrics = Suite(beside=(witness,)), Metrics()
    deliveries = 0
    for record in reader.records():
        if isinstance(record, Event):
            suite.feed(record)
            metrics.feed(record)
        else:
            deliveries += 1
    end_time = reader.end.time if reader.end is not None else reader.time
    violations = tuple(suite.finish(end_time))
    decided = frozenset(reader.end.decided if reader.end is not None else ())
    shows = shown_by(reader.header, witness.witness(decided), {found.kind for found in violations})
    outcome = Outcome(
        header=reader.header,
        violations=violations,
        metrics=metrics.values(),
        vmstat=metrics.vmstat,
        events=deliveries,
        end_time=end_time,
        trace_sha256=reader.sha256,
        warnings=tuple(reader.warnings()),
        cut=reader.cut is not None,
        results=shows.results,
        ended_with=shows.ended_with,
        claims=shows.claims,
        notes=shows.notes,
    )
    if as_json:
        for warning in outcome.warnings:
            warn(warning)
        say_json(outcome_json(outcome))
    else:
        show_outcome(outcome, stdout())
    if outcome.violations:
        return VIOLATION
    return UNDECIDED if outcome.cut else OK
