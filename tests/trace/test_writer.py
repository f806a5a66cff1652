"""What the writer promises: one digest for one history, with and without a file, and nothing kept in memory."""

import hashlib
from pathlib import Path

import msgpack
import pytest

from gupsim.engine.timed import TimedWorld
from gupsim.protocol.memmap import PageGet
from gupsim.trace import TRACE_VERSION, TraceError, TraceReader, TraceWriter
from tests.trace.small_world import HEADER, Client, Go, Server, events_of, run


def test_the_digest_is_the_sha256_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.gup"
    assert run(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_does_not_depend_on_file_readers_or_batches(tmp_path: Path) -> None:
    plain = run()
    events: list[object] = []
    assert run(tmp_path / "a.gup") == plain
    assert run(None, events.append) == plain
    assert run(None, batch=1) == plain
    assert run(None, batch=17) == plain
    assert events


def test_another_seed_or_another_length_is_another_digest() -> None:
    assert len({run(seed=1), run(seed=2), run(seed=1, rounds=6)}) == 3


def test_plain_msgpack_reads_the_stream_with_no_schema(tmp_path: Path) -> None:
    path = tmp_path / "run.gup"
    run(path)
    with path.open("rb") as file:
        records = list(msgpack.Unpacker(file))
    assert records[0][:3] == ["header", TRACE_VERSION, "two clients"]
    assert records[0][-2:] == [["h0/client/a", "h0/client/b", "h0/server"], "x86"]
    assert {record[0] for record in records[1:-1]} == {"d", "t"}
    assert records[-1] == ["end", records[-2][1], sum(record[0] == "d" for record in records), []]
    tracepoints = [record[-1]["tp"] for record in records if record[0] == "t"]
    assert {"page:get", "kernel:warn", "lock:contended", "observer:vmstat"} <= set(tracepoints)
    delivery = records[1]
    assert delivery[:6] == ["d", 0, -1, 0, 1, "Go"]


def test_the_batch_of_a_header_like_size_does_not_matter(tmp_path: Path) -> None:
    """1, 3 or 5 bytes of array header are cut off: batches below and above 16 records."""
    path = tmp_path / "run.gup"
    for batch in (1, 2, 15, 16, 17):
        run(path, batch=batch)
        assert sum(1 for _ in TraceReader(path).records()) > 30


def test_without_a_file_only_the_batch_is_kept() -> None:
    world = TimedWorld()
    world.add("h0/server", Server)
    world.add("h0/client/a", Client)
    writer = TraceWriter(world, HEADER, batch=10)
    world.post("h0/client/a", Go(100))
    world.run()
    assert writer.points == 201
    assert len(writer._rows) < 20
    writer.close()


def test_live_events_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.gup"
    live: list[object] = []
    run(path, live.append)
    assert list(TraceReader(path).events()) == live


def test_a_subscriber_sees_an_event_when_it_happens() -> None:
    events = events_of()
    assert [event.index for event in events] == list(range(len(events)))
    got = next(event for event in events if isinstance(event.point, PageGet))
    assert got.actor == "h0/server"
    assert got.delivery[0] == "h0/server"
    assert got.context in ("h0/client/a<.1", "h0/client/b<.2")


def test_a_growing_file_can_be_read_after_each_flush(tmp_path: Path) -> None:
    path = tmp_path / "run.gup"
    world = TimedWorld()
    world.add("h0/server", Server)
    world.add("h0/client/a", Client)
    writer = TraceWriter(world, HEADER, path)
    world.post("h0/client/a", Go(3))
    seen = []
    while not world.run(limit=3):
        writer.flush()
        reader = TraceReader(path)
        seen.append(sum(1 for _ in reader.records()))
        assert reader.cut is not None
    assert seen == sorted(seen)
    writer.close()
    reader = TraceReader(path)
    assert sum(1 for _ in reader.records()) >= seen[-1]
    assert reader.cut is None


def test_an_exception_leaves_a_file_without_an_end_mark(tmp_path: Path) -> None:
    path = tmp_path / "run.gup"
    world = TimedWorld()
    world.add("h0/server", Server)
    with pytest.raises(KeyboardInterrupt), TraceWriter(world, HEADER, path):
        raise KeyboardInterrupt
    reader = TraceReader(path)
    assert list(reader.records()) == []
    assert reader.cut is not None


def test_closing_twice_gives_the_same_digest_and_one_end_mark(tmp_path: Path) -> None:
    path = tmp_path / "run.gup"
    world = TimedWorld()
    world.add("h0/server", Server)
    writer = TraceWriter(world, HEADER, path)
    assert writer.close() == writer.close() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    world = TimedWorld()
    world.add("h0/server", Server)
    with pytest.raises(TraceError, match=r"cannot be written: No such file or directory"):
        TraceWriter(world, HEADER, tmp_path / "nowhere" / "run.gup")
