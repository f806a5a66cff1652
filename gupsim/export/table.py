"""The tracepoints of a trace as CSV, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gupsim.checkers.violation import AT_END, Violation, by_event
from gupsim.trace.errors import TraceError
from gupsim.trace.reader import TraceReader
from gupsim.whole import written_whole


def write_csv(trace: Path | str, out: Path | str, violations: Iterable[Violation] = ()) -> list[str]:
    """Convert a trace file; returns warnings. `fields` is a JSON object, `says` the line for people. violations: of
    `check_file`; each has a row of its own after that of the event at which it was seen, or at the end."""
    found = by_event(violations)
    reader = TraceReader(trace)
    encode = msgspec.json.encode
    try:
        with written_whole(Path(out)) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            rows = csv.writer(text)
            rows.writerow(("index", "time_ns", "actor", "context", "tracepoint", "says", "fields"))
            for event in reader.events():
                fields = msgspec.to_builtins(event.point)
                name = fields.pop("tp")
                says = event.point.say()
                row = (event.index, event.time, event.actor, event.context, name, says, encode(fields).decode())
                rows.writerow(row)
                rows.writerows(map(_row, found.get(event.index, ())))
            rows.writerows(map(_row, found.get(AT_END, ())))
            text.detach()
    except OSError as error:
        raise TraceError(str(out), -1, f"cannot be written: {error.strerror or error}") from None
    return reader.warnings()


def _row(found: Violation) -> tuple[object, ...]:
    index = "" if found.event is None else found.event.index
    context = "" if found.event is None else found.event.context
    fields = msgspec.json.encode({"kind": found.kind, "actors": found.actors}).decode()
    return (index, found.time_ns, found.actors[0] if found.actors else "", context, "violation", found.message, fields)
