# ruff: noqa: E501 - one case a line

"""What is wrong with cases and recordings: exit status 2, and one line that names the file and the place."""

import json
from pathlib import Path
from typing import Any

import pytest

from gupsim.cli.main import status_of
from gupsim.conformance.files import MAX_BYTES
from tests.conformance.program import CASE, RESULT, write_cases, write_recording


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert status_of(["conformance", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("gupsim: ")
    return line.removeprefix("gupsim: ")


def changed(**changes: Any) -> dict[str, Any]:
    return {**CASE, **changes}


def first_step(**changes: Any) -> dict[str, Any]:
    step = {**CASE["steps"][0], **changes}
    return changed(steps=[step, *CASE["steps"][1:]])


def args(**changes: Any) -> dict[str, Any]:
    return first_step(args={**CASE["steps"][0]["args"], **changes})


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"area": "tests", "steps": CASE["steps"]}, "case number 1: Object missing required field `id`"),
        (changed(steps=[]), "case mine: steps: Expected `array` of length >= 1"),
        (changed(colour="red"), "case mine: Object contains unknown field `colour`"),
        (changed(needs="swap"), "case mine: needs: Expected `array`, got `str`"),
        (first_step(op="mapp"), "case mine: step 1 (mapp): unknown operation 'mapp'; did you mean 'map'?"),
        (first_step(op=3), "case mine: steps[0].op: Expected `str`, got `int`"),
        (first_step(when="now"), "case mine: steps[0]: Object contains unknown field `when`"),
        (args(pages="two"), "case mine: step 1 (map): pages: Expected `int`, got `str`"),
        (args(pages=0), "case mine: step 1 (map): pages: Expected `int` >= 1"),
        (args(pages=1 << 40), "case mine: step 1 (map): pages: Expected `int` <= 1048576"),
        (args(fill=256), "case mine: step 1 (map): fill: Expected `int` <= 255"),
        (args(**{"as": "scratch buffer"}), "case mine: step 1 (map): as: Expected `str` matching regex"),
        (args(prot="rwx"), "case mine: step 1 (map): prot: Invalid enum value 'rwx'"),
        (args(kind="file-shared"), "case mine: step 1 (map): kind file-shared needs an obj"),
        (args(kind="file-shared", obj="f"), "case mine: step 1 (map): process 'A' has no object 'f'"),
        (first_step(args={"as": "m", "kind": "anon-private"}), "case mine: step 1 (map): Object missing required field `pages`"),
        (first_step(obs="seen"), "case mine: step 2 (read): there are two observations 'seen'"),
        (first_step(args={**CASE["steps"][0]["args"], "as": "n"}), "case mine: step 2 (read): process 'A' has no mapping 'm'"),
        (changed(steps=[*CASE["steps"], {"proc": "B", "op": "exit"}]), "case mine: step 3 (exit): no process 'B' was forked before"),
        (changed(steps=[*CASE["steps"], {"proc": "A", "op": "fork", "args": {"child": "A"}}]), "case mine: step 3 (fork): there is a process 'A' already"),
        (changed(steps=[{"proc": "A", "op": "exit"}, {"proc": "A", "op": "exit"}]), "case mine: step 2 (exit): process 'A' has exited before"),
        (changed(steps=[*CASE["steps"], {"proc": "A", "op": "pfn_cmp", "args": {"map": "m", "mark": "f"}}]), "case mine: step 3 (pfn_cmp): nothing was marked as 'f' before"),
        (changed(steps=[*CASE["steps"], {"proc": "A", "op": "unmap", "args": {"map": "m", "page": 2}}]), "case mine: step 3 (unmap): page 2: mapping 'm' has 2 page(s)"),
        (changed(steps=[*CASE["steps"], {"proc": "A", "op": "unpin", "args": {"pin": "p"}}]), "case mine: step 3 (unpin): process 'A' has no pin 'p'"),
        (changed(steps=[*CASE["steps"], {"proc": "A", "op": "hold_finish", "args": {"hold": "h"}}]), "case mine: step 3 (hold_finish): nothing was started as 'h', or it is finished"),
    ],
)  # fmt: skip
def test_a_case_that_makes_no_sense_is_named_with_its_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: dict[str, Any], message: str
) -> None:
    cases = write_cases(tmp_path, case)
    said = refused(capsys, "--cases", cases, "--observed", write_recording(tmp_path, {"skipped": "not recorded"}))
    assert said.startswith(f"{cases}: {message}")


def test_two_cases_of_one_id_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = write_cases(tmp_path, CASE, CASE)
    assert refused(capsys, "--cases", cases) == f"{cases}: case mine: there are two cases of this id"


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        ({"cases": {}}, "Object missing required field `kernel`"),
        ({"kernel": "6.12.1", "cases": []}, "cases: Expected `object`, got `array`"),
        ({"kernel": "6.12.1", "cases": {}, "colour": 1}, "Object contains unknown field `colour`"),
        ({"kernel": "6.12.1", "cases": {}, "page_size": 65536}, "page_size: 65536; the model has pages of 4096 bytes"),
        ({"kernel": "linux", "cases": {}}, "kernel: 'linux' is no kernel release, as 6.12.117"),
        ({"kernel": "4.9.8", "cases": {}}, "kernel: there is no era for '4.9.8'; --kernel chooses one"),
        ({"kernel": "6.12.1", "cases": {"mine": {**RESULT, "colour": 1}}}, "cases[...]: Object contains unknown field `colour`"),
        ({"kernel": "6.12.1", "cases": {"mine": {**RESULT, "results": ["ok"]}}}, "case mine: 1 results for 2 steps: it was recorded of another program"),
        ({"kernel": "6.12.1", "cases": {"mine": {**RESULT, "obs": {}}}}, "case mine: only the case has an observation 'seen'"),
        ({"kernel": "6.12.1", "cases": {"mine": {**RESULT, "obs": {"seen": 7, "more": 7}}}}, "case mine: only the recording has an observation 'more'"),
        ({"kernel": "6.12.1", "cases": {"mine": {"obs": {"seen": 7}, "results": ["ok", 7]}}}, "case mine: the field 'end' is missing"),
    ],
)  # fmt: skip
def test_a_recording_that_makes_no_sense_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recording: dict[str, Any], message: str
) -> None:
    path = tmp_path / "observed.json"
    path.write_text(json.dumps(recording), encoding="utf-8")
    said = refused(capsys, "--cases", write_cases(tmp_path, CASE), "--observed", str(path))
    assert said.startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": is not valid JSON: Input data was truncated"),
        ('{\n "cases": [}', ":2: is not valid JSON: JSON is malformed: invalid character"),
        ("[1, 2]", ": Expected `object`, got `array`"),
        ("[" * 100_000, ": is nested too deeply"),
    ],
)  # fmt: skip
def test_broken_json_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="utf-8")
    for option in ("--cases", "--observed"):
        assert refused(capsys, option, str(path)).startswith(f"{path}{message}")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(b'{"cases": [], "vocabulary": "\xff"}')
    assert refused(capsys, "--cases", str(path)).startswith(f"{path}")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert (
        refused(capsys, "--observed", str(path)) == f"{path}: has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read"
    )


def test_what_is_no_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--cases", "no/where.json") == "no/where.json: there is no such file"
    assert refused(capsys, "--observed", str(tmp_path)) == f"{tmp_path}: is not a plain file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--area", "acounting"], "unknown area 'acounting'; did you mean 'accounting'? (valid: accounting,"),
        (["--case", "acct-uring"], "unknown case 'acct-uring'; did you mean 'acct-uring-4'?"),
        (["--kernel", "v9.9"], "unknown kernel 'v9.9'"),
        (["--set", "uring_file=no"], "unknown value of rule uring_file 'no'"),
        (["--case"], "requires an argument"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused_with_the_nearest(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refused(capsys, *arguments)
