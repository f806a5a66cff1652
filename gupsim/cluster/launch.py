"""From the command line's words to a coordinator, and from signals to a clean end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gupsim.cluster.config import ClusterFile, credentials_of
from gupsim.cluster.coordinator import Coordinator
from gupsim.cluster.errors import ClusterError, ConfigError
from gupsim.cluster.judge import ClusterOutcome
from gupsim.cluster.node import in_event_loop
from gupsim.cluster.placement import placement
from gupsim.cluster.plan import build_part, lookahead_of, plan_of
from gupsim.cluster.run_dir import RUN_VERSION, RunDir, RunFile
from gupsim.cluster.security import Credentials, read_secret
from gupsim.scenario.choices import Kernel
from gupsim.scenario.load import Loaded

Progress = Callable[[Coordinator], None]

MAX_NODES = 64


class Interrupted(ClusterError):
    """SIGTERM or SIGINT came. number: of the signal."""

    def __init__(self, number: int, folder: RunDir) -> None:
        super().__init__(f"interrupted; 'gupsim cluster resume {folder.path}' goes on")
        self.number = number


def prepare(
    folder: RunDir,
    loaded: Loaded,
    chosen: Kernel,
    *,
    seed: int,
    local: int,
    file: ClusterFile | None,
    base: Path,
    rules: list[str],
    layout: str,
    patience: float,
    restarts: int,
    durable: bool,
) -> RunFile:
    """Fill a new run directory. local: nodes to start here, if there is no `file` that names them; base: directory of
    that file. ConfigError for whatever does not fit."""
    if file is None and not 1 <= local <= MAX_NODES:
        raise ConfigError(f"{local} nodes: 1 to {MAX_NODES} are possible")
    names = [node.name for node in file.nodes] if file is not None else [f"n{index}" for index in range(local)]
    hosts = loaded.scenario.machine.hosts
    wanted = [*rules, *(file.place if file is not None else ())]
    place = placement(names, rules=wanted, layout=layout or (file.layout if file is not None else ""), hosts=hosts)
    plan = plan_of(loaded, chosen, seed, place)
    files: dict[str, str] = {}
    if file is not None:
        tls = file.tls
        given = {"secret_file": file.secret_file}
        given |= {"cert": tls.cert, "key": tls.key, "ca": tls.ca} if tls is not None else {}
        files = {key: str((base / path).resolve()) for key, path in given.items() if path}
    saved = RunFile(
        version=RUN_VERSION,
        run=secrets.token_hex(8),
        plan=plan,
        lookahead=lookahead_of(plan, build_part(plan, -1)),
        local=0 if file is not None else local,
        nodes=[(node.name, node.url) for node in file.nodes] if file is not None else [],
        patience=patience,
        restarts=restarts,
        durable=durable,
        **files,
    )
    folder.save(saved)
    return saved


def coordinate(folder: RunDir, file: RunFile, progress: Progress | None = None) -> ClusterOutcome:
    """Run, or go on with, what a run directory holds. ClusterError if that cannot be done."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="gupsim cluster: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    result: ClusterOutcome = in_event_loop(_coordinate(folder, file, _credentials(folder, file), progress))
    return result


def _credentials(folder: RunDir, file: RunFile) -> Credentials:
    if file.local:
        return Credentials(read_secret(folder.secret))
    from gupsim.cluster.config import NodeEntry, Tls

    tls = Tls(file.cert, file.key, file.ca) if file.cert else None
    nodes = [NodeEntry(name, url) for name, url in file.nodes]
    return credentials_of(ClusterFile(nodes, secret_file=file.secret_file, tls=tls), folder.path)


async def _coordinate(
    folder: RunDir, file: RunFile, credentials: Credentials, progress: Progress | None
) -> ClusterOutcome:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    came: list[int] = []

    def interrupted(number: int) -> None:
        came.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, interrupted, number)
    try:
        return await Coordinator(folder, file, credentials, progress).run()
    except asyncio.CancelledError:
        if came:
            raise Interrupted(came[0], folder) from None
        raise


def described(outcome: ClusterOutcome) -> dict[str, Any]:
    """What --json adds to the object of `gupsim run`."""
    return {
        "nodes": list(outcome.nodes),
        "windows": outcome.windows,
        "restarts": outcome.restarts,
        "events_per_node": outcome.events_per_node,
    }
