"""What a search found, for all that reads traces."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from gupsim.checkers import check_file
from gupsim.replay import load, replay
from gupsim.replay.as_trace import write_trace
from gupsim.trace import TraceReader
from tests.cli.run_cli import gupsim

FINDINGS = [
    ("S03", "v6.12"),
    ("S16", "v5.19"),
    ("S24", "v6.12 + arm-nospecial + pte_special=ignored"),
    ("S10", "v4.20"),
]


def found(name: str, kernel: str, folder: Path) -> list[Path]:
    gupsim("explore", name, "--kernel", kernel, "--limit", "2000", cwd=folder)
    return sorted((folder / "replays").glob("*.replay.json")) if (folder / "replays").is_dir() else []


@pytest.mark.parametrize(("name", "kernel"), FINDINGS)
def test_the_checkers_say_of_the_trace_what_the_search_said(name: str, kernel: str, tmp_path: Path) -> None:
    files = found(name, kernel, tmp_path)
    assert files
    for file in files:
        replayed = replay(load(file))
        write_trace(replayed, tmp_path / "t.gup")
        _, violations, _ = check_file(tmp_path / "t.gup")
        # "seen=0x77" is a claim of the file, which no checker knows.
        wanted = {(one.kind, one.message, one.actors) for one in replayed.violations if "=" not in one.kind}
        assert {(one.kind, one.message, one.actors) for one in violations} == wanted
        assert [event.point for event in TraceReader(tmp_path / "t.gup").events()] == [
            point for event in replayed.history.events for _, _, point in event.points
        ]


@pytest.mark.parametrize("form", ["perfetto", "mermaid", "csv"])
def test_a_finding_is_converted_and_the_violation_is_in_it(form: str, tmp_path: Path) -> None:
    (file,) = found("S03", "v6.12", tmp_path)
    shown = gupsim("replay", str(file), "--to", form)
    assert (shown.returncode, shown.stderr) == (1, "")
    written = gupsim("replay", str(file), "--to", form, "--out", str(tmp_path / "out"))
    assert (written.returncode, written.stdout) == (1, "")
    assert (tmp_path / "out").read_text() == shown.stdout
    said = "does not match its checksum: dma/nic changed page 1"
    if form == "perfetto":
        assert any("torn-writeback" in event["name"] for event in json.loads(shown.stdout)["traceEvents"])
    elif form == "mermaid":
        assert [line for line in shown.stdout.splitlines() if "VIOLATION torn-writeback" in line and said in line]
    else:
        rows = [row for row in csv.DictReader(io.StringIO(shown.stdout)) if row["tracepoint"] == "violation"]
        assert len(rows) == 1
        assert said in rows[0]["says"]


def test_a_diagram_that_is_cut_says_so_and_keeps_the_violation(tmp_path: Path) -> None:
    assert gupsim("run", "S01", "--trace", "s01.trace", cwd=tmp_path).returncode == 1
    cut = gupsim("export", "s01.trace", "--to", "mermaid", "--arrows", "5", cwd=tmp_path)
    assert "VIOLATION kernel-bug" in cut.stdout
    assert "more messages are not shown (--arrows)" in cut.stderr
