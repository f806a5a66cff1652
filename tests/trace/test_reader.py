"""What the reader makes of files that are whole, cut off, damaged, foreign, or of another version."""

import hashlib
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gupsim.checkers import check_file
from gupsim.trace import TRACE_VERSION, Causes, Delivery, Event, TraceError, TraceReader, cause_chain
from gupsim.trace.reader import MAX_RECORD
from tests.trace.small_world import run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "run.gup"
    run(path, rounds=2)
    return path


def records(path: Path) -> tuple[list[Delivery | Event], TraceReader]:
    reader = TraceReader(path)
    return list(reader.records()), reader


def header_length(data: bytes) -> int:
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    unpacker.skip()
    return int(unpacker.tell())


def refused(tmp_path: Path, data: bytes, match: str) -> TraceError:
    path = tmp_path / "bad.gup"
    path.write_bytes(data)
    with pytest.raises(TraceError, match=match) as caught:
        records(path)
    assert str(caught.value).startswith(str(path))
    return caught.value


def test_a_whole_file_has_its_end_mark_and_digest(whole: Path) -> None:
    found, reader = records(whole)
    assert reader.header.scenario == "two clients"
    assert reader.header.actors == ("h0/client/a", "h0/client/b", "h0/server")
    assert reader.cut is None
    assert reader.warnings() == []
    assert reader.end is not None
    assert reader.end.events == sum(isinstance(record, Delivery) for record in found)
    assert reader.sha256 == hashlib.sha256(whole.read_bytes()).hexdigest()


def test_a_file_from_before_there_were_platforms_is_of_x86(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    length = header_length(data)
    old = msgpack.packb(msgpack.unpackb(data[:length])[:-1])
    path = tmp_path / "old.gup"
    path.write_bytes(old + data[length:])
    _, reader = records(path)
    assert (reader.header.platform, reader.header.actors[0]) == ("x86", "h0/client/a")
    assert reader.end is not None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_cut_gives_a_prefix_and_a_warning(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    everything = whole.read_bytes()
    all_records, _ = records(whole)
    size = data.draw(st.integers(0, len(everything) - 1))
    path = tmp_path / "cut.gup"
    path.write_bytes(everything[:size])
    if size < header_length(everything):
        with pytest.raises(TraceError, match="is empty" if not size else "cut off within its header"):
            TraceReader(path)
        return
    found, reader = records(path)
    assert found == all_records[: len(found)]
    assert reader.cut is not None
    assert reader.cut.offset + reader.cut.torn == size
    assert reader.cut.records == len(found)
    (warning,) = reader.warnings()
    assert f"cut off at byte {size}" in warning


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_a_trace_error_or_records_but_nothing_else(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    path = tmp_path / "damaged.gup"
    path.write_bytes(bytes(damaged))
    with suppress(TraceError):
        found, _ = records(path)
        assert all(isinstance(record, (Delivery, Event)) for record in found)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(junk=st.binary(max_size=200))
def test_junk_is_a_trace_error(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "junk.gup"
    path.write_bytes(junk)
    with pytest.raises(TraceError):
        records(path)


def test_an_empty_file_and_a_missing_one_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, b"", "is empty")
    with pytest.raises(TraceError, match="cannot be read: No such file"):
        TraceReader(tmp_path / "missing.gup")
    with pytest.raises(TraceError, match="cannot be read: Is a directory"):
        TraceReader(tmp_path)


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04 a zip file", b'{"json": true}', b"\xc1", b"\x93\x01\x02\x03", b"\x00" * 50]
)
def test_a_foreign_file_is_refused_at_its_first_byte(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, data, "is not a gupsim trace").offset == 0


def test_another_version_is_named(whole: Path, tmp_path: Path) -> None:
    data = msgpack.packb(["header", 99, "whatever this version has"]) + whole.read_bytes()
    refused(tmp_path, data, r"is a trace of version 99; this gupsim reads version 2")


def test_a_malformed_header_is_named(tmp_path: Path) -> None:
    refused(tmp_path, msgpack.packb(["header", TRACE_VERSION, 5]), "its trace header is malformed")


def test_an_unknown_tracepoint_is_named_with_its_offset(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    start = header_length(data)
    record = msgpack.packb(["t", 1, 0, -1, 1, "", {"tp": "quantum:flip", "pfn": 7}])
    error = refused(tmp_path, data[:start] + record, "unknown tracepoint 'quantum:flip'")
    assert error.offset == start


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"tp": "page:free", "pfn": "seven"}, "malformed tracepoint page:free"),
        ({"pfn": 7}, "malformed tracepoint"),
        ([1, 2], "malformed tracepoint"),
    ],
)
def test_a_malformed_tracepoint_is_named(whole: Path, tmp_path: Path, body: object, says: str) -> None:
    data = whole.read_bytes()
    record = msgpack.packb(["t", 1, 0, -1, 1, "", body])
    refused(tmp_path, data[: header_length(data)] + record, says)


@pytest.mark.parametrize(
    "record", [["x", 1], [], 5, ["d", 1], ["t", 1, 99, -1, 1, "", {}], ["d", 1, 0, 99, 1, "", -1, "", 0, 1]]
)
def test_a_record_of_no_kind_or_of_no_actor_is_refused(whole: Path, tmp_path: Path, record: object) -> None:
    data = whole.read_bytes()
    refused(tmp_path, data[: header_length(data)] + msgpack.packb(record), "byte ")


def test_an_end_mark_that_counts_wrongly_and_bytes_behind_it_are_refused(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    refused(
        tmp_path, data[: header_length(data)] + msgpack.packb(["end", 5, 3]), "counts 3 deliveries, but the file has 0"
    )
    refused(tmp_path, data + b"\x01", "more after the end mark")
    refused(tmp_path, data + b"\x92\x01", "more after the end mark")


def test_what_a_file_claims_to_hold_costs_no_memory(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    start = data[: header_length(data)]
    path = tmp_path / "claims.gup"
    path.write_bytes(start + b"\xdd\xff\xff\xff\xff")
    found, reader = records(path)
    assert found == []
    assert reader.cut is not None
    refused(tmp_path, start + b"\x91" * 100_000, "is nested too deeply")
    refused(tmp_path, start + b"\xc6" + (MAX_RECORD * 2).to_bytes(4, "big") + bytes(MAX_RECORD * 2), "is larger than")


def test_checking_a_cut_file_says_so_and_judges_what_is_there(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gup"
    path.write_bytes(whole.read_bytes()[:-5])
    header, violations, warnings = check_file(path)
    assert header.kernel == "v4.20"
    assert violations == []
    assert "cut off" in warnings[0]


def test_the_causes_of_a_message_lead_back_to_the_outside_world(whole: Path) -> None:
    causes = Causes(TraceReader(whole))
    last = causes.events[-1]
    chain = cause_chain(whole, last.delivery)
    assert chain == causes.leading_to(last.delivery)
    assert chain[0].cause_src == -1
    assert [(record.type, record.seq) for record in chain[:2]] == [("Go", chain[0].seq), ("Ask", chain[1].seq)]
    assert (causes.header.actors[chain[-1].src], chain[-1].seq) == last.delivery
    for cause, effect in pairwise(chain):
        assert (cause.src, cause.seq) == (effect.cause_src, effect.cause_seq)
    assert len(causes.leading_to(last.delivery, limit=2)) == 2
