"""A few random fault schedules with real processes; `python -m tests.cluster.faults` plays as many as wanted."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from zlib import crc32

import aiohttp
import msgpack
import msgspec
import pytest

from gupsim.cluster.dial import Dialler, Unreachable
from gupsim.cluster.errors import Refusal
from gupsim.cluster.run_dir import RunDir
from gupsim.cluster.security import Credentials, Hello
from gupsim.protocol.node import NODE_PROTOCOL, Begin, Failed, NodeAt, decode_control, encode
from tests.cluster.faults import Arena, run_schedules
from tests.cluster.test_cluster_cli import GUPSIM, LONG, _wait_for_trace, digest_of_one_process, gupsim

CHANGED = 100
"""A round that every journal of an interrupted run must hold."""


@pytest.mark.long
async def test_runs_that_are_cut_stopped_and_killed_end_with_the_right_hash(tmp_path: Path) -> None:
    stories = await run_schedules(tmp_path, range(2), seed=2026)
    assert [story.ended for story in stories] == ["right hash"] * 2
    assert sum(len(story.faults) for story in stories) > 3


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that was ended in its middle, with the journals of its two nodes."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    process = subprocess.Popen(
        [*GUPSIM, "cluster", "run", *LONG, "--nodes", "2", "--run-dir", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # The trace grows ahead of the journals: wait for what the tests change.
    _wait_for_trace(folder, 10_000)
    deadline = time.monotonic() + 60
    while min([len(_records(each)) for each in folder.glob("nodes/*/*.journal")], default=0) <= CHANGED + 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    return folder


def test_a_history_that_comes_out_otherwise_is_found_in_its_window(interrupted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(interrupted, run_dir)
    journal = next(run_dir.glob("nodes/*/n1.journal"))
    # As if an actor of n1 had done something else in this round when it first ran there.
    changed = [_other_chain(record, CHANGED) for record in _records(journal)]
    journal.write_bytes(b"".join(msgpack.packb([crc32(record), record]) for record in changed))
    done = gupsim("cluster", "resume", str(run_dir))
    assert done.returncode == 69
    assert f"node n1: window {CHANGED} (from " in done.stderr
    assert "came out otherwise than before" in done.stderr


def test_a_node_without_its_journal_is_named(interrupted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(interrupted, run_dir)
    next(run_dir.glob("nodes/*/n1.journal")).unlink()
    done = gupsim("cluster", "resume", str(run_dir))
    assert done.returncode == 69
    assert "node n1 has lost its journal" in done.stderr
    assert "Start the run anew: its hash will be the same" in done.stderr


def test_a_run_whose_trace_is_torn_is_resumed_from_the_last_whole_round(interrupted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(interrupted, run_dir)
    with (run_dir / "trace").open("ab") as trace:
        trace.write(b"\x9a\xa1d half a record")
    done = gupsim("cluster", "resume", str(run_dir), "--json")
    assert json.loads(done.stdout)["trace_sha256"] == digest_of_one_process(*LONG), done.stderr


async def test_a_peer_of_another_version_or_scenario_is_refused_with_the_reason(
    interrupted: Path, tmp_path: Path
) -> None:
    arena = Arena(tmp_path, nodes=1)
    dialler = Dialler(Credentials(arena.secret.read_bytes()))
    await arena.open()
    await dialler.open()
    try:
        url = f"http://127.0.0.1:{arena.nodes[0].port}"
        plan = RunDir(interrupted).load().plan
        nodes = (NodeAt("n0", url), NodeAt("n1", "http://127.0.0.1:9"))
        own = Hello("coordinator", NODE_PROTOCOL, plan.software, "", "n0", "cafe0123", plan.digest())
        ws, _ = await dialler.dial(url, "/control", own)
        await ws.send_bytes(encode(Begin("cafe0123", 0, nodes, plan.encode(), 40, -1, 30)))
        peer = msgspec.structs.replace(own, role="peer", name="n1")
        attempts = (await _dialled(dialler, url, peer) for _ in range(1000))
        accepted = await anext(ws async for ws in attempts if ws is not None)
        for change, said in (
            ({"software": "0.0.9"}, "it is gupsim 0.0.9"),
            ({"protocol": 99}, "it speaks version 99"),
            ({"digest": "e" * 64}, "another scenario, other rules"),
            ({"name": "n5"}, "no node n5"),
            ({"to": "n7"}, "it looks for node n7"),
        ):
            with pytest.raises(Refusal, match=said):
                await dialler.dial(url, "/peer", msgspec.structs.replace(peer, **change))
            assert said in arena.nodes[0].log.read_text()
        other = msgspec.structs.replace(own, run="beef0123")
        second, _ = await dialler.dial(url, "/control", other)
        older = msgspec.structs.replace(plan, software="0.0.9")
        await second.send_bytes(encode(Begin("beef0123", 0, nodes, older.encode(), 40, -1, 30)))
        answer = decode_control((await second.receive()).data)
        assert isinstance(answer, Failed)
        assert "cafe0123, whose coordinator is connected" in answer.why
        for each in (ws, second, accepted):
            await each.close()
    finally:
        await dialler.close()
        await arena.close()


async def _dialled(dialler: Dialler, url: str, peer: Hello) -> aiohttp.ClientWebSocketResponse | None:
    """None while the node is not in the run yet."""
    try:
        return (await dialler.dial(url, "/peer", peer))[0]
    except Unreachable:
        return None


def _records(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [record for _, record in msgpack.Unpacker(file, max_buffer_size=1 << 28)]


def _other_chain(record: bytes, number: int) -> bytes:
    plain = msgpack.unpackb(record, strict_map_key=False)
    if plain[0] == "taken" and plain[1] == number:
        return bytes(msgpack.packb([plain[0], plain[1], b"x" * 32, plain[3]]))
    return record
