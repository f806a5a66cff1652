"""A journal survives everything that a killed process does to it, and nothing else is taken for one."""

import resource
from pathlib import Path

import pytest

from gupsim.cluster.errors import JournalError
from gupsim.cluster.journal import Heading, Journal, Taken
from gupsim.cluster.stream import Stream

HEADING = Heading("cafe0123", "d" * 64, 1, 40)


def _written(path: Path, rounds: int = 5) -> bytes:
    journal = Journal(path, HEADING)
    for number in range(rounds):
        journal.append(number, bytes([number]) * 32, {0: b"frame" * number, 2: b""})
    journal.close()
    return path.read_bytes()


def test_what_was_appended_is_replayed(tmp_path: Path) -> None:
    _written(tmp_path / "j")
    journal = Journal(tmp_path / "j", HEADING)
    taken = list(journal.replay())
    assert taken[3] == Taken(3, b"\x03" * 32, {0: b"frame" * 3, 2: b""})
    assert [entry.round for entry in taken] == [0, 1, 2, 3, 4]
    journal.close()


def test_a_journal_cut_off_at_any_byte_is_read_up_to_the_last_whole_record_and_goes_on_there(tmp_path: Path) -> None:
    whole = _written(tmp_path / "j")
    path = tmp_path / "cut"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        journal = Journal(path, HEADING)
        count = len(list(journal.replay()))
        journal.append(count, b"again", {})
        journal.close()
        journal = Journal(path, HEADING)
        assert [entry.round for entry in journal.replay()] == list(range(count + 1))
        journal.close()


def test_a_changed_byte_ends_what_is_read(tmp_path: Path) -> None:
    whole = bytearray(_written(tmp_path / "j"))
    whole[-20] ^= 1
    (tmp_path / "j").write_bytes(whole)
    journal = Journal(tmp_path / "j", HEADING)
    assert len(list(journal.replay())) == 4
    assert journal.torn > 0
    journal.close()


def test_the_journal_of_another_run_is_refused_and_kept(tmp_path: Path) -> None:
    whole = _written(tmp_path / "j")
    with pytest.raises(JournalError, match="of another run"):
        Journal(tmp_path / "j", Heading("beef", "d" * 64, 1, 40))
    assert (tmp_path / "j").read_bytes() == whole


def test_a_stream_of_another_kind_is_refused(tmp_path: Path) -> None:
    Stream(tmp_path / "s", "something").close()
    with pytest.raises(JournalError, match="something else"):
        Stream(tmp_path / "s", "else")


def test_a_disk_that_is_full_is_said_and_leaves_the_journal_whole(tmp_path: Path) -> None:
    size = len(_written(tmp_path / "j"))
    journal = Journal(tmp_path / "j", HEADING)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))
    try:
        with pytest.raises(JournalError, match="cannot be written: File too large"):
            journal.append(5, b"x" * 32, {0: b"y" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "j").stat().st_size == size
    journal.append(5, b"x" * 32, {0: b"y" * 1000})
    journal.close()
