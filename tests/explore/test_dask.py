"""A search on a Dask cluster: a scheduler and two workers on loopback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gupsim.explore.conduct import Limits, TreeSearch, conduct
from gupsim.explore.errors import WorkersGone
from gupsim.explore.pools import Here, Pool, dask
from tests.cli.run_cli import ROOT, gupsim
from tests.explore.in_parts import program

pytest.importorskip("distributed")


def start(*arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class Cluster(NamedTuple):
    """processes: the scheduler, then the workers."""

    address: str
    processes: list[subprocess.Popen[bytes]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
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
        yield Cluster(json.loads(file.read_text())["address"], processes)
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=20)


def test_a_cluster_says_what_one_process_says(cluster: Cluster, tmp_path: Path) -> None:
    outputs = []
    for where in (("--dask", cluster.address), ()):
        result = gupsim("explore", "S03", "--kernel", "v6.12", "--keep-going", *where, "--json", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stdout)
        for search in (told, *told["searches"]):
            del search["wall_s"]
        outputs.append(told)
    assert outputs[0] == outputs[1]
    assert outputs[0]["complete"]


def test_a_scheduler_that_dies_ends_the_search_and_it_goes_on_without(cluster: Cluster) -> None:
    chain = program("chain", 4, 3)
    search = TreeSearch(chain, [])
    pool = Pool(lambda: dask(cluster.address))

    def kill(_: object) -> None:
        if search.tally.executions > 4:
            cluster.processes[0].kill()

    with pytest.raises(WorkersGone, match="the workers are gone"):
        conduct(search, pool, Limits(), progress=kill, wanted=[])
    pool.close()
    assert 4 < search.tally.executions < 1296
    assert not search.tally.complete
    tally = conduct(search, Pool(Here), Limits(), wanted=[])
    assert tally.complete
    assert tally.executions == tally.traces == 1296


def test_a_scheduler_that_dies_leaves_a_report_and_a_state_to_go_on_from(cluster: Cluster, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gupsim.cli.main", "explore", "S01", "--kernel", "v6.12", "--dask", cluster.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    process.stdout.readline()  # the scheduler has answered
    time.sleep(1)
    cluster.processes[0].kill()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    assert "the search is not over: the workers are gone" in errors
    assert len(errors.splitlines()) == 1
    assert "kernel-bug should be unreachable: not found in" in output
    command = output.splitlines()[-1].removeprefix("go on with: gupsim ").split()
    assert gupsim(*command, "--limit", "1", cwd=tmp_path).returncode == 3


def test_an_address_where_nobody_answers_is_bad_input(tmp_path: Path) -> None:
    result = gupsim("explore", "S03", "--dask", "tcp://127.0.0.1:1", cwd=tmp_path)
    assert result.returncode == 2
    assert "explore: --dask: no scheduler answers at tcp://127.0.0.1:1" in result.stderr
