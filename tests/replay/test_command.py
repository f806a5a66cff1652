"""The command `gupsim replay`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from gupsim.cli.main import status_of
from gupsim.replay import save
from gupsim.replay.explain import explain
from gupsim.replay.replaying import replay
from gupsim.replay.step import HELP, Walk, walk
from tests.cli.run_cli import gupsim as in_a_process
from tests.replay.worlds import TORN, torn_recording


class Done(NamedTuple):
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def gupsim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process, which is faster, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        status = status_of(arguments)
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def file(tmp_path: Path) -> str:
    return save(torn_recording(), tmp_path / "torn.replay.json").name


def test_a_replay_says_what_went_wrong_why_and_how_to_play_it_again(gupsim: Command, file: str) -> None:
    done = gupsim("replay", file)
    assert done.returncode == 1, done.stderr
    assert "verdict: VIOLATION: torn-writeback" in done.stdout
    assert "how it came to that" in done.stdout
    assert "why: it takes this order" in done.stdout
    assert f"gupsim replay {file}\n" in done.stdout
    assert done.stderr == ""


def test_it_prints_the_same_under_another_hash_seed(file: str, tmp_path: Path) -> None:
    first, second = (
        in_a_process("replay", file, "--timeline", cwd=tmp_path, PYTHONHASHSEED=seed) for seed in ("1", "2")
    )
    assert first.stdout == second.stdout
    assert "process/app" in first.stdout


def test_minimise_writes_a_smaller_recording_that_replays(gupsim: Command, file: str) -> None:
    done = gupsim("replay", file, "--minimise", "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    before = told["minimised"]["before"]
    assert all(told[side] <= before[side] for side in ("threads", "steps", "switches", "events"))
    assert told["replay"] == "gupsim replay torn.min.replay.json"
    again = gupsim("replay", "torn.min.replay.json", "--json", "--no-explain")
    assert again.returncode == 1, again.stderr
    assert json.loads(again.stdout)["events"] == told["events"]
    assert json.loads(again.stdout)["why"] is None
    assert told["why"]["races"]


def test_json_is_one_object(gupsim: Command, file: str) -> None:
    done = gupsim("replay", file, "--json", "--no-explain")
    told = json.loads(done.stdout)
    assert (told["verdict"], told["reproduced"], told["left_at"]) == ("violation", True, None)
    assert told["expected"]["kind"] == told["violations"][0]["kind"] == "torn-writeback"
    assert (told["kernel"], told["policies"], told["settings"]) == ("v4.20", [], {})
    assert (told["strategy"], told["seed"]) == ("random", 7)


def test_step_goes_through_line_by_line_when_nobody_is_there_to_press_a_key(gupsim: Command, file: str) -> None:
    done = gupsim("replay", file, "--step")
    count = len(torn_recording().schedule.events)
    assert f"1/{count} " in done.stdout
    assert f"\n{count}/{count} " in done.stdout
    assert "VIOLATION torn-writeback" in done.stdout
    assert "=> races with event" in done.stdout


def test_a_changed_scenario_is_refused_and_a_fallback_says_where_it_left(
    gupsim: Command, file: str, tmp_path: Path
) -> None:
    (tmp_path / "torn.yaml").write_text(TORN.replace("cpus: 1", "cpus: 2").replace("value: 0xAA", "value: 0xAB"))
    refused = gupsim("replay", file)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "torn.yaml has changed since: machine.cpus, threads.app.steps" in refused.stderr
    assert "--fallback" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    followed = gupsim("replay", file, "--fallback", "--json")
    assert followed.returncode in {0, 1}
    told = json.loads(followed.stdout)
    assert told["changes"]
    assert told["left_at"] is not None or told["reproduced"]


def test_another_version_is_refused(gupsim: Command, tmp_path: Path) -> None:
    save(replace(torn_recording(), gupsim="0.0.1"), tmp_path / "old.replay.json")
    refused = gupsim("replay", "old.replay.json")
    assert refused.returncode == 2
    assert "recorded by gupsim '0.0.1'" in refused.stderr
    assert gupsim("replay", "old.replay.json", "--fallback").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.json",), "no such file"),
        ((".",), "directory"),
        (("foreign.json",), "not a replay file"),
        (("foreign.json", "--out", "x"), "--out goes with --minimise"),
        (("foreign.json", "--json", "--step"), "--json prints one object"),
        ((), "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    gupsim: Command, arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "foreign.json").write_text('{"hello": "world"}')
    done = gupsim("replay", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (("run", "S03", "--trace", "given"), "it is a trace: 'gupsim check' judges it"),
        (("explore", "S03", "--policy", "bounce", "--limit", "3", "--out", "."), "'gupsim explore --resume' goes on"),
        (("scenarios", "S03"), "it is a scenario: 'gupsim run' plays it"),
        ((), "S03 is a scenario: 'gupsim run' plays it"),
    ],
)
def test_a_file_for_another_command_is_called_what_it_is(
    gupsim: Command, make: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    file = "S03"
    if make:
        made = gupsim(*make)
        file = next((path.name for path in tmp_path.glob("*.search")), "given")
        if make[0] == "scenarios":
            Path(file).write_text(made.stdout)
    done = gupsim("replay", file)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_recording_that_cannot_be_written_is_said(gupsim: Command, file: str) -> None:
    done = gupsim("replay", file, "--minimise", "--out", "torn.replay.json/small")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_a_person_steps_skips_asks_and_leaves() -> None:
    replayed = replay(torn_recording())
    why = explain(replayed.runs, replayed.history, replayed.target)
    wishes = iter(["", "3", "?", "t", "q"])
    lines: list[str] = []
    stayed = walk(Walk(replayed.history, why, 100), lambda line: lines.append(line.plain), lambda: next(wishes))
    assert not stayed
    assert next(wishes, None) is None
    assert HELP in lines
    count = len(replayed.history)
    shown = [line for line in lines if f"/{count} " in line]
    assert 4 < len(shown) < count
    everything: list[str] = []
    assert walk(Walk(replayed.history, why, 100), lambda line: everything.append(line.plain), lambda: "e")
    assert sum(f"/{count} " in line for line in everything) == count
