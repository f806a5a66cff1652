# ruff: noqa: E501 - one case a line

"""Bad input, through the real command: exit status 2, one line on standard error, nothing else, no traceback."""

import subprocess
from pathlib import Path

import pytest

from gupsim.cli.main import status_of
from tests.cli.run_cli import gupsim

FILE = """\
title: mine
machine: {devices: {nic: {}}}
threads:
  app:
    steps:
      - mmap: {as: buf}
      - pin: {as: mr, device: nic, map: buf}
"""


def refused(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("gupsim: ")
    return lines[0].removeprefix("gupsim: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "S0l"], "S0l: no scenario has this name, and there is no such file; did you mean 'S01'?"),
        (["run", "no/where.yaml"], "no/where.yaml: there is no such file"),
        (["run", "."], ".: is a directory, not a scenario file"),
        (["run", ""], "the name of a scenario is empty"),
        (["run", "S01", "--kernel", "v5.13"], "unknown kernel 'v5.13'; did you mean 'v5.12'? (valid: v3.17,"),
        (["run", "S01", "--platform", "arm46"], "unknown platform 'arm46'; did you mean 'arm64'? (valid: x86,"),
        (["run", "S01", "--kernel", "v6.12", "--platform", "x86-invlpgb"], "no x86-invlpgb in v6.12: Linux uses INVLPGB from 6.15 on"),
        (["explore", "S01", "--platform", "arm"], "unknown platform 'arm'; did you mean 'arm64'?"),
        (["cluster", "run", "S01", "--nodes", "1", "--platform", "arm"], "unknown platform 'arm'; did you mean 'arm64'?"),
        (["run", "S01", "--policy", "bounced"], "unknown policy 'bounced'; did you mean 'bounce'? (valid:"),
        (["run", "S01", "--policy", "bounce", "--policy", "skip-pinned"], "contradict each other in rule writeback_pinned"),
        (["run", "S01", "--set", "debug_vm"], "'debug_vm' is not a setting: expected rule=value"),
        (["run", "S01", "--set", "debug_vm=maybe"], "unknown value of rule debug_vm 'maybe' (valid: off, on)"),
        (["run", "S01", "--set", "debugvm=on"], "unknown rule 'debugvm'; did you mean 'debug_vm'?"),
        (["run", "S01", "--seed", "one"], "--seed"),
        (["run", "S01", "--seed", "-1"], "--seed"),
        (["run", "S01", "--seed", "99999999999999999999"], "--seed"),
        (["run", "S01-under-pressure", "--duration", "99999999999s"], "is too long: at most 1000000s"),
        (["run", "S01", "--sede", "1"], "No such option: --sede"),
        (["run", "S01", "--pace", "-2"], "--pace"),
        (["run", "S01", "--pace", "nan"], "--pace"),
        (["run", "S01", "--pace", "inf"], "--pace"),
        (["run", "S01", "--json", "--timeline"], "--json prints one object; it goes with neither --timeline nor --pace"),
        (["run", "S01", "--duration", "1ms"], "--duration: scenarios/writeback/S01-buffers-stripped.yaml has no workload"),
        (["run", "S01-under-pressure", "--duration", "soon"], "--duration: 'soon' is not a time"),
        (["run", "S01", "--trace", "/no/such/folder/trace"], "/no/such/folder/trace: cannot be written"),
        (["run"], "Missing argument 'SCENARIO'"),
        (["run", "S01", "S02"], "unexpected extra argument"),
        (["walk", "S01"], "No such command 'walk'"),
        (["check", "/no/such/trace"], "/no/such/trace: "),
        (["check", "."], "."),
        (["export", "/no/such/trace", "--to", "csv"], "/no/such/trace: "),
        (["export", "x", "--to", "pdf"], "'pdf'"),
        (["export", "x"], "--to"),
        (["export", "x", "--to", "csv", "--page", "3"], "are for mermaid, not for csv"),
        (["export", "x", "--to", "mermaid", "--since", "noon"], "'noon' is not a time"),
        (["scenarios", "S99"], "S99: no scenario has this name"),
        (["scenarios", "S01", "--schema"], "--schema is the schema of all files"),
        (["rules", "debug"], "unknown rule 'debug'; did you mean 'debug_vm'?"),
        (["kernels", "v4.2"], "unknown kernel, platform or policy 'v4.2'; did you mean 'v4.20'?"),
        (["kernels", "arm64 + pae32"], "'arm64 + pae32' names two platforms, arm64 and pae32"),
        (["kernels", "v4.20", "v5.6", "v6.1"], "one kernel to show or two to compare"),
    ],
)  # fmt: skip
def test_a_bad_command_line_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    # In this process: a new one takes ten times as long as being told off.
    status = status_of(arguments)
    told = capsys.readouterr()
    assert message in refused(subprocess.CompletedProcess(arguments, status, told.out, told.err))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- mmap", "- mmapp", "bad.yaml:6: threads.app.steps[0].mmapp: unknown step 'mmapp'; did you mean 'mmap'?"),
        ("device: nic,", "device: nick,", "bad.yaml:7: threads.app.steps[1].pin.device: unknown device 'nick'; did you mean 'nic'?"),
        ("title: mine", "title: [", "bad.yaml:3: not YAML: "),
        ("title: mine", "title: mine\nkernel: v9.9", "bad.yaml:2: kernel: unknown kernel 'v9.9'"),
        ("title: mine", "title: mine\nplatform: amd64", "bad.yaml:2: platform: unknown platform 'amd64'; did you mean 'arm64'?"),
        ("title: mine", "title: mine\nplatform: x86-invlpgb", "bad.yaml:2: platform: there is no x86-invlpgb in v6.12"),
        ("title: mine", "title: mine\nrules: {debug_vm: 3}", "bad.yaml:2: rules.debug_vm: unknown value of rule debug_vm '3'"),
        ("map: buf}", "map: buf}\n        delay: 3 minutes", "bad.yaml:8: threads.app.steps[1].delay: '3 minutes' is not a time"),
        ("map: buf}", "map: buf}\n        after: x\n        label: x", "it would wait for ever"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line_with_file_line_and_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert FILE.count(old) == 1
    (tmp_path / "bad.yaml").write_text(FILE.replace(old, new))
    assert message in refused(gupsim("run", "bad.yaml", cwd=tmp_path))


@pytest.mark.parametrize("command", [["run"], ["scenarios"]])
def test_files_that_are_no_text_are_one_line(tmp_path: Path, command: list[str]) -> None:
    huge, noise, empty = tmp_path / "huge.yaml", tmp_path / "noise.yaml", tmp_path / "empty.yaml"
    with huge.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    noise.write_bytes(bytes(range(128, 256)) * 16)
    empty.touch()
    assert "huge.yaml: has 104857600 bytes" in refused(gupsim(*command, "huge.yaml", cwd=tmp_path))
    assert "noise.yaml:1: is not UTF-8 text" in refused(gupsim(*command, "noise.yaml", cwd=tmp_path))
    assert "empty.yaml: the file is empty" in refused(gupsim(*command, "empty.yaml", cwd=tmp_path))


def test_a_bomb_of_aliases_is_one_line(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    assert "too large" in refused(gupsim("run", "bomb.yaml", cwd=tmp_path))


def test_a_foreign_trace_file_is_one_line(tmp_path: Path) -> None:
    for name, content in (
        ("empty", b""),
        ("text", b"hello\n"),
        ("noise", bytes(range(256))),
        ("pack", b"\x93\x01\x02\x03"),
    ):
        (tmp_path / name).write_bytes(content)
        assert name in refused(gupsim("check", name, cwd=tmp_path))
        assert name in refused(gupsim("export", name, "--to", "perfetto", cwd=tmp_path))


def test_a_trace_does_not_overwrite_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FILE)
    said = refused(gupsim("run", "mine.yaml", "--trace", "./mine.yaml", cwd=tmp_path))
    assert "is the scenario itself and would be overwritten" in said
    assert (tmp_path / "mine.yaml").read_text() == FILE
