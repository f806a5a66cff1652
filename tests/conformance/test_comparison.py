"""What is compared, what is unsupported, and that a wrong model is found out."""

import json
from pathlib import Path
from typing import Any

import pytest

from gupsim.cli.main import status_of
from tests.conformance.program import CASE, RESULT, op, steps, write_cases, write_recording


def compared(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    """The one recording of --json."""
    assert status_of(["conformance", "--json", *arguments]) == status
    out, err = capsys.readouterr()
    assert err == ""
    said = json.loads(out)
    (recording,) = said.pop("recordings")
    assert said == recording
    assert isinstance(recording, dict)
    return recording


def mine(tmp_path: Path, case: dict[str, Any], result: dict[str, Any] | None = None, **recorded: Any) -> list[str]:
    """Options for a case and what was recorded of it."""
    return ["--cases", write_cases(tmp_path, case), "--observed", write_recording(tmp_path, result, **recorded)]


def played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *made: dict[str, Any], needs: tuple[str, ...] = ()
) -> list[Any]:
    """What the model answers to each step: what it says when nothing was recorded as it is."""
    result = {
        "obs": {step["obs"]: "?" for step in made if "obs" in step},
        "results": ["?"] * len(made),
        "end": {"acq": 0, "rel": 0, "still_pinned_before_exit": 0},
    }
    status_of(["conformance", "--json", *mine(tmp_path, steps(*made, needs=needs), result)])
    (recording,) = json.loads(capsys.readouterr().out)["recordings"]
    assert recording["unsupported"] == []
    answers = [difference["model"] for difference in recording["disagreed"] if difference["kernel"] == "?"]
    assert len(answers) == len(made)
    return answers


MAP = op("map", as_="m", kind="anon-private", pages=2, fill=7)


def test_equal_answers_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(capsys, *mine(tmp_path, CASE)) == {
        "file": str(tmp_path / "observed.json"),
        "kernel": "6.12.117",
        "era": "v6.12",
        "cases": 1,
        "agreed": 1,
        "disagreed": [],
        "unsupported": [],
        "skipped": [],
    }


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"obs": {"seen": 8}}, ("seen", 7, 8)),
        ({"obs": {"seen": "7"}}, ("seen", 7, "7")),
        ({"obs": {"seen": True}}, ("seen", 7, True)),
        ({"results": ["EPERM", 7]}, ("step 1 (map)", "ok", "EPERM")),
        ({"end": {"acq": 1, "rel": 0, "still_pinned_before_exit": 0}}, ("end: acq", 0, 1)),
        ({"end": {"acq": 0, "rel": 2, "still_pinned_before_exit": 0}}, ("end: rel", 0, 2)),
        ({"end": {"acq": 0, "rel": 0, "still_pinned_before_exit": 3}}, ("end: still_pinned_before_exit", 0, 3)),
    ],
)
def test_each_observation_step_and_counter_can_disagree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], difference: tuple[str, Any, Any]
) -> None:
    found = compared(capsys, *mine(tmp_path, CASE, {**RESULT, **change}), status=1)
    observation, model, kernel = difference
    assert found["agreed"] == 0
    assert found["disagreed"] == [{"case": "mine", "observation": observation, "model": model, "kernel": kernel}]


@pytest.mark.parametrize(
    ("setting", "case", "observations"),
    [
        ("odirect_call=get", "acct-odirect-read", {"after", "end: acq", "end: rel"}),
        ("uring_coalesce=no", "acct-thp-uring", {"pinned"}),
        ("zero_page_pin=counted", "acct-zero-page-readonly", {"after_pvm", "after_odirect", "end: acq", "end: rel"}),
        ("fork_pinned=share", "fork-pinned-parent", None),
        ("uring_memlock=ring_too", "perm-memlock", None),
    ],
)
def test_a_deliberately_wrong_rule_is_found_out(
    capsys: pytest.CaptureFixture[str], setting: str, case: str, observations: set[str] | None
) -> None:
    packaged = Path(__file__).resolve().parents[2] / "gupsim/conformance/data/observed-6.12.json"
    arguments = ["--observed", str(packaged), "--case", case]
    assert compared(capsys, *arguments)["agreed"] == 1
    found = compared(capsys, *arguments, "--set", setting, status=1)
    seen = {difference["observation"] for difference in found["disagreed"]}
    assert seen
    assert observations is None or seen == observations
    assert found["era"] == f"v6.12 + {setting}"


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (steps(op("levitate")), "levitate: no such operation is known"),
        (steps(op("map", as_="m", kind="anon-private", pages=1, colour=3)), "map: no such argument is known: colour"),
        (steps(op("map", as_="m", kind="anon-quantum", pages=1)), "map: kind anon-quantum: no such kind is known"),
        (steps(op("open", as_="f", type="tape", pages=1)), "open: type tape: no such type is known"),
        (steps(MAP, op("madvise", map="m", advice="LEVITATE")), "madvise: nobody takes the advice LEVITATE"),
        (steps(MAP, op("pin", as_="p", how="glue", map="m")), "pin: how glue: no such pin is known"),
        (steps(MAP, op("pageflags", map="m", flags="ANON,KSM")), "pageflags: the model has no flag KSM"),
        (steps(MAP, needs=("quantum",)), "the model's machine has no quantum"),
        (steps(op("map", as_="m", kind="anon-private", pages=1 << 20)), "more memory is mapped than"),
        (steps(MAP, op("hold_start", as_="h", dir="read", map="m")), "hold_start: a request that is never finished"),
        (steps(op("vmstat", alone=True)), "vmstat: cannot be left to run by itself"),
    ],
)
def test_what_no_actor_carries_is_unsupported_and_never_agreed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: dict[str, Any], why: str
) -> None:
    count = len(case["steps"])
    result = {"obs": {}, "results": [None] * count, "end": {"acq": 0, "rel": 0, "still_pinned_before_exit": 0}}
    found = compared(capsys, *mine(tmp_path, case, result))
    assert found["agreed"] == 0
    (reason,) = found["unsupported"]
    assert reason["case"] == "mine"
    assert reason["why"].startswith(why)


def test_the_name_and_the_area_of_a_case_mean_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = {**CASE, "id": "acct-thp-uring", "area": "thp", "title": "x", "why": "y", "tier": "core"}
    recording = tmp_path / "other.json"
    recording.write_text(json.dumps({"kernel": "6.12.1", "cases": {"acct-thp-uring": RESULT}}), encoding="utf-8")
    found = compared(capsys, "--cases", write_cases(tmp_path, renamed), "--observed", str(recording))
    assert found["agreed"] == 1


def test_what_was_not_recorded_is_skipped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for result, why in (
        ({"skipped": "no swap"}, "no swap"),
        ({"error": "it hung"}, "the recording has an error: it hung"),
    ):
        found = compared(capsys, *mine(tmp_path, CASE, result))
        assert (found["cases"], found["agreed"]) == (1, 0)
        assert found["skipped"] == [{"case": "mine", "why": why}]
    other = {**CASE, "id": "other"}
    found = compared(capsys, *mine(tmp_path, other))
    assert found["skipped"] == [{"case": "other", "why": "not in the recording"}]


@pytest.mark.parametrize(
    ("kernel", "era"),
    [
        ("6.1.0-56-amd64", "v6.1.192"),
        ("6.1.0", "v6.1"),
        ("6.1.192", "v6.1.192"),
        ("6.12.117+deb12-amd64", "v6.12"),
        ("6.18.44", "v6.18"),
        ("6.18.15+deb13-amd64", "v6.18"),
    ],
)
def test_the_era_is_that_of_the_recorded_kernel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kernel: str, era: str
) -> None:
    assert compared(capsys, *mine(tmp_path, CASE, kernel=kernel))["era"] == era


def test_another_era_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = mine(tmp_path, CASE, kernel="6.6.8")
    assert compared(capsys, *options, "--kernel", "v5.19")["era"] == "v5.19"


def test_a_step_that_is_left_alone_is_joined_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = played(
        tmp_path,
        capsys,
        op("open", as_="f", type="file", pages=1, fill=5),
        op("fsync", alone=True, obj="f"),
        op("join"),
    )
    assert answers == ["ok", {"done": "ok"}, "nothing-pending"]


def test_a_request_in_flight_moves_its_data_when_it_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = played(
        tmp_path,
        capsys,
        MAP,
        op("hold_start", as_="h", dir="write", map="m"),
        op("hold_start", as_="i", dir="read", map="m", page=1),
        op("vmstat"),
        op("write", map="m", val=9),
        op("hold_finish", hold="h"),
        op("hold_finish", hold="i", val=77),
        op("read", map="m", page=1),
        op("vmstat_wait"),
    )
    assert answers[1:] == [
        "ok",
        "ok",
        {"acq": 2, "rel": 0},
        "ok",
        {"bytes": 4096, "device_saw": 9},
        {"bytes": 4096},
        77,
        {"acq": 2, "rel": 2},
    ]


def test_a_request_that_cannot_be_made_is_not_in_flight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = played(
        tmp_path,
        capsys,
        MAP,
        op("unmap", map="m"),
        op("hold_start", as_="h", dir="read", map="m"),
        op("hold_finish", hold="h", val=1),
    )
    assert answers == ["ok", "ok", "EFAULT", "no-such-pin"]


def test_a_file_is_read_from_its_cache_or_from_the_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = played(
        tmp_path,
        capsys,
        op("open", as_="f", type="file", pages=2, fill=5),
        op("map", as_="m", kind="file-shared", obj="f", pages=2),
        op("mincore", map="m"),
        op("file_write", obj="f", page=1, val=6),
        op("file_read", obj="f", page=1),
        op("file_read", obj="f", page=1, direct=True),
        op("file_read", obj="f", page=2),
        op("file_read", obj="f", page=2, direct=True),
        op("drop", obj="f"),
        op("mincore", map="m"),
    )
    assert answers == ["ok", "ok", [1, 1], "ok", 6, 6, "EOF", "EOF", "ok", [0, 0]]


def test_pages_are_looked_at_without_touching_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = played(
        tmp_path,
        capsys,
        op("map", as_="m", kind="anon-private", pages=1),
        op("pte", map="m"),
        op("pfn_mark", map="m", as_="f"),
        op("write", map="m", val=1),
        op("pfn_mark", map="m", as_="f"),
        op("pte", map="m"),
        op("pfn_cmp", map="m", mark="f"),
        op("mapcount", map="m"),
        op("pageflags", map="m", flags="ANON,DIRTY,THP,ZERO_PAGE"),
        op("markflags", mark="f", flags="ANON"),
        op("thp", map="m"),
        op("status"),
    )
    assert answers == [
        "ok", "none", "not-present:none", "ok", "ok", "present", "same", 1,
        {"ANON": 1, "DIRTY": 0, "THP": 0, "ZERO_PAGE": 0}, {"ANON": 1}, 0, {"VmPin": 0, "VmLck": 0},
    ]  # fmt: skip


def test_the_report_for_people_names_every_difference_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["conformance", *mine(tmp_path, CASE, {**RESULT, "obs": {"seen": 8}})]) == 1
    out = capsys.readouterr().out
    assert "6.12.117" in out
    assert "1 cases: 0 agreed, 1 disagreed, 0 unsupported, 0 skipped in the recording" in out
    assert ["mine", "seen", "7", "8"] in [line.split() for line in out.splitlines()]
    assert status_of(["conformance", *mine(tmp_path, steps(op("levitate")), {"skipped": "x"})]) == 0
    assert "levitate: no such operation is known" in capsys.readouterr().out


def test_pageout_takes_file_pages_out_of_the_cache_and_huge_pages_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = played(
        tmp_path,
        capsys,
        op("open", as_="f", type="file", pages=2, fill=5),
        op("map", as_="m", kind="file-shared", obj="f", pages=2),
        op("read", map="m"),
        op("madvise", map="m", advice="PAGEOUT"),
        op("pte", map="m"),
        op("mincore", map="m"),
        op("map", as_="h", kind="thp", pages=512, fill=1),
        op("madvise", map="h", advice="PAGEOUT"),
        op("thp", map="h"),
        op("pte", map="h", page=300),
        needs=("swap",),
    )
    assert answers == ["ok", "ok", 5, "ok", "none", [0, 1], "ok", "ok", 0, "swap"]


def test_a_read_only_pin_for_direct_io_that_must_unshare_is_counted_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lockless walk takes it and gives it back, then the slow one unshares (kernel-facts, surprising results)."""
    made = [MAP, op("fork", child="B"), op("hold_start", as_="h", dir="write", map="m"), op("vmstat")]
    answers = played(tmp_path, capsys, *made, op("hold_finish", hold="h"))
    assert answers[-2:] == [{"acq": 2, "rel": 1}, {"bytes": 4096, "device_saw": 7}]


def test_msync_writes_a_mapping_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = played(
        tmp_path,
        capsys,
        op("open", as_="f", type="file", pages=2, fill=5),
        op("map", as_="m", kind="file-shared", obj="f", pages=2),
        op("write", map="m", val=6),
        op("pageflags", map="m", flags="DIRTY"),
        op("msync", map="m"),
        op("pageflags", map="m", flags="DIRTY"),
        op("unmap", map="m", page=1),
        op("msync", map="m"),
    )
    assert answers == ["ok", "ok", "ok", {"DIRTY": 1}, "ok", {"DIRTY": 0}, "ok", "ENOMEM"]


def test_a_page_of_two_processes_is_not_migrated_for_certain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = steps(MAP, op("migrate", map="m"), op("fork", child="B"), op("migrate", map="m"), needs=("numa2",))
    result = {"obs": {}, "results": [None] * 4, "end": {"acq": 0, "rel": 0, "still_pinned_before_exit": 0}}
    found = compared(capsys, *mine(tmp_path, case, result))
    assert found["unsupported"] == [{"case": "mine", "why": "migrate: of a page that several processes map"}]


def test_huge_pages_that_nobody_wrote_to_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [op("map", as_="m", kind="thp", pages=512), op("read", map="m")]
    result = {"obs": {}, "results": [None] * 2, "end": {"acq": 0, "rel": 0, "still_pinned_before_exit": 0}}
    found = compared(capsys, *mine(tmp_path, steps(*made), result))
    assert "huge zero page" in found["unsupported"][0]["why"]
    answers = played(tmp_path, capsys, made[0], op("write", map="m", page=9, val=1), op("read", map="m"))
    assert answers == ["ok", "ok", 0]


def test_a_memfd_is_written_cut_punched_and_sealed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = (
        op("open", as_="f", type="memfd", pages=3),
        op("map", as_="m", kind="memfd-shared", obj="f", pages=3),
        op("map", as_="c", kind="memfd-private", obj="f", pages=3, fill=4),
        op("file_write", obj="f", page=1, val=5),
        op("mincore", map="m"),
        op("read", map="m", page=1),
        op("fallocate", obj="f", mode="zero"),
        op("seal", obj="f", seals="write"),
        op("unmap", map="m"),
        op("seal", obj="f", seals="write"),
        op("file_write", obj="f", val=5),
        op("fallocate", obj="f", mode="punch", page=1),
        op("truncate", obj="f", pages=1),
        op("file_read", obj="f", page=1),
        op("read", map="c", page=1),
    )
    assert played(tmp_path, capsys, *made) == [
        "ok", "ok", "ok", "ok", [1, 1, 1], 5, "EOPNOTSUPP", "EBUSY", "ok", "ok", "EPERM", "EPERM", "ok", "EOF",
        "SIGBUS",
    ]  # fmt: skip
