"""python -m benchmarks.cluster: what several nodes gain, and what the wire between them costs.

Wall time, because several processes work at once: on a machine with fewer idle cores than nodes there is nothing to
gain, and the figures say so. Ratios are taken within one round, and the median over rounds is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console

from benchmarks import wire
from benchmarks.table import Row, table
from gupsim.actors.base import Actor, Port, handles
from gupsim.cluster.children import free_port
from gupsim.cluster.coordinator import Coordinator
from gupsim.cluster.dial import Dialler
from gupsim.cluster.node import NodeOptions, in_event_loop, serve
from gupsim.cluster.node_run import NodeRun
from gupsim.cluster.node_world import NodeWorld
from gupsim.cluster.placement import Placement
from gupsim.cluster.plan import NodePart, Plan, build_part, lookahead_of, plan_of
from gupsim.cluster.run_dir import RUN_VERSION, RunDir, RunFile
from gupsim.cluster.security import Credentials
from gupsim.engine import TimedWorld
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import Codec
from gupsim.protocol.message import Message
from gupsim.protocol.node import Begin
from gupsim.run import run_scenario
from gupsim.scenario.choices import kernel
from gupsim.scenario.load import Loaded, load
from gupsim.scenario.scale import scaled
from gupsim.trace import TraceWriter
from gupsim.world import World, planned


class Hop(Message, frozen=True):
    """What hops in PHOLD."""

    number: int


TYPES: tuple[type[Message], ...] = (*ALL_MESSAGES, Hop)


class Phold(msgspec.Struct, frozen=True):
    """A clustered PHOLD. groups: of actors, one on each node; messages: in each; remote: part of the hops that leave a
    group; lookahead: least time of such a hop (ns); mean: twice the mean of the others; end: virtual time (ns);
    idle: actors only in the first group get messages."""

    groups: int
    messages: int
    remote: float
    lookahead: int
    end: int
    mean: int = 1000
    actors: int = 256
    idle: bool = False

    def populate(self, world: TimedWorld) -> Callable[[], None]:
        """Add the actors; returns what sets them going."""
        names = [[f"h{group}/hopper/{number}" for number in range(self.actors)] for group in range(self.groups)]
        for group in range(self.groups):
            for name in names[group]:
                world.add(name, Hopper, phold=self, names=names, group=group)

        def start() -> None:
            for group in range(1 if self.idle else self.groups):
                for number in range(self.messages):
                    world.post(names[group][number % self.actors], Hop(number), number % self.mean)

        return start


class Hopper(Actor):
    """Two or three draws of a random number for each hop."""

    def __init__(self, address: str, port: Port, *, phold: Phold, names: list[list[str]], group: int) -> None:
        super().__init__(address, port)
        self.phold, self.names, self.group = phold, names, group

    @handles(Hop)
    def hop(self, msg: Hop) -> None:
        phold, draw = self.phold, self.random.random
        if self.now > phold.end:
            return
        delay = 1 + int(draw() * phold.mean)
        group = self.group
        if phold.remote and draw() < phold.remote and not phold.idle:
            group = (group + 1 + int(draw() * (phold.groups - 1))) % phold.groups
            delay += phold.lookahead
        self.send(self.names[group][int(draw() * phold.actors)], msg, delay)


class PholdWorld(World, frozen=True):
    """As a node wants it."""

    begin: Callable[[], None]

    def boot(self) -> None:
        """There is nothing to boot."""

    def start(self) -> None:
        """Post the first messages."""
        self.begin()

    def finish(self) -> bool:
        """Nothing comes last."""
        return False

    def observe(self) -> None:
        """There is nothing to look at."""


def phold_part(phold: Phold, plan: Plan, me: int) -> NodePart:
    """PHOLD as a node sees it."""
    nodes = len(plan.placement.nodes)
    node = NodeWorld(me=me, nodes=nodes, node_of=lambda name: int(name[1 : name.index("/")]) % nodes)
    begin = phold.populate(node)
    node.seal()
    head = msgspec.structs.replace(build_part(plan, -1).header, actors=tuple(port.address for port in node.core.ports))
    return NodePart(PholdWorld(planned(plan.loaded().scenario, plan.chosen().rules), node, begin), node, head)


def phold_alone(phold: Phold) -> tuple[float, int]:
    """Seconds and deliveries of the run in one process, as `gupsim run`: MessagePack on each hop, and the trace."""
    began = time.perf_counter()
    world = TimedWorld(codec=Codec(TYPES))
    start = phold.populate(world)
    world.seal()
    plan = _plan(load("S31"), 1)
    writer = TraceWriter(world, build_part(plan, -1).header)
    start()
    world.run()
    writer.close()
    return time.perf_counter() - began, world.events


def _plan(loaded: Loaded, nodes: int) -> Plan:
    names = tuple(f"n{index}" for index in range(nodes))
    return plan_of(loaded, kernel(loaded.scenario.kernel), 0, Placement(names, hosts=loaded.scenario.machine.hosts))


@contextlib.asynccontextmanager
async def nodes(count: int, phold: Phold | None, folder: Path) -> AsyncIterator[list[str]]:
    """URLs of so many node processes."""
    urls, processes = [], []
    try:
        for index in range(count):
            port = free_port()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.cluster", "--node", str(port), "--state", str(folder / f"n{index}"),
                "--phold", msgspec.json.encode(phold).decode(), stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            processes.append(process)
            assert process.stdout is not None
            await process.stdout.readline()
            urls.append(f"http://127.0.0.1:{port}")
        yield urls
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def clustered(
    urls: list[str],
    loaded: Loaded,
    phold: Phold | None,
    folder: Path,
    seen: list[tuple[float, int]] | None = None,
) -> tuple[float, int, int]:
    """Seconds, deliveries and windows of one run. seen: gets the rounds that are done, every now and then."""
    plan = _plan(loaded, len(urls))
    run_dir = RunDir.new(folder)
    lookahead = phold.lookahead if phold is not None else lookahead_of(plan, build_part(plan, -1))
    file = RunFile(
        version=RUN_VERSION, run=secrets.token_hex(8), plan=plan, lookahead=lookahead, local=0,
        nodes=[(f"n{index}", url) for index, url in enumerate(urls)], patience=60, restarts=0, durable=False,
    )  # fmt: skip
    part = phold_part(phold, plan, -1) if phold is not None else None
    began = time.perf_counter()

    def progress(coordinator: Coordinator) -> None:
        if seen is not None and coordinator.merge.round > 0:
            seen.append((time.perf_counter(), coordinator.merge.round))

    coordinator = Coordinator(run_dir, file, Credentials(), progress, part=part)
    if phold is not None:
        coordinator.merge.readers.clear()
    outcome = await coordinator.run()
    return time.perf_counter() - began, outcome.outcome.events, outcome.windows


def _median(values: list[float], **row: Any) -> Row:
    return Row(value=median(values), least=min(values), most=max(values), **row)


def phold_rows(rounds: int, *, short: bool) -> Iterator[Row]:
    """PHOLD on two nodes against one process, sparse and dense; and what a node costs that has nothing to do."""
    end = 150_000 if short else 400_000
    for remote, messages, lookahead in ((0.1, 1200, 1000), (0.5, 1800, 1000), (0.1, 60, 1000)):
        phold = Phold(groups=2, messages=messages, remote=remote, lookahead=lookahead, end=end)
        gains, per_window = [], 0.0
        with tempfile.TemporaryDirectory() as temporary:
            gains, per_window = in_event_loop(_against_one(phold, rounds, Path(temporary)))
        yield _median(
            gains,
            what=f"PHOLD, 2 nodes, {remote:.0%} remote, {per_window:,.0f} events per node and window",
            against="one process",
            target=1.3 if per_window >= 1000 else None,
        )
    busy = Phold(groups=2, messages=1200, remote=0.0, lookahead=1000, end=end, idle=True)
    with tempfile.TemporaryDirectory() as temporary:
        costs = in_event_loop(_idle_node(busy, rounds, Path(temporary)))
    yield _median(
        costs, what="PHOLD on one node, beside it one with idle actors", against="that node alone", target=0.95
    )


async def _against_one(phold: Phold, rounds: int, folder: Path) -> tuple[list[float], float]:
    gains, per_window = [], 0.0
    async with nodes(2, phold, folder) as urls:
        for number in range(rounds + 1):
            alone, events = phold_alone(phold)
            seconds, same, windows = await clustered(urls, load("S31"), phold, folder / f"run{number}")
            assert same == events
            per_window = events / windows / 2
            gains.append(alone / seconds)
    return gains[1:], per_window


async def _idle_node(phold: Phold, rounds: int, folder: Path) -> list[float]:
    costs = []
    async with nodes(1, phold, folder / "one") as one, nodes(2, phold, folder / "two") as two:
        for number in range(rounds + 1):
            alone, _, _ = await clustered(one, load("S31"), phold, folder / f"a{number}")
            both, _, _ = await clustered(two, load("S31"), phold, folder / f"b{number}")
            costs.append(alone / both)
    return costs[1:]


def barrier_rows(rounds: int, *, short: bool) -> Iterator[Row]:
    """A window with one event in it, against a bare round trip of the same WebSocket."""
    windows = 5_000 if short else 20_000
    single = Phold(groups=2, messages=1, remote=1.0, lookahead=1000, end=windows * 1000, mean=2, idle=False)
    with tempfile.TemporaryDirectory() as temporary:
        found, trips = in_event_loop(_barrier(single, rounds, Path(temporary)))
    yield _median([seconds * 1e6 for seconds in found], what="window barrier of 2 nodes", unit="us")
    yield _median([seconds * 1e6 for seconds in trips], what="bare WebSocket round trip", unit="us")
    ratios = [trip / each for each, trip in zip(found, trips, strict=True)]
    yield _median(ratios, what="bare round trip", against="window barrier (target: 1 / 2.5)", target=0.4)


async def _barrier(phold: Phold, rounds: int, folder: Path) -> tuple[list[float], list[float]]:
    found, trips = [], []
    async with nodes(2, phold, folder) as urls, wire.peer() as port:
        for number in range(rounds + 1):
            trips.append(await wire.round_trip(port, 2000))
            seen: list[tuple[float, int]] = []
            seconds, _, count = await clustered(urls, load("S31"), phold, folder / f"run{number}", seen)
            (began, few), (ended, windows) = seen[0], seen[-1]
            # Between two reports there is no start and no end in it; a short run may have sent only one.
            found.append((ended - began) / (windows - few) if windows > few else seconds / count)
    return found[1:], trips[1:]


def hosts_rows(rounds: int, *, short: bool) -> Iterator[Row]:
    """The 16-host world, as it is and with a slower fabric, which makes windows long."""
    for base in ("2us", "20us"):
        loaded = _slower(scaled(load("rdma-cluster"), duration="500us" if short else "2ms"), base)
        for count in (1, 2, 4):
            with tempfile.TemporaryDirectory() as temporary:
                gains, per_window = in_event_loop(_hosts(loaded, count, rounds, Path(temporary)))
            yield _median(
                gains,
                what=f"16 hosts, fabric of {base}, {count} nodes, {per_window:,.0f} events per node and window",
                against="gupsim run",
                target=1.3 if per_window >= 1000 and count == 2 else None,
            )


def _slower(loaded: Loaded, base: str) -> Loaded:
    machine = loaded.scenario.machine
    assert machine.fabric is not None
    fabric = msgspec.structs.replace(machine.fabric, base=base)
    scenario = msgspec.structs.replace(loaded.scenario, machine=msgspec.structs.replace(machine, fabric=fabric))
    return Loaded(scenario, loaded.file, loaded.digest)


async def _hosts(loaded: Loaded, count: int, rounds: int, folder: Path) -> tuple[list[float], float]:
    gains, per_window = [], 0.0
    async with nodes(count, None, folder) as urls:
        for number in range(rounds + 1):
            began = time.perf_counter()
            run_scenario(loaded, kernel(loaded.scenario.kernel))
            alone = time.perf_counter() - began
            seconds, events, windows = await clustered(urls, loaded, None, folder / f"run{number}")
            per_window = events / windows / count
            gains.append(alone / seconds)
    return gains[1:], per_window


def rows(rounds: int, *, short: bool) -> list[Row]:
    """All of it."""
    found: list[Row] = []
    status = Console(stderr=True)
    for name, part in (("wire", wire.rows), ("barrier", barrier_rows), ("PHOLD", phold_rows), ("16 hosts", hosts_rows)):
        with status.status(name):
            found += part(rounds, short=short)
    return found


def _node(port: int, state: Path, text: str) -> None:
    """The process of one node."""
    given = msgspec.json.decode(text, type=Phold | None)

    def make(begin: Begin, dialler: Dialler) -> NodeRun:
        if given is None:
            return NodeRun(begin, state, dialler)
        return NodeRun(begin, state, dialler, types=TYPES, build=partial(phold_part, given))

    serve(NodeOptions("127.0.0.1", port, "bench", state), Credentials(), lambda url: print(url, flush=True), make)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="wire, barrier, phold or hosts")
    parser.add_argument("--node", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--phold", default="null", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node is not None:
        _node(options.node, options.state, options.phold)
        return 0
    parts = {"wire": wire.rows, "barrier": barrier_rows, "phold": phold_rows, "hosts": hosts_rows}
    if options.only:
        found = list(parts[options.only](options.rounds, short=options.short))
    else:
        found = rows(options.rounds, short=options.short)
    if options.json:
        report = [{**msgspec.structs.asdict(row), "verdict": row.verdict} for row in found]
        sys.stdout.write(msgspec.json.encode({"cores": os.cpu_count(), "rows": report}).decode() + "\n")
    else:
        drawn = table(found)
        drawn.title = f"Several nodes, in wall time on {os.cpu_count()} cores, medians of {options.rounds} rounds"
        Console(width=140).print(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
