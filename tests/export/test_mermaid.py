"""Sequence diagrams: the structure that Mermaid's grammar asks for, filters, and the cut."""

import re
from pathlib import Path

import pytest

from gupsim.export import Limits, mermaid_lines, write_mermaid
from gupsim.protocol.kernel import KernelWarning
from gupsim.trace import Causes, TraceReader
from tests.checkers.history import FS, History
from tests.export.stored import store
from tests.report.test_verdict import s01

PARTICIPANT = re.compile(r"^    participant (a\d+|nobody) as [^;<>{}\"\n]+$|^    participant nobody$")
ARROW = re.compile(r"^    (a\d+)(->>|-->>)(a\d+): \w+$")
NOTE = re.compile(r"^    Note over (a\d+|nobody)(,a\d+)?: (?:[^#;<>%{}\"\n]|#\w+;)+$")


def lines(trace: Path, **limits: object) -> list[str]:
    return list(mermaid_lines(TraceReader(trace), Limits(**limits)))  # type: ignore[arg-type]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return store(s01(), tmp_path / "run.gup")


def test_every_line_is_a_participant_an_arrow_or_a_note(trace: Path) -> None:
    found = lines(trace, arrows=1000)
    assert found[0] == "sequenceDiagram"
    for line in found[1:]:
        assert PARTICIPANT.match(line) or ARROW.match(line) or NOTE.match(line), line


def test_participants_are_declared_once_and_before_they_speak(trace: Path) -> None:
    found = lines(trace, arrows=1000)
    declared = [line.split()[1] for line in found if line.startswith("    participant")]
    used = set(re.findall(r"\ba\d+\b", "\n".join(line for line in found if "participant" not in line)))
    assert len(set(declared)) == len(declared)
    assert used == set(declared)


def test_messages_carry_their_class_and_answers_are_dashed(trace: Path) -> None:
    text = "\n".join(lines(trace))
    assert re.search(r"a\d+->>a\d+: Tell", text)
    assert re.search(r"a\d+-->>a\d+: Done", text)


def test_tracepoints_are_notes_in_kernel_words(trace: Path) -> None:
    assert any("kernel BUG at fs/ext4/inode.c" in line for line in lines(trace))


def test_too_many_arrows_are_cut_with_a_remark(trace: Path) -> None:
    found = lines(trace, arrows=5)
    assert sum(bool(ARROW.match(line)) for line in found) == 5
    assert re.search(r"cut here: \d+ more messages are not shown", found[-1])
    assert NOTE.match(found[-1])
    assert not any("cut here" in line for line in lines(trace, arrows=1000))


def test_a_page_filter_shows_what_is_about_that_page(tmp_path: Path) -> None:
    history = s01()
    history.get(99, "gup", "driver/gpu#1")
    trace = store(history, tmp_path / "two.gup")
    text = "\n".join(lines(trace, page=99))
    assert "page 99" in text
    assert "page 7" not in text
    assert "page 99" not in "\n".join(lines(trace, page=7))
    assert lines(trace, page=7, host="h0") == lines(trace, page=7)


def test_a_time_filter_shows_what_happened_then(trace: Path) -> None:
    everything = lines(trace, arrows=1000)
    half = TraceReader(trace)
    assert sum(1 for _ in half.records()) > 10
    middle = half.time // 2
    first, second = lines(trace, end=middle, arrows=1000), lines(trace, start=middle + 1, arrows=1000)
    arrows = [sum(bool(ARROW.match(line)) for line in part) for part in (everything, first, second)]
    assert arrows[0] == arrows[1] + arrows[2]
    assert min(arrows) > 0


def test_a_chain_of_causes_can_be_drawn_alone(trace: Path) -> None:
    causes = Causes(TraceReader(trace))
    names = [(causes.header.actors[one.src] if one.src >= 0 else "", one.seq)
             for one in causes.leading_to(causes.events[3].delivery)]  # fmt: skip
    found = lines(trace, deliveries=names)
    assert 0 < sum(bool(ARROW.match(line)) for line in found) <= len(names)


def test_nothing_that_matches_is_still_a_diagram(trace: Path) -> None:
    found = lines(trace, page=12345)
    assert found[0] == "sequenceDiagram"
    assert "nothing in this trace matches the limits" in found[-1]


def test_what_mermaid_would_take_for_syntax_is_escaped(tmp_path: Path) -> None:
    history = History()
    history.emit(FS, KernelWarning("a; b #1", '%%{init: {"theme": 1}}%% <script> "end"\nloop forever'))
    history.emit(FS, KernelWarning("long", "x" * 500))
    found = lines(store(history, tmp_path / "odd.gup"))
    for line in found[1:]:
        assert PARTICIPANT.match(line) or ARROW.match(line) or NOTE.match(line), line
    text = "\n".join(found)
    assert "a#59; b #35;1" in text
    assert "#lt;script#gt;" in text
    assert "x" * 200 not in text


def test_it_is_written_to_a_file(trace: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.mmd"
    assert write_mermaid(trace, out) == []
    assert out.read_text().startswith("sequenceDiagram\n    participant a0 as ")
