"""CSV of the tracepoints."""

import csv
import json
from pathlib import Path

from gupsim.export import write_csv
from gupsim.trace import TraceReader
from tests.export.stored import store
from tests.report.test_verdict import s01


def test_a_row_per_tracepoint_with_its_fields_as_json(tmp_path: Path) -> None:
    trace = store(s01(), tmp_path / "run.gup")
    out = tmp_path / "run.csv"
    assert write_csv(trace, out) == []
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    events = list(TraceReader(trace).events())
    assert [int(row["index"]) for row in rows] == list(range(len(events)))
    bug = next(row for row in rows if row["tracepoint"] == "kernel:bug")
    assert json.loads(bug["fields"])["pfn"] == 7
    assert bug["says"].startswith("kernel BUG at")
    assert bug["actor"] == "h0/fs/ext4"
