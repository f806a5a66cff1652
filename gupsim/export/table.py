"""The tracepoints of a trace as CSV, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec

from gupsim.trace.errors import TraceError
from gupsim.trace.reader import TraceReader


def write_csv(trace: Path | str, out: Path | str) -> list[str]:
    """Convert a trace file; returns warnings. `fields` is a JSON object, `says` the line for people."""
    reader = TraceReader(trace)
    encode = msgspec.json.encode
    try:
        with Path(out).open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("index", "time_ns", "actor", "context", "tracepoint", "says", "fields"))
            for event in reader.events():
                fields = msgspec.to_builtins(event.point)
                name = fields.pop("tp")
                says = event.point.say()
                row = (event.index, event.time, event.actor, event.context, name, says, encode(fields).decode())
                rows.writerow(row)
    except OSError as error:
        raise TraceError(str(out), -1, f"cannot be written: {error.strerror or error}") from None
    return reader.warnings()
