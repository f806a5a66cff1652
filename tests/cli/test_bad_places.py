"""Places that cannot be written, output that nobody reads, and being told to stop: one line, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.run_cli import ROOT, gupsim

FULL = Path("/dev/full")
COMMAND = [sys.executable, "-m", "gupsim"]
full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def shell(words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m gupsim {words}"],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@full
@pytest.mark.parametrize(
    "words", ["run S01", "run S01 --json", "run S01 --timeline", "scenarios S01", "explore S03", "rules"]
)
def test_standard_output_on_a_full_disk(words: str, tmp_path: Path) -> None:
    told = shell(f"{words} > /dev/full", tmp_path)
    assert (told.returncode, told.stderr) == (2, "gupsim: standard output cannot be written: No space left on device\n")


def test_standard_output_that_is_closed(tmp_path: Path) -> None:
    told = shell("run S01 >&-", tmp_path)
    assert (told.returncode, told.stderr) == (2, "gupsim: standard output is closed\n")


def test_standard_error_that_is_closed(tmp_path: Path) -> None:
    told = shell("run S01 --kernel v9.9 2>&-", tmp_path)
    assert (told.returncode, told.stdout) == (2, "")


def test_a_folder_that_cannot_be_written_is_noticed_before_the_search(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out, why in (("file", "is not a directory"), ("file/below", "cannot be written to"), ("/proc/x", "cannot be")):
        told = gupsim("explore", "S03", "--out", out, cwd=tmp_path)
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.startswith(f"gupsim: explore: --out: {out} {why}")


def test_what_was_found_is_printed_although_its_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "replays").mkdir()
    (tmp_path / "replays" / "S03-write-under-writeback.v6.12.torn-writeback.replay.json").mkdir()
    told = gupsim("explore", "S03", "--kernel", "v6.12", cwd=tmp_path)
    assert "torn-writeback is reachable: found after" in told.stdout
    assert "cannot be written" in told.stderr
    assert told.returncode == 0


@pytest.mark.parametrize("form", ["perfetto", "mermaid", "csv"])
def test_an_export_that_fails_leaves_what_was_there(form: str, tmp_path: Path) -> None:
    assert gupsim("run", "S01", "--trace", "s01.trace", cwd=tmp_path).returncode == 1
    out = tmp_path / "out"
    out.write_text("before")
    whole = (tmp_path / "s01.trace").read_bytes()
    (tmp_path / "s01.trace").write_bytes(whole[: len(whole) // 2] + b"\xc1" + whole[len(whole) // 2 + 1 :])
    told = gupsim("export", "s01.trace", "--to", form, "-o", "out", cwd=tmp_path)
    assert told.returncode == 2
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "s01.trace"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_keeps_what_was_found_as_ctrl_c_does(workers: str, tmp_path: Path) -> None:
    search = subprocess.Popen(
        [*COMMAND, "explore", "S01", "--kernel", "v6.12", "--workers", workers, "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(2.5)
    search.send_signal(signal.SIGTERM)
    output, errors = search.communicate(timeout=30)
    assert search.returncode == 130, errors
    told = json.loads(output)
    assert told["verdict"] == "undecided"
    assert told["state"] == "replays/S01-buffers-stripped.v6.12.search"
    assert (tmp_path / told["state"]).is_file()


def test_two_kernels_keep_two_state_files(tmp_path: Path) -> None:
    for kernel in ("v6.12", "v6.18"):
        assert gupsim("explore", "S01", "--kernel", kernel, "--limit", "3", cwd=tmp_path).returncode == 3
    assert sorted(path.name for path in (tmp_path / "replays").iterdir()) == [
        "S01-buffers-stripped.v6.12.search",
        "S01-buffers-stripped.v6.18.search",
    ]


@pytest.mark.parametrize(
    ("kernel", "want"),
    [
        ("v6.12+arm64+bounce", "kernel v6.12 on arm64, policies: bounce,"),
        ("bounce + 5.19", "kernel v5.19, policies: bounce,"),
    ],
)
def test_a_kernel_is_taken_as_the_output_writes_it(kernel: str, want: str) -> None:
    assert want in gupsim("run", "S01", "--kernel", kernel).stdout


@pytest.mark.parametrize(
    ("kernel", "era", "after"),
    [
        ("v6.7", "v6.6", "v6.12 is the next one"),
        ("6.6.30", "v6.6", "v6.6.87 is the next one"),
        ("v8.1", "v7.3", "it is the newest one"),
    ],
)
def test_a_kernel_that_is_no_era_is_told_which_one_covers_it(kernel: str, era: str, after: str) -> None:
    told = gupsim("run", "S01", "--kernel", kernel)
    assert (told.returncode, told.stdout) == (2, "")
    assert f"did you mean {era!r}?" in told.stderr
    assert f"; {era} covers {kernel}, as far as the model knows a difference ({after})" in told.stderr
