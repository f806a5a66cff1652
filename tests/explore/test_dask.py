"""A search on a Dask cluster: a scheduler and two workers on loopback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.run_cli import ROOT, gupsim

pytest.importorskip("distributed")


def start(*arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Its address."""
    file = tmp_path / "scheduler.json"
    common = ("--scheduler-file", str(file), "--no-dashboard")
    processes = [
        start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common, folder=tmp_path),
    ]
    worker = ("distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1")
    processes += [start(*worker, *common, folder=tmp_path) for _ in range(2)]
    try:
        end = time.monotonic() + 20
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=20)


def test_a_cluster_says_what_one_process_says(cluster: str, tmp_path: Path) -> None:
    outputs = []
    for where in (("--dask", cluster), ()):
        result = gupsim("explore", "S03", "--kernel", "v6.12", "--keep-going", *where, "--json", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stdout)
        for search in (told, *told["searches"]):
            del search["wall_s"]
        outputs.append(told)
    assert outputs[0] == outputs[1]
    assert outputs[0]["complete"]


def test_an_address_where_nobody_answers_is_bad_input(tmp_path: Path) -> None:
    result = gupsim("explore", "S03", "--dask", "tcp://127.0.0.1:1", cwd=tmp_path)
    assert result.returncode == 2
    assert "explore: --dask: no scheduler answers at tcp://127.0.0.1:1" in result.stderr
