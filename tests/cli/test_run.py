"""`gupsim run`, `check` and `export`, through the real command."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gupsim.actors.rules import PLATFORMS
from tests.cli.run_cli import ROOT, gupsim

NUMBERS = {"type": "object", "additionalProperties": {"type": ["integer", "null"]}}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
RESULT = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "scenario", "kernel", "platform", "policies", "settings", "seed", "verdict", "violations", "metrics", "vmstat",
        "results", "outcome", "claims", "notes", "events", "trace_sha256",
    ],
    "properties": {
        "scenario": {"type": "string"},
        "kernel": {"type": "string", "pattern": "^v[0-9]"},
        "platform": {"enum": list(PLATFORMS)},
        "policies": {"type": "array", "items": {"type": "string"}},
        "settings": {"type": "object", "additionalProperties": {"type": "string"}},
        "seed": {"type": "integer"},
        "verdict": {"enum": ["ok", "violation"]},
        "violations": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["kind", "time_ns", "message", "actors"],
                "properties": {
                    "kind": {"type": "string"},
                    "time_ns": {"type": "integer"},
                    "message": {"type": "string"},
                    "actors": {"type": "array", "items": {"type": "string", "pattern": "^h0/"}, "minItems": 1},
                },
            },
        },
        "metrics": NUMBERS,
        "vmstat": NUMBERS,
        "results": TEXTS,
        "outcome": TEXTS,
        "claims": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "notes": {"type": "array", "items": {"type": "string"}},
        "events": {"type": "integer", "minimum": 1},
        "trace_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
}  # fmt: skip


def run_json(*arguments: str, status: int, **environment: str) -> dict[str, Any]:
    result = gupsim("run", *arguments, "--json", **environment)
    assert result.returncode == status, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    told: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(told, RESULT)
    return told


def kinds(told: dict[str, Any]) -> set[str]:
    return {found["kind"] for found in told["violations"]}


def test_s01_dies_in_ext4_under_v4_20() -> None:
    told = run_json("S01", status=1)
    assert (told["kernel"], told["verdict"], kinds(told)) == ("v4.20", "violation", {"kernel-bug"})
    assert "BUG_ON(!PagePrivate(page))" in told["violations"][0]["message"]


def test_s01_loses_data_under_v5_19_although_sync_returned_0() -> None:
    told = run_json("S01", "--kernel", "5.19", status=1)
    assert (told["kernel"], kinds(told)) == ("v5.19", {"data-loss"})
    assert "although sync returned 0" in told["violations"][0]["message"]


def test_s01_is_harmless_under_v6_12_which_keeps_the_buffers_of_a_pin() -> None:
    told = run_json("S01", "-k", "v6.12", status=0)
    assert (told["verdict"], told["violations"]) == ("ok", [])
    assert told["metrics"]["buffers_released"] == 0
    assert told["vmstat"]["nr_foll_pin_acquired"] == told["vmstat"]["nr_foll_pin_released"] == 1


def test_a_policy_and_a_single_rule_change_the_outcome_and_are_reported() -> None:
    kept = run_json("S01", "-k", "v5.19", "-p", "keep-buffers", status=0)
    assert (kept["policies"], kept["settings"]) == (["keep-buffers"], {})
    lost = run_json("S01", "-k", "v6.12", "--set", "driver_call=get", status=1)
    assert (lost["settings"], kinds(lost)) == ({"driver_call": "get"}, {"data-loss"})


@pytest.mark.parametrize("name", ["S01", "S01-under-pressure"])
def test_the_result_is_the_same_in_another_process_under_another_hash_seed(name: str) -> None:
    told = [run_json(name, "--seed", "7", status=1, PYTHONHASHSEED=seed) for seed in ("0", "1", "12345")]
    assert told[0] == told[1] == told[2]


def test_a_workload_is_run_with_fewer_hosts_and_for_a_shorter_time() -> None:
    two, four = (run_json("rdma-cluster", "--hosts", hosts, "--duration", "50us", status=0) for hosts in ("2", "4"))
    assert 0 < two["metrics"]["dma_operations"] < four["metrics"]["dma_operations"]
    longer = run_json("rdma-cluster", "--hosts", "2", "--duration", "100us", status=0)
    assert longer["metrics"]["dma_operations"] > two["metrics"]["dma_operations"]


def test_the_time_of_something_that_is_no_workload_is_refused() -> None:
    refused = gupsim("run", "S01", "--duration", "50us")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--duration" in refused.stderr


def test_another_seed_gives_another_history() -> None:
    one, two = (run_json("S01", "--seed", seed, status=1)["trace_sha256"] for seed in ("1", "2"))
    assert one != two


def test_check_says_of_the_trace_what_run_said(tmp_path: Path) -> None:
    trace = tmp_path / "s01.trace"
    told = run_json("S01", "-k", "v5.19", "--set", "debug_vm=on", "--trace", str(trace), status=1)
    checked = gupsim("check", str(trace), "--json")
    assert checked.returncode == 1
    assert json.loads(checked.stdout) == told
    assert gupsim("check", str(trace)).stdout == gupsim("run", "S01", "-k", "v5.19", "--set", "debug_vm=on").stdout


def test_the_platform_is_told_by_run_and_by_check(tmp_path: Path) -> None:
    trace = tmp_path / "s35.trace"
    told = run_json("S35", "--kernel", "v5.19", "--platform", "arm64", "--trace", str(trace), status=0)
    assert (told["kernel"], told["platform"], told["settings"]) == ("v5.19", "arm64", {})
    checked = gupsim("check", str(trace))
    assert "kernel v5.19 on arm64, policies: none" in checked.stdout
    assert "rules set" not in checked.stdout


def test_a_trace_that_is_cut_off_is_checked_up_to_the_cut_with_a_warning(tmp_path: Path) -> None:
    trace = tmp_path / "s01.trace"
    gupsim("run", "S01", "--trace", str(trace))
    trace.write_bytes(trace.read_bytes()[:-200])
    checked = gupsim("check", str(trace), "--json")
    assert json.loads(checked.stdout)["trace_sha256"] == ""
    assert "s01.trace has no end mark: it is cut off" in checked.stderr
    assert checked.stderr.count("\n") == 1


def test_a_trace_that_is_cut_off_is_not_called_ok(tmp_path: Path) -> None:
    trace = tmp_path / "s01.trace"
    gupsim("run", "S01", "--kernel", "v6.12", "--trace", str(trace))
    assert "cut" not in json.loads(gupsim("check", str(trace), "--json").stdout)
    trace.write_bytes(trace.read_bytes()[:-200])
    checked = gupsim("check", str(trace), "--json")
    assert checked.returncode == 3
    told = json.loads(checked.stdout)
    assert (told["verdict"], told["cut"], told["violations"]) == ("undecided", True, [])
    assert "undecided, no violation up to where the trace is cut off" in gupsim("check", str(trace)).stdout


def test_what_a_file_says_is_never_printed_raw(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text('title: "\\e]0;x\\a\\e[31mred"\nthreads: {a: {steps: [{mmap: {as: b}}]}}\n')
    for command in (["run", str(file), "--timeline"], ["explore", str(file)]):
        shown = gupsim(*command, cwd=tmp_path)
        assert "?]0;x?[31mred" in shown.stdout
        assert "\x1b" not in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("to", "begins"), [("perfetto", "{"), ("mermaid", "sequenceDiagram\n"), ("csv", "index,time_ns,")]
)
def test_export_writes_to_standard_output_or_to_a_file(tmp_path: Path, to: str, begins: str) -> None:
    trace = tmp_path / "s01.trace"
    gupsim("run", "S01", "--trace", str(trace))
    shown = gupsim("export", str(trace), "--to", to)
    cut = "gupsim: 71 more messages are not shown (--arrows)\n" if to == "mermaid" else ""
    assert (shown.returncode, shown.stderr) == (0, cut)
    assert shown.stdout.startswith(begins)
    written = gupsim("export", str(trace), "--to", to, "-o", str(tmp_path / "out"))
    assert (written.returncode, written.stdout, written.stderr) == (0, "", cut)
    assert (tmp_path / "out").read_text() == shown.stdout


def test_export_does_not_overwrite_the_trace(tmp_path: Path) -> None:
    trace = tmp_path / "s01.trace"
    gupsim("run", "S01", "--trace", str(trace))
    before = trace.read_bytes()
    refused = gupsim("export", str(trace), "--to", "csv", "-o", str(trace))
    assert refused.returncode == 2
    assert "would be overwritten" in refused.stderr
    assert trace.read_bytes() == before


def test_the_report_and_the_timeline_fit_in_100_columns_without_colour() -> None:
    shown = gupsim("run", "S01", "--timeline").stdout
    assert max(map(len, shown.splitlines())) <= 100
    assert "\x1b" not in shown
    assert "verdict: VIOLATION: kernel-bug" in shown


def test_a_run_works_from_any_folder(tmp_path: Path) -> None:
    assert gupsim("run", "S35", cwd=tmp_path).returncode == 0


def test_slow_motion_takes_its_time_and_tells_the_same_history() -> None:
    began = time.monotonic()
    slow = gupsim("run", "S35", "--pace", "0.02")
    assert time.monotonic() - began > 20 * 0.02
    story, _, verdict = slow.stdout.partition("Two devices write disjoint halves")
    assert "dma/nic" in story
    assert verdict == gupsim("run", "S35").stdout.partition("Two devices write disjoint halves")[2]


def test_a_workload_can_be_made_shorter() -> None:
    told = run_json("S01-under-pressure", "-k", "v6.12", "--duration", "1ms", status=0)
    assert told["events"] < 10_000


def test_the_metrics_that_a_scenario_asks_for_are_reported() -> None:
    shown = gupsim("run", "S01-under-pressure", "-k", "v5.19").stdout
    (line,) = (line for line in shown.splitlines() if line.startswith("metrics "))
    assert "buffers_stripped_in_use" in line
    assert "tracepoints" not in shown


def test_a_title_that_the_locale_cannot_show_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: caf\u00e9 \u2603\nthreads: {app: {steps: [exit]}}\n", encoding="utf-8")
    shown = gupsim("run", str(file), PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "caf\\xe9 \\u2603" in shown.stdout
    told = gupsim("run", str(file), "--json", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert json.loads(told.stdout)["scenario"] == "caf\u00e9 \u2603"


def test_output_into_a_closed_pipe_is_no_error() -> None:
    for options in ("--timeline", "--json", "--pace 0.0001"):
        shown = subprocess.run(
            f"{sys.executable} -m gupsim.cli.main run S01 {options} | true",
            shell=True,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=ROOT,
        )
        assert shown.stderr == ""


def test_an_interrupted_run_leaves_a_trace_that_can_be_read(tmp_path: Path) -> None:
    trace = tmp_path / "long.trace"
    command = [sys.executable, "-m", "gupsim.cli.main", "run", "S01-under-pressure", "-k", "v6.12"]
    with subprocess.Popen(
        [*command, "--duration", "1000s", "--trace", str(trace)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as run:
        for _ in range(200):
            if trace.exists() and trace.stat().st_size > 100_000:
                break
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=20)
    assert (run.returncode, said) == (130, "gupsim: interrupted\n")
    checked = gupsim("check", str(trace), "--json")
    assert json.loads(checked.stdout)["events"] > 100
    assert "has no end mark" in checked.stderr


@pytest.mark.long
def test_a_long_run_shows_progress_on_a_terminal_and_only_there() -> None:
    command = [sys.executable, "-m", "gupsim.cli.main", "run", "S01-under-pressure", "-k", "v6.12", "--json"]
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        [*command, "--duration", "200ms"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    ) as run:
        os.close(theirs)
        shown = b""
        while chunk := _read(mine):
            shown += chunk
        out = run.stdout.read() if run.stdout else ""
    os.close(mine)
    assert json.loads(out)["verdict"] in {"ok", "violation"}
    assert b"deliveries" in shown
    assert gupsim("run", "S01-under-pressure", "-k", "v6.12", "--json", "--duration", "200ms").stderr == ""


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        # Linux says EIO when the other side of a pseudo-terminal is closed.
        return b""
