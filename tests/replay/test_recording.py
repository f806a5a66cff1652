"""Replay files: what is in them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.replay import MAX_BYTES, BadRecording, Recording, load, mids_of, save, schedule_of
from gupsim.replay.file import decoded, encoded
from gupsim.search.names import Names
from tests.replay.worlds import torn_recording


@pytest.fixture(scope="module")
def recording() -> Recording:
    return torn_recording()


def test_a_saved_recording_is_the_same_when_it_is_loaded(recording: Recording, tmp_path: Path) -> None:
    path = save(recording, tmp_path / "deep" / "torn.replay.json")
    assert load(path) == recording
    assert [entry.name for entry in path.parent.iterdir()] == ["torn.replay.json"]


def test_a_recording_has_a_few_kilobytes(recording: Recording) -> None:
    assert len(recording.schedule.events) > 100
    assert len(encoded(recording)) < 10_000


def test_a_recording_names_events_by_cause_and_not_by_position(recording: Recording) -> None:
    names, others = Names(), Names()
    for step in range(40):
        others.next_child(0)
        others.answer(step + 1)
    first = [names.path(mid) for mid in mids_of(recording.schedule, names)]
    assert first == [others.path(mid) for mid in mids_of(recording.schedule, others)]


@given(st.data())
def test_any_schedule_survives_being_written_down(data: st.DataObject) -> None:
    names = Names()
    mids = []
    for _ in range(data.draw(st.integers(1, 30))):
        parent = data.draw(st.integers(0, len(names) - 1))
        how = data.draw(st.sampled_from(["child", "answer", "timer"])) if parent else "child"
        made = {"child": names.next_child, "answer": names.answer, "timer": names.timer}[how](parent)
        mids.append(made)
    mids = data.draw(st.permutations(list(dict.fromkeys(mids))))
    mids = mids[: data.draw(st.integers(0, len(mids)))]
    schedule = schedule_of(names, mids, [("", "a")] * len(mids))
    again = Names()
    assert [again.path(mid) for mid in mids_of(schedule, again)] == [names.path(mid) for mid in mids]


def changed(recording: Recording, **fields: Any) -> bytes:
    return json.dumps({**json.loads(encoded(recording)), **fields}).encode()


def within(recording: Recording, part: str, **fields: Any) -> bytes:
    form = json.loads(encoded(recording))
    form[part] = {**form[part], **fields}
    return json.dumps(form).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a replay file"),
        (b"\x00\xff\xfe", "not a replay file"),
        (b"[1, 2]", "not a replay file"),
        (b"{}", "not a replay file"),
        (b'{"format": "other", "version": 1}', "not a replay file"),
        (b'{"format": "gupsim-replay", "version": 9}', "version 9 of the replay format"),
        (b'{"format": "gupsim-replay", "version": 1}', "damaged"),
        (b"[" * 100_000, "not a replay file"),
        (b'{"format": "gupsim-replay", "version": 1, "x": ' + b"[" * 100_000, "not a replay file"),
        (b" " * (MAX_BYTES + 1), "too large"),
    ],
)
def test_what_is_no_recording_is_refused_in_a_line(data: bytes, said: str) -> None:
    with pytest.raises(BadRecording, match=said) as error:
        decoded(data)
    assert "\n" not in str(error.value)


def test_damaged_recordings_are_refused(recording: Recording) -> None:
    events = json.loads(encoded(recording))["schedule"]["events"]
    whole = encoded(recording)
    for data, said in (
        (whole[: len(whole) // 2], "not JSON, or cut off"),
        (changed(recording, seed=-1), "seed"),
        (changed(recording, surprise=1), "surprise"),
        (changed(recording, kernel=None), "a scenario or a kernel"),
        (within(recording, "schedule", events=events[:-1]), "describes"),
        (within(recording, "schedule", events=[[1, 0], *events[1:]]), "sent by no event"),
        (within(recording, "schedule", events=[[len(events) + 9, 0], *events[1:]]), "sent by no event"),
        (within(recording, "schedule", events=[[0, -1], *events[1:]]), "answer to the outside world"),
        (within(recording, "schedule", events=[[0, 10**7], *events[1:]]), "damaged"),
        (within(recording, "schedule", events=[events[1], *events[1:]]), "sent by no event"),
        (within(recording, "schedule", words=[]), "not there"),
    ):
        with pytest.raises(BadRecording, match=said):
            decoded(data)


def test_numbers_that_would_fill_memory_are_refused(recording: Recording) -> None:
    events = [[0, 100_000]] * len(recording.schedule.events)
    with pytest.raises(BadRecording, match="numbered higher"):
        decoded(within(recording, "schedule", events=events))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path, "directory"),
        (tmp_path / "none", "no such file"),
        (Path("/dev/null"), "not a plain file"),
    ):
        with pytest.raises(BadRecording, match=said):
            load(path)


@given(st.binary(max_size=200))
def test_no_bytes_are_read_as_anything_but_a_recording(data: bytes) -> None:
    with pytest.raises(BadRecording):
        decoded(data)
