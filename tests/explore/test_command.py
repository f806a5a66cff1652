"""`gupsim explore`: what it prints, writes and returns. Most run in this process: to start one takes longer."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from gupsim.cli.main import status_of
from gupsim.scenario.load import load
from tests.cli.run_cli import ROOT, gupsim

COUNT = {"type": "integer", "minimum": 0}
SCHEMA = {
    "type": "object",
    "required": [
        *("scenario", "kernel", "platform", "policies", "strategy", "verdict", "complete", "executions", "traces"),
        *("redundant", "blocked", "events", "violations", "expectations", "wall_s", "searches", "state"),
    ],
    "properties": {
        "verdict": {"enum": ["held", "failed", "vacuous", "undecided"]},
        "complete": {"type": "boolean"},
        **dict.fromkeys(("executions", "traces", "redundant", "blocked", "events"), COUNT),
        "violations": {"items": {"required": ["kernel", "kind", "message", "replay", "executions_until_found"]}},
        "expectations": {
            "items": {
                "required": ["kernel", "kind", "expect", "verdict", "held"],
                "properties": {"held": {"enum": [True, False, None]}},
            }
        },
    },
}

WRONG = """\
title: expects too much
machine: {devices: {nic: {}}}
threads:
  app:
    steps:
      - mmap: {as: buf}
      - pin: {as: mr, device: nic, map: buf}
      - unpin: {pin: mr}
expectations:
  v6.12: {reachable: data-loss}
  v5.6: {unreachable: data-loss}
"""
SILENT = WRONG.partition("expectations")[0]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def called(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and messages."""
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as errors:
        status = status_of(["explore", *arguments])
    return status, output.getvalue(), errors.getvalue()


def explored(*arguments: str, status: int) -> dict[str, Any]:
    """What --json prints."""
    returned, output, errors = called(*arguments, "--json")
    assert returned == status, errors
    told: dict[str, Any] = json.loads(output)
    jsonschema.validate(told, SCHEMA)
    return told


@pytest.mark.parametrize("name", ["S31", "S31b", "S03"])
def test_a_scenario_is_what_its_file_says(name: str, tmp_path: Path) -> None:
    told = explored(name, "--keep-going", status=0)
    assert told["verdict"] == "held"
    assert told["complete"]
    assert len(told["searches"]) == len(load(name).scenario.expectations)
    assert told["redundant"] == told["blocked"] == 0
    assert told["executions"] == told["traces"] > 0
    assert all(expected["held"] for expected in told["expectations"])
    assert all((tmp_path / found["replay"]).is_file() for found in told["violations"])


def test_what_is_found_can_be_replayed_with_the_command_that_is_printed(tmp_path: Path) -> None:
    status, output, _ = called("S03", "--kernel", "v6.12")
    assert status == 0
    assert "torn-writeback is reachable: found after" in output
    command = next(line.split() for line in output.splitlines() if "gupsim replay" in line)
    replayed = gupsim(*command[1:], cwd=tmp_path)
    assert replayed.returncode == 1, replayed.stderr
    assert "torn-writeback" in replayed.stdout


def test_a_policy_is_proved(tmp_path: Path) -> None:
    status, output, _ = called("S03", "--kernel", "6.12", "--policy", "bounce")
    assert status == 0
    assert "torn-writeback is unreachable: proved, no interleaving of 1" in output
    assert not list(tmp_path.iterdir())


def test_an_expectation_that_does_not_hold_is_status_1(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)
    told = explored(str(file), status=1)
    assert told["verdict"] == "failed"
    assert [(expected["kernel"], expected["held"]) for expected in told["expectations"]] == [
        ("v6.12", False),
        ("v5.6", True),
    ]


def test_a_file_that_expects_nothing_is_safe_or_violated(tmp_path: Path) -> None:
    file = tmp_path / "silent.yaml"
    file.write_text(SILENT)
    told = explored(str(file), status=0)
    assert told["searches"][0]["verdict"] == "safe"
    assert told["complete"]
    told = explored("S31", "--kernel", "v5.19", "--policy", "bounce", status=1)
    assert told["expectations"] == []
    assert {found["kind"] for found in told["violations"]} == {"refcount", "pin-leak"}


def test_a_platform_is_told_kept_and_replayed(tmp_path: Path) -> None:
    told = explored("S31", "--kernel", "v5.19", "--platform", "pae32", status=1)
    assert (told["kernel"], told["platform"], told["searches"][0]["platform"]) == ("v5.19", "pae32", "pae32")
    assert {found["kernel"] for found in told["violations"]} == {"v5.19 + pae32"}
    replayed = gupsim("replay", told["violations"][0]["replay"], "--json", cwd=tmp_path)
    assert (json.loads(replayed.stdout)["platform"], replayed.stderr) == ("pae32", "")
    first = explored("S03", "--platform", "arm64", "--policy", "bounce", "--limit", "3", status=3)
    rest = explored("--resume", first["state"], status=0)
    assert (rest["platform"], rest["policies"], rest["complete"]) == ("arm64", ["bounce"], True)


def test_an_expectation_of_a_platform_is_searched_for_on_it(tmp_path: Path) -> None:
    file = tmp_path / "platforms.yaml"
    file.write_text(SILENT + "platform: arm64\nexpectations: {v5.19: {}, x86 + v4.20: {}, v6.17 + x86-invlpgb: {}}\n")
    told = explored(str(file), status=0)
    assert [(search["kernel"], search["platform"]) for search in told["searches"]] == [
        ("v5.19", "arm64"),
        ("v4.20", "x86"),
        ("v6.17", "x86-invlpgb"),
    ]


def test_a_limit_is_status_3_and_the_search_goes_on_from_there(tmp_path: Path) -> None:
    bounce = ("S03", "--kernel", "v6.12", "--policy", "bounce")
    whole = explored(*bounce, status=0)
    first = explored(*bounce, "--limit", "3", status=3)
    assert (first["verdict"], first["executions"]) == ("undecided", 3)
    assert first["expectations"][0]["held"] is None
    second = explored("--resume", first["state"], "--limit", "4", status=3)
    assert second["executions"] == 7
    rest = explored("--resume", first["state"], status=0)
    assert rest["complete"]
    assert rest["traces"] == rest["executions"] == whole["traces"]
    assert rest["expectations"] == whole["expectations"]


def test_every_search_that_was_stopped_goes_on() -> None:
    first = explored("S03", "--keep-going", "--limit", "8", status=3)
    assert [search["executions"] for search in first["searches"]] == [8] * len(load("S03").scenario.expectations)
    rest = explored("--resume", first["state"], status=0)
    whole = explored("S03", "--keep-going", status=0)
    for one, other in zip(rest["searches"], whole["searches"], strict=True):
        assert one["complete"]
        assert (one["kernel"], one["traces"], one["executions"]) == (other["kernel"], other["traces"], other["traces"])


def test_a_damaged_state_file_is_refused(tmp_path: Path) -> None:
    state = tmp_path / explored("S03", "--kernel", "v6.12", "--policy", "bounce", "--limit", "3", status=3)["state"]
    whole = state.read_bytes()
    for place in range(0, len(whole), len(whole) // 12):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            state.write_bytes(damaged)
            status, _, errors = called("--resume", str(state))
            assert status == 2, errors
            assert str(state) in errors


def test_two_workers_print_and_write_what_one_does(tmp_path: Path) -> None:
    outputs = []
    for workers in ("1", "2"):
        told = explored("S03", "--keep-going", "--workers", workers, status=0)
        for search in (told, *told["searches"]):
            del search["wall_s"]
        outputs.append((told, {file.name: file.read_bytes() for file in (tmp_path / "replays").iterdir()}))
        shutil.rmtree(tmp_path / "replays")
    assert outputs[0] == outputs[1]


def test_ctrl_c_ends_with_a_valid_report_and_a_state_to_go_on_from(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gupsim.cli.main", "explore", "S01", "--kernel", "v6.12"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    head = process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "S01-buffers-stripped.yaml" in head
    assert "interrupted" in output
    assert "kernel-bug should be unreachable: not found in" in output
    command = output.splitlines()[-1].removeprefix("go on with: gupsim explore ").split()
    before = explored(*command, "--limit", "1", status=3)
    more = explored(*command, "--limit", "5", status=3)
    assert more["executions"] == before["executions"] + 5


@pytest.mark.parametrize("strategy", ["dfs", "random", "pos", "pct"])
def test_every_strategy_searches(strategy: str) -> None:
    nothing = ("S03", "--kernel", "v6.12", "--policy", "bounce")
    told = explored(*nothing, "--strategy", strategy, "--limit", "20", status=3)
    assert told["strategy"] == strategy
    assert told["executions"] == 20
    assert told["searches"][0]["promise"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "explore: name a scenario, as S01"),
        (["S01", "--strategy", "bfs"], "explore: --strategy: unknown strategy 'bfs'; did you mean 'dfs'?"),
        (["S01", "--limit", "many"], "explore: --limit: 'many' is neither a number of executions"),
        (["S01", "--limit", "0"], "explore: --limit: at least 1 execution"),
        (["S01", "--kernel", "v5.13"], "unknown kernel 'v5.13'; did you mean 'v5.12'?"),
        (["S01", "--workers", "2", "--dask", "tcp://127.0.0.1:1"], "explore: --workers and --dask: one or the other"),
        (["S01-under-pressure"], "has a workload: it has too many interleavings to try all; sample them with"),
        (["--resume", "nowhere"], "explore: --resume: nowhere: there is no such file"),
        (["S01", "--resume", "nowhere"], "explore: --resume goes on with the search as it was"),
        (["--resume", str(ROOT / "pyproject.toml")], "pyproject.toml: is not a stopped search of gupsim"),
        (
            ["--resume", "S03"],
            "there is no such file; S03 is a scenario: 'gupsim run' plays it, 'gupsim explore' searches",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str], message: str) -> None:
    status, output, errors = called(*arguments)
    assert status == 2
    assert output == ""
    assert message in errors
    assert len(errors.splitlines()) == 1
