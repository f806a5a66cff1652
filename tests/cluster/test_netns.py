"""Two nodes and a coordinator in three network namespaces, over a network that delays, loses and reorders packets."""

import asyncio
import json
import secrets
import sys
from pathlib import Path

import pytest

from tests.cluster.faults import SCENARIO
from tests.cluster.netns import Network, possible
from tests.cluster.test_cluster_cli import digest_of_one_process

GUPSIM = (sys.executable, "-m", "gupsim.cli.main")


@pytest.mark.skipif(not possible(), reason="needs the right to make network namespaces and TUN devices")
async def test_packets_that_are_late_lost_and_reordered_change_nothing(tmp_path: Path) -> None:
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SCENARIO.replace("duration: 3ms", "duration: 200us").replace("base: 1us", "base: 4us"))
    secret = tmp_path / "secret"
    secret.write_text(secrets.token_hex(32))
    secret.chmod(0o600)
    config = tmp_path / "cluster.yaml"
    config.write_text(
        f"secret_file: {secret}\npatience: 30s\nnodes:\n"
        "  - {name: n0, url: 'http://10.77.0.1:7000'}\n  - {name: n1, url: 'http://10.77.0.2:7000'}\n"
    )
    async with Network(3, delay=0.0005, jitter=0.002, loss=0.01) as network:
        nodes = [
            await asyncio.create_subprocess_exec(
                *network.command(
                    index, *GUPSIM, "node", "--listen", f"10.77.0.{index + 1}:7000",
                    "--state", str(tmp_path / f"n{index}"),
                    "--secret-file", str(secret),
                ),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )
            for index in range(2)
        ]  # fmt: skip
        try:
            for node in nodes:
                assert node.stdout is not None
                assert b"listens on" in await node.stdout.readline()
            run = await asyncio.create_subprocess_exec(
                *network.command(
                    2, *GUPSIM, "cluster", "run", str(scenario), "--config", str(config), "--run-dir",
                    str(tmp_path / "run"), "--json",
                ),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            await asyncio.sleep(1.5)
            network.cut = True
            await asyncio.sleep(0.7)
            network.cut = False
            async with asyncio.timeout(60):
                out, err = await run.communicate()
        finally:
            for node in nodes:
                node.kill()
                await node.communicate()
    assert run.returncode in (0, 1), err.decode()
    assert json.loads(out)["trace_sha256"] == digest_of_one_process(str(scenario))
    assert network.lost > 0
    assert network.reordered > 0
