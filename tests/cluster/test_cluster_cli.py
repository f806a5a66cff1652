"""`gupsim cluster` with real node processes: the same result, whatever happens on the way."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

GUPSIM = (sys.executable, "-m", "gupsim.cli.main")
LONG = ("S01-under-pressure", "--duration", "15ms")


def gupsim(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GUPSIM, *words], capture_output=True, text=True, timeout=timeout, check=False)


def digest_of_one_process(*words: str) -> str:
    told: dict[str, str] = json.loads(gupsim("run", *words, "--json").stdout)
    return told["trace_sha256"]


def test_two_local_nodes_print_what_one_process_prints_and_more(tmp_path: Path) -> None:
    alone = gupsim("run", "S01", "--json")
    one = json.loads(alone.stdout)
    done = gupsim("cluster", "run", "S01", "--nodes", "2", "--run-dir", str(tmp_path / "run"), "--json")
    assert done.returncode == alone.returncode, done.stderr
    many = json.loads(done.stdout)
    more = {key: many.pop(key) for key in ("nodes", "windows", "restarts", "events_per_node")}
    assert many == one
    assert more["nodes"] == ["n0", "n1"]
    assert more["restarts"] == 0
    assert more["windows"] > 100
    assert sum(more["events_per_node"].values()) == one["events"]
    assert gupsim("check", str(tmp_path / "run" / "trace")).returncode == alone.returncode


@pytest.mark.long
def test_sixteen_hosts_give_the_same_violations_on_one_two_and_four_nodes(tmp_path: Path) -> None:
    small = ("rdma-cluster", "--duration", "200us")
    one = json.loads(gupsim("run", *small, "--json").stdout)
    for nodes in ("1", "2", "4"):
        done = gupsim("cluster", "run", *small, "--nodes", nodes, "--run-dir", str(tmp_path / nodes), "--json")
        many = json.loads(done.stdout)
        assert many["trace_sha256"] == one["trace_sha256"], f"{nodes} nodes"
        assert many["violations"] == one["violations"]


def test_a_killed_coordinator_is_resumed(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process = subprocess.Popen(
        [*GUPSIM, "cluster", "run", *LONG, "--nodes", "2", "--run-dir", str(run_dir), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    _wait_for_trace(run_dir, 10_000)
    process.kill()
    process.communicate()
    done = gupsim("cluster", "resume", str(run_dir), "--json")
    assert json.loads(done.stdout)["trace_sha256"] == digest_of_one_process(*LONG), done.stderr


def test_sigterm_ends_a_run_cleanly_and_it_can_be_resumed(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process = subprocess.Popen(
        [*GUPSIM, "cluster", "run", *LONG, "--nodes", "2", "--run-dir", str(run_dir), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _wait_for_trace(run_dir, 10_000)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert out == ""
    assert err == f"gupsim: interrupted; 'gupsim cluster resume {run_dir}' goes on\n"
    assert json.loads(gupsim("cluster", "resume", str(run_dir), "--json").stdout)["restarts"] == 0


def test_a_finished_run_can_be_resumed_and_says_the_same(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    first = gupsim("cluster", "run", "S31", "--nodes", "2", "--run-dir", str(run_dir), "--json")
    again = gupsim("cluster", "resume", str(run_dir), "--json")
    assert json.loads(again.stdout)["trace_sha256"] == json.loads(first.stdout)["trace_sha256"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "S01"], "give either --nodes N or --config FILE"),
        (["run", "S01", "--nodes", "65"], "1 to 64 are possible"),
        (["run", "S01", "--nodes", "2", "--place", "h0/*"], "expected PATTERN=NODE"),
        (["run", "S01", "--nodes", "2", "--place", "h0/*=n7"], "no node 'n7'; there are n0, n1"),
        (["run", "S01", "--nodes", "2", "--layout", "x"], "there are hosts, spread"),
        (["run", "S99", "--nodes", "2"], "no scenario has this name"),
        (["run", "S01", "--config", "/nowhere.yaml"], "/nowhere.yaml: cannot be read: No such file"),
        (["resume", "/nowhere"], "/nowhere is not the directory of a run"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words: list[str], said: str) -> None:
    done = gupsim("cluster", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_node_that_is_not_there_ends_the_run_with_its_name_and_the_remedy(tmp_path: Path) -> None:
    config = tmp_path / "cluster.yaml"
    config.write_text("patience: 1s\nnodes:\n  - {name: lonely, url: 'http://127.0.0.1:9'}\n")
    done = gupsim("cluster", "run", "S31", "--config", str(config), "--run-dir", str(tmp_path / "run"))
    assert done.returncode == 69
    assert "node lonely at http://127.0.0.1:9 does not answer" in done.stderr
    assert f"gupsim cluster resume {tmp_path / 'run'}" in done.stderr


def test_a_node_refuses_to_listen_to_strangers(tmp_path: Path) -> None:
    done = gupsim("node", "--listen", "0.0.0.0:7000", "--state", str(tmp_path))
    assert done.returncode == 2
    assert "loopback only" in done.stderr


async def test_a_node_tells_how_it_is_and_ends_on_sigterm(tmp_path: Path) -> None:
    node = await asyncio.create_subprocess_exec(
        *GUPSIM, "node", "--listen", "127.0.0.1:0", "--state", str(tmp_path), "--name", "alone",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert node.stdout is not None
    url = (await node.stdout.readline()).decode().split()[-1]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/healthz") as seen:
            assert (seen.status, await seen.text()) == (200, "ok\n")
        async with session.get(f"{url}/readyz") as seen:
            assert seen.status == 200
        async with session.get(f"{url}/status") as seen:
            assert await seen.json() == {"node": "alone", "phase": "idle", "refused": 0}
        async with session.get(f"{url}/metrics") as seen:
            assert "# TYPE gupsim_events_total counter" in await seen.text()
    node.send_signal(signal.SIGTERM)
    _, errors = await node.communicate()
    assert node.returncode == 0
    assert errors == b"gupsim node: alone: stopping\n"


def _wait_for_trace(run_dir: Path, size: int) -> None:
    trace = run_dir / "trace"
    for _ in range(1000):
        if trace.exists() and trace.stat().st_size > size:
            return
        # Another process writes the file: there is nothing to await.
        os.sched_yield()
        subprocess.run(["sleep", "0.01"], check=True)
    raise AssertionError(f"{trace} does not grow")
