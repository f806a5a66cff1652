"""A replay is exact; what has changed is said; a fallback says where it left the recording."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gupsim.replay import (
    BadRecording,
    Changed,
    Diverged,
    NotReproduced,
    Recording,
    load,
    minimised,
    replay,
    save,
)
from gupsim.replay.file import decoded, encoded
from tests.replay.worlds import TORN, torn_recording

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return torn_recording()


def without_events(recording: Recording, *numbers: int) -> Recording:
    """The recording without some events, as if they had not been there."""
    schedule = recording.schedule
    what = tuple(what for number, what in enumerate(schedule.what) if number not in numbers)
    last = len(schedule.events) - 1
    assert set(numbers) == {last}, "others are named by the events after them"
    return replace(recording, schedule=replace(schedule, events=schedule.events[:-1], what=what))


def test_a_replay_shows_the_recorded_violation_with_its_story(recording: Recording) -> None:
    replayed = replay(recording)
    assert replayed.found is not None
    assert replayed.found.message == recording.expected.message
    told = next(found for found in replayed.violations if found.kind == "torn-writeback")
    assert any("checksum" in event.point.say() for event in told.chain)
    times = [event.time for event in replayed.events]
    assert times == sorted(times)


EXACT = """
import sys, hashlib
from gupsim.replay import load, replay
replayed = replay(load(sys.argv[1]))
told = [(event.time, event.actor, event.context, event.point) for event in replayed.events]
events = [(event.name, event.label, event.time) for event in replayed.history.events]
print(hashlib.sha256(repr((told, events, replayed.violations)).encode()).hexdigest())
"""


def test_a_replay_is_exact_in_other_processes_under_other_hash_seeds(recording: Recording, tmp_path: Path) -> None:
    path = save(recording, tmp_path / "torn.replay.json")
    digests = {
        subprocess.run(
            [sys.executable, "-c", EXACT, str(path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(digests) == 1


def test_a_replay_stops_at_the_first_divergence_and_shows_both_sides(recording: Recording) -> None:
    schedule = recording.schedule
    kind = schedule.words.index("PinBuffer")
    words = tuple("PinPages" if number == kind else word for number, word in enumerate(schedule.words))
    with pytest.raises(Diverged) as error:
        replay(replace(recording, schedule=replace(schedule, words=words)))
    assert error.value.expected.startswith("PinPages to h0/driver/nic")
    assert any(possible.startswith("PinBuffer to h0/driver/nic") for possible in error.value.possible)
    number = next(number for number, (what, _) in enumerate(schedule.what, start=1) if what == kind)
    assert error.value.number == number
    assert "PinPages to h0/driver/nic" in str(error.value)
    assert "PinBuffer to h0/driver/nic" in str(error.value)


def test_an_execution_that_goes_on_after_the_recording_has_diverged(recording: Recording) -> None:
    shorter = without_events(recording, len(recording.schedule.events) - 1)
    with pytest.raises(Diverged, match="it ends here"):
        replay(shorter)


def test_an_execution_that_ends_before_the_recording_has_diverged(recording: Recording) -> None:
    schedule = recording.schedule
    longer = replace(schedule, events=(*schedule.events, (1, 77)), what=(*schedule.what, schedule.what[0]))
    with pytest.raises(Diverged, match="the execution is over"):
        replay(replace(recording, schedule=longer))


def test_a_violation_that_is_not_there_any_more_is_an_error(recording: Recording) -> None:
    with pytest.raises(NotReproduced, match="instead there is torn-writeback"):
        replay(replace(recording, expected=replace(recording.expected, message="something else")))


def other_rules(recording: Recording, **values: str) -> Recording:
    assert recording.kernel is not None
    return replace(recording, kernel=replace(recording.kernel, rules={**recording.kernel.rules, **values}))


def test_what_has_changed_is_said(recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for changed, said in (
        (replace(recording, gupsim="0.0.1"), "recorded by gupsim '0.0.1'"),
        (other_rules(recording, writeback_pinned="bounce"), "writeback_pinned is .*, was bounce"),
        (other_rules(recording, no_such_rule="on"), "does not know no_such_rule=on"),
    ):
        with pytest.raises(Changed, match=said):
            replay(changed)
    assert recording.kernel is not None
    elsewhere = replace(recording, kernel=replace(recording.kernel, platform="arm64"))
    with pytest.raises(Changed, match="tlb_flush is broadcast, was ipi"):
        replay(elsewhere)
    Path("torn.yaml").write_text(TORN.replace("cpus: 1", "cpus: 2"))
    with pytest.raises(Changed, match=r"torn\.yaml has changed since: machine\.cpus"):
        replay(recording)
    Path("torn.yaml").write_text(TORN.replace("cpus: 1", "cpus: [1]"))
    with pytest.raises(Changed, match="cannot be read any more"):
        replay(recording)
    Path("torn.yaml").write_text(TORN)
    assert replay(recording).found is not None


def test_a_missing_scenario_file_is_no_obstacle(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert replay(recording).found is not None


def test_a_fallback_follows_as_far_as_it_goes_and_says_where_it_left(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.yaml").write_text(TORN.replace("      - read: {file: data, length: 8}", "      - shrink:"))
    replayed = replay(recording, fallback=True)
    assert replayed.left is not None
    assert 1 < replayed.left.number < len(recording.schedule.events)
    assert replayed.changes
    followed = replayed.left.number - 1
    names = [event.name for event in replayed.history.events[:followed]]
    Path("torn.yaml").unlink()
    assert names == [event.name for event in replay(recording).history.events[:followed]]
    assert replayed.history.whole


def test_a_fallback_of_what_has_not_changed_is_the_recording(recording: Recording) -> None:
    replayed = replay(recording, fallback=True)
    assert replayed.left is None
    assert replayed.history.mids
    assert replayed.found is not None


def test_a_recording_can_be_played_on_another_scenario(recording: Recording, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(TORN.replace("checksums: true", "checksums: false"))
    with pytest.raises(Changed, match="disks"):
        replay(recording, scenario=str(other))
    assert replay(recording, scenario=str(other), fallback=True).found is None


def test_a_recording_of_an_actor_program_is_left_to_its_test(recording: Recording) -> None:
    with pytest.raises(BadRecording, match="recorded by a test of bank"):
        replay(replace(recording, scenario=None, kernel=None, program="bank"))


def test_a_scenario_that_is_no_good_is_refused(recording: Recording) -> None:
    assert recording.scenario is not None
    form: dict[str, Any] = {**recording.scenario.form, "threads": {"app": {"steps": [{"mmapp": {}}]}}}
    with pytest.raises(BadRecording, match="unknown step"):
        replay(replace(recording, scenario=replace(recording.scenario, form=form)))


def test_a_recorded_file_name_makes_nobody_read_anything_else(recording: Recording, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("password: 1")
    assert recording.scenario is not None
    named = replace(recording, scenario=replace(recording.scenario, file=str(secret)))
    assert replay(named).found is not None


def test_loading_and_replaying_go_together(recording: Recording, tmp_path: Path) -> None:
    path = save(recording, tmp_path / "torn.replay.json")
    assert replay(load(path), name=str(path)).found is not None


def test_a_minimised_recording_follows_a_changed_scenario_with_the_steps_that_it_kept(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small, _ = minimised(replay(recording))
    Path("torn.yaml").write_text(TORN.replace("value: 0xAA", "value: 0xAB"))
    with pytest.raises(Changed, match="the recording has a part of it"):
        replay(small)
    replayed = replay(small, fallback=True)
    assert replayed.case.size == (2, 4)
    assert replayed.found is not None
    assert small.scenario is not None
    Path("torn.yaml").unlink()
    with pytest.raises(BadRecording, match="other steps are left"):
        replay(replace(small, scenario=replace(small.scenario, kept={"app": (0,)})))


def test_a_recording_from_before_there_were_platforms_is_of_x86_and_says_what_it_lacks(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert recording.kernel is not None
    form = json.loads(encoded(recording))
    del form["kernel"]["platform"]
    for rule in ("tlb_flush", "pte_read"):
        del form["kernel"]["rules"][rule]
    form["kernel"]["rules"] |= {"unmap_pinned_anon": "abort", "fork_pinned": "clone"}
    old = decoded(json.dumps(form).encode())
    with pytest.raises(Changed) as caught:
        replay(old)
    assert "does not know fork_pinned=clone" in str(caught.value)
    assert "recorded without the rule tlb_flush, pte_read" in str(caught.value)
    assert "unmap_pinned_anon is unmap, was abort" in str(caught.value)
    replayed = replay(old, fallback=True)
    assert replayed.case.kernel is not None
    assert replayed.case.kernel.platform == "x86"


def test_a_fallback_that_cannot_play_anything_says_why(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.yaml").write_text("title: [")
    with pytest.raises(Changed, match="cannot be read any more"):
        replay(recording)
    assert replay(recording, fallback=True).found is not None
    assert recording.kernel is not None
    unknown = replace(recording, kernel=replace(recording.kernel, era="v9.99"))
    with pytest.raises(BadRecording, match=r"v9\.99"):
        replay(unknown, fallback=True)
