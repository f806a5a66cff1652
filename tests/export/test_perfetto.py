"""Chrome's trace-event format: what ui.perfetto.dev needs to find, event by event."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gupsim.checkers import check_file
from gupsim.export import write_perfetto
from gupsim.protocol.cpu import IrqOff, IrqOn
from gupsim.protocol.dma import DmaStart
from gupsim.protocol.flusher import WritebackStart
from gupsim.trace import TraceError
from tests.checkers.history import FS, INO
from tests.export.stored import store
from tests.report.test_verdict import s01


@pytest.fixture
def events(tmp_path: Path) -> list[dict[str, Any]]:
    history = s01()
    history.emit("h0/cpu/0", IrqOff("cpu/0", "GUP-fast"))
    history.emit("h0/cpu/0", IrqOn("cpu/0"))
    history.emit("h1/dma/gpu", DmaStart("dma/gpu", 1, 9, False))
    history.emit(FS, WritebackStart(8, FS, INO, 1, 8))
    trace = store(history, tmp_path / "run.gup")
    out = tmp_path / "run.json"
    _, violations, _ = check_file(trace)
    assert write_perfetto(trace, out, violations) == []
    found = json.loads(out.read_text())
    assert set(found) == {"displayTimeUnit", "otherData", "traceEvents"}
    listed: list[dict[str, Any]] = found["traceEvents"]
    return listed


def of(events: list[dict[str, Any]], phase: str, **wanted: object) -> list[dict[str, Any]]:
    return [event for event in events if event["ph"] == phase and all(event.get(k) == v for k, v in wanted.items())]


def test_every_event_has_what_its_phase_requires(events: list[dict[str, Any]]) -> None:
    required = {
        "M": {"name", "pid", "tid", "args"},
        "X": {"name", "cat", "pid", "tid", "ts", "dur"},
        "i": {"name", "cat", "pid", "tid", "ts", "s"},
        "b": {"name", "cat", "pid", "tid", "ts", "id"},
        "e": {"name", "cat", "pid", "tid", "ts", "id"},
        "s": {"name", "cat", "pid", "tid", "ts", "id"},
        "f": {"name", "cat", "pid", "tid", "ts", "id", "bp"},
        "C": {"name", "pid", "tid", "ts", "args"},
    }
    for event in events:
        assert required[event["ph"]] <= set(event), event
        assert event.get("dur", 0.001) > 0
        assert event.get("ts", 0) >= 0
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)


def test_a_process_per_host_and_a_thread_per_actor(events: list[dict[str, Any]]) -> None:
    hosts = [event["args"]["name"] for event in of(events, "M", name="process_name")]
    assert hosts == ["host h0", "host h1"]
    threads = [event["args"]["name"] for event in of(events, "M", name="thread_name")]
    assert {"fs/ext4", "memmap", "driver/nic", "dma/gpu", "process/app: steps of app"} <= set(threads)
    places = Counter((event["pid"], event["tid"]) for event in of(events, "M", name="thread_name"))
    assert set(places.values()) == {1}


def test_messages_are_slices_joined_by_arrows(events: list[dict[str, Any]]) -> None:
    slices = of(events, "X", cat="message")
    assert {"Start", "Tell", "Done"} <= {event["name"] for event in slices}
    starts, ends = of(events, "s"), of(events, "f")
    assert [event["id"] for event in starts] == [event["id"] for event in ends]
    assert len({event["id"] for event in starts}) == len(starts)
    at = {(event["pid"], event["tid"], event["ts"]) for event in slices}
    for arrow in (*starts, *ends):
        assert (arrow["pid"], arrow["tid"], arrow["ts"]) in at
    assert all(start["ts"] < end["ts"] for start, end in zip(starts, ends, strict=True))


def test_slices_of_one_thread_do_not_overlap(events: list[dict[str, Any]]) -> None:
    lanes: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in of(events, "X", cat="message"):
        lanes.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for slices in lanes.values():
        slices.sort()
        for (_, end), (start, _) in pairwise(slices):
            assert end <= start + 1e-9


def test_what_lasts_is_a_slice_and_what_never_ended_is_closed_and_said_so(events: list[dict[str, Any]]) -> None:
    (step,) = of(events, "X", cat="step")
    assert step["name"] == "everything -> ok"
    (irq,) = of(events, "X", cat="irq")
    assert irq["name"] == "interrupts off: GUP-fast"
    for kind, names in {
        "writeback": ["writeback of page 7", "writeback of page 8 (not over)"],
        "dma": ["DMA into page 7", "DMA from page 9 (not over)"],
    }.items():
        assert [event["name"] for event in of(events, "b", cat=kind)] == names
        begins, ends = of(events, "b", cat=kind), of(events, "e", cat=kind)
        assert [event["id"] for event in begins] == [event["id"] for event in ends]


def test_tracepoints_are_instants_with_their_fields_and_words(events: list[dict[str, Any]]) -> None:
    (bug,) = of(events, "i", name="kernel:bug")
    assert bug["args"]["pfn"] == 7
    assert bug["args"]["says"].startswith("kernel BUG at")
    assert bug["s"] == "t"


def test_pages_held_for_devices_have_counters(events: list[dict[str, Any]]) -> None:
    pins = of(events, "C", name="page 7 pins")
    assert [event["args"]["FOLL_GET"] for event in pins] == [1, 0]
    assert [event["args"]["references"] for event in of(events, "C", name="page 7 refcount")] == [2, 1]


def test_violations_are_marked_for_all(events: list[dict[str, Any]]) -> None:
    (found,) = of(events, "i", cat="violation")
    assert found["name"] == "VIOLATION kernel-bug"
    assert found["s"] == "g"


def test_a_cut_trace_is_converted_with_a_warning(tmp_path: Path) -> None:
    trace = store(s01(), tmp_path / "run.gup")
    trace.write_bytes(trace.read_bytes()[:-3])
    (warning,) = write_perfetto(trace, tmp_path / "run.json")
    assert "cut off" in warning
    assert json.loads((tmp_path / "run.json").read_text())["traceEvents"]


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    trace = store(s01(), tmp_path / "run.gup")
    with pytest.raises(TraceError, match="cannot be written"):
        write_perfetto(trace, tmp_path / "no" / "run.json")
