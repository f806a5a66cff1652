"""Random faults against real node processes: ``python -m tests.cluster.faults --schedules 200 --seed 1``.

Each schedule is one run on two or three nodes, talking through a proxy that cuts, repeats and delays frames, while
processes are stopped, killed and started again and disks fill up. It must end with the hash of the undisturbed run; or
with an error that names a node and the remedy, and then the remedy must lead to that hash. Nothing may hang.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from gupsim.cluster.children import free_port
from tests.cluster.proxy import Proxy, Weather

LIMIT = 90.0
"""Seconds in which a schedule must be over."""
PATIENCE = 12.0

SCENARIO = """
title: registrations under pressure, small enough to be repeated
machine:
  hosts: 3
  cpus: 2
  memory: 1MiB
  disks: {sda: {blocks: 64}}
  filesystems: {ext4: {device: sda, files: {ring: {pages: 16, fill: 0x11}, log: {pages: 4}}}}
  devices: {nic: {}}
  fabric: {base: 1us, spread: 500ns}
kernel: v4.20
workload:
  duration: 3ms
  flush_every: 500us
  generators:
"""
for _host in range(3):
    SCENARIO += f"""
    - rdma_registration:
        {{device: nic, file: ring, remote: true, pages: 1..2, every: 20us..100us, hold: 200us..1ms, clients: 3}}
      name: rdma{_host}
      host: h{_host}
    - memory_pressure: {{pages: 2..8, every: 50us..200us, cpu: 1}}
      name: pressure{_host}
      host: h{_host}
    - fsync_cycle: {{file: log, writes: 1..2, every: 200us..500us, cpu: 1}}
      name: database{_host}
      host: h{_host}
    - remote_write: {{device: nic, writes: 1..3, every: 10us..40us, clients: 2}}
      name: peers{_host}
      host: h{_host}
"""


class Node:
    """A node process that can be killed and started again. port: where it really listens."""

    def __init__(self, name: str, folder: Path, secret: Path) -> None:
        self.name = name
        self.port = free_port()
        self.state = folder / name
        self.secret = secret
        self.log = folder / f"{name}.log"
        self.process: asyncio.subprocess.Process | None = None
        self.kills = 0

    async def start(self) -> None:
        with self.log.open("ab") as errors:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gupsim.cli.main", "node", "--listen", f"127.0.0.1:{self.port}", "--name",
                self.name, "--state", str(self.state), "--secret-file", str(self.secret),
                stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        assert b"listens on" in line, f"{self.name} did not start: {self.log.read_text()[-500:]}"

    async def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.kills += 1
            self.process.send_signal(number)
            await self.process.wait()

    def signal(self, number: int) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)

    def limit_files(self, size: int) -> None:
        """No file of this process may grow beyond so many bytes: a full disk. -1: as much as it likes."""
        assert self.process is not None
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard if size < 0 else size, hard))


class Story(msgspec.Struct):
    """What happened in one schedule."""

    number: int
    faults: list[str]
    ended: str = ""
    resumed: int = 0
    seconds: float = 0


class Arena:
    """Nodes, proxies and the coordinator of all schedules; nodes live on from one to the next."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.folder = folder
        self.secret = folder / "secret"
        self.secret.write_text(secrets.token_hex(32))
        self.secret.chmod(0o600)
        self.scenario = folder / "pressure.yaml"
        self.scenario.write_text(SCENARIO)
        self.nodes = [Node(f"n{index}", folder, self.secret) for index in range(nodes)]
        self.weather = Weather(Random(0))
        self.proxies: list[Proxy] = []
        self.expected: dict[int, str] = {}

    async def open(self) -> None:
        await asyncio.gather(*(node.start() for node in self.nodes))
        for node in self.nodes:
            proxy = Proxy(("127.0.0.1", node.port), self.weather)
            await proxy.start()
            self.proxies.append(proxy)

    async def close(self) -> None:
        for proxy in self.proxies:
            await proxy.stop()
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            await node.kill()

    async def undisturbed(self, seed: int) -> str:
        """The hash of `gupsim run`."""
        if seed not in self.expected:
            status, out, err = await self.command("run", str(self.scenario), "--seed", str(seed), "--json")
            assert status in (0, 1), err
            self.expected[seed] = json.loads(out)["trace_sha256"]
        return self.expected[seed]

    async def command(self, *words: str, began: Any = None) -> tuple[int, str, str]:
        """Run gupsim; status, output, errors. began: gets the process."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gupsim.cli.main", *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        if began is not None:
            began(process)
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        return process.returncode or 0, out.decode(), err.decode()

    def config(self, count: int, path: Path) -> None:
        lines = [f"secret_file: {self.secret}", f"patience: {PATIENCE:g}s", "nodes:"]
        for node, proxy in list(zip(self.nodes, self.proxies, strict=True))[:count]:
            lines.append(f"  - {{name: {node.name}, url: 'http://127.0.0.1:{proxy.port}'}}")
        path.write_text("\n".join(lines))

    async def play(self, number: int, seed: int) -> Story:
        """One schedule. AssertionError if it ends in another way than it may."""
        random = Random(f"{seed}/{number}")
        story = Story(number, [])
        began = time.monotonic()
        world_seed = random.randrange(3)
        expected = await self.undisturbed(world_seed)
        count = random.choice((2, 3, 3))
        run_dir = self.folder / f"run{seed}-{number}"
        config = self.folder / f"cluster{number}.yaml"
        self.config(count, config)
        for node in self.nodes:
            assert node.process is not None
            if node.process.returncode is not None:
                await node.start()
        self.weather = Weather(
            Random(f"{seed}/{number}/weather"),
            cut=random.choice((0, 0, 0.0005, 0.002)),
            repeat=random.choice((0, 0.01, 0.1)),
            delay=random.choice((0, 0, 0.001, 0.01)),
        )
        for proxy in self.proxies:
            proxy.weather = self.weather
        layout = random.choice(("hosts", "spread"))
        words = ["cluster", "run", str(self.scenario), "--config", str(config), "--run-dir", str(run_dir), "--json",
                 "--seed", str(world_seed), "--layout", layout]  # fmt: skip
        story.faults.append(f"{count} nodes, {layout}, seed {world_seed}")
        if layout == "spread":
            # Windows of 40 ns: the shorter world is long enough.
            words[2] = str(self._short())
            expected = await self._short_hash(world_seed)
        coordinator: list[Any] = []
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    chaos = asyncio.create_task(self._chaos(random, self.nodes[:count], coordinator, story))
                    try:
                        status, out, err = await self.command(*words, began=coordinator.append)
                    finally:
                        chaos.cancel()
                        await asyncio.gather(chaos, return_exceptions=True)
                        await self._mend()
                    if status in (0, 1):
                        told = json.loads(out)
                        assert told["trace_sha256"] == expected, f"wrong hash: {story}"
                        story.ended = "right hash"
                        break
                    killed = status == -signal.SIGKILL
                    assert killed or (status == 69 and "resume" in err and "n" in err), (status, err, story)
                    story.faults.append("coordinator killed" if killed else f"error: {err.strip().splitlines()[-1]}")
                    story.resumed += 1
                    self.weather.calm() if story.resumed > 2 else None
                    if not (run_dir / "run.json").exists():
                        continue
                    words = ["cluster", "resume", str(run_dir), "--json"]
        except TimeoutError:
            raise AssertionError(f"hung: {story}") from None
        story.seconds = time.monotonic() - began
        story.faults.append(f"{self.weather.cuts} cuts, {self.weather.repeats} repeats, {self.weather.delays} delays")
        return story

    def _short(self) -> Path:
        path = self.folder / "short.yaml"
        if not path.exists():
            path.write_text(SCENARIO.replace("duration: 3ms", "duration: 400us"))
        return path

    async def _short_hash(self, seed: int) -> str:
        key = -1 - seed
        if key not in self.expected:
            _, out, _ = await self.command("run", str(self._short()), "--seed", str(seed), "--json")
            self.expected[key] = json.loads(out)["trace_sha256"]
        return self.expected[key]

    async def _chaos(self, random: Random, nodes: list[Node], coordinator: list[Any], story: Story) -> None:
        """Up to four faults, one after the other, at random moments; fewer each time that the run was resumed."""
        await asyncio.sleep(0.4 + random.random() * 0.5)
        for _ in range(max(random.randrange(1, 6) - 2 * story.resumed, 0)):
            await asyncio.sleep(random.random() * 0.5)
            node = random.choice(nodes)
            what = random.randrange(6)
            if what == 0:
                pause = random.random() * 1.5
                story.faults.append(f"{node.name} stopped for {pause:.2f} s")
                node.signal(signal.SIGSTOP)
                await asyncio.sleep(pause)
                node.signal(signal.SIGCONT)
            elif what in (1, 2):
                pause = random.random()
                story.faults.append(f"{node.name} killed, back after {pause:.2f} s")
                await node.kill()
                await asyncio.sleep(pause)
                await node.start()
            elif what == 3 and coordinator and coordinator[-1].returncode is None and not story.resumed:
                story.faults.append("SIGKILL to the coordinator")
                coordinator[-1].kill()
                return
            elif what == 4:
                story.faults.append("all connections cut")
                for proxy in self.proxies:
                    proxy.cut_all()
            elif what == 5 and not story.resumed:
                size = random.randrange(200_000)
                story.faults.append(f"disk of {node.name} full at {size} bytes")
                node.limit_files(size)

    async def _mend(self) -> None:
        """What a person does before resuming: start what is gone, make room."""
        for node in self.nodes:
            assert node.process is not None
            node.signal(signal.SIGCONT)
            if node.process.returncode is None:
                node.limit_files(-1)
            else:
                await node.start()


async def run_schedules(folder: Path, numbers: range, seed: int, *, say: Any = None) -> list[Story]:
    """Play these schedules; AssertionError at the first that ends in a way in which none may."""
    arena = Arena(folder)
    stories = []
    try:
        await arena.open()
        for number in numbers:
            story = await arena.play(number, seed)
            stories.append(story)
            if say is not None:
                say(story)
    finally:
        await arena.close()
    return stories


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    words = parser.parse_args()
    os.environ.setdefault("PYTHONHASHSEED", "random")

    def say(story: Story) -> None:
        print(f"{story.number:4} {story.seconds:5.1f} s  {story.ended}; {'; '.join(story.faults)}", flush=True)

    with tempfile.TemporaryDirectory(prefix="gupsim-faults-") as folder:
        numbers = range(words.first, words.first + words.schedules)
        stories = asyncio.run(run_schedules(Path(folder), numbers, words.seed, say=say))
    seconds = sorted(story.seconds for story in stories)
    print(
        f"{len(stories)} schedules, all with the right hash; {sum(story.resumed for story in stories)} resumed;"
        f" longest {seconds[-1]:.1f} s"
    )


if __name__ == "__main__":
    main()
