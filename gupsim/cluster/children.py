"""Nodes that the coordinator starts itself, on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from gupsim.cluster.errors import NodeFailed

log: Final = logging.getLogger("gupsim.cluster")

START: Final = 30.0
"""Seconds in which a node process tells where it listens."""


class Child:
    """One node process. It ends when this process does, because its standard input does."""

    def __init__(self, name: str, state: Path, secret: Path, *, durable: bool) -> None:
        self.name = name
        self.url = ""
        self.process: asyncio.subprocess.Process | None = None
        self._state = state
        self._secret = secret
        self._durable = durable
        self._log = state / f"{name}.log"

    @property
    def pid(self) -> int:
        """Of the process, 0 before it was started."""
        return self.process.pid if self.process is not None else 0

    @property
    def ended(self) -> bool:
        """True if the process is not there any more."""
        return self.process is not None and self.process.returncode is not None

    async def start(self) -> None:
        """Start it, the second time on the port that the others know. NodeFailed if it does not come up."""
        port = self.url.rpartition(":")[2] if self.url else str(free_port())
        command = [
            sys.executable, "-m", "gupsim.cli.main", "node", "--listen", f"127.0.0.1:{port}", "--name", self.name,
            "--state", str(self._state), "--secret-file", str(self._secret), "--until-stdin-ends",
        ]  # fmt: skip
        if self._durable:
            command.append("--durable")
        with self._log.open("ab") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(START):
                line = (await self.process.stdout.readline()).decode()
        except TimeoutError:
            line = ""
        url = line.strip().rpartition(" ")[2]
        if not url.startswith("http"):
            await self.stop()
            tail = self._log.read_text(errors="replace").strip().splitlines()[-3:]
            raise NodeFailed(f"node {self.name} did not start: {' / '.join(tail) or 'it said nothing'}")
        self.url = url

    async def stop(self) -> None:
        """Ask it to end, then end it."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                async with asyncio.timeout(patience):
                    await process.wait()
            except TimeoutError:
                continue
            return


def free_port() -> int:
    """A port of loopback that nobody listens on, and that the kernel does not hand out to those who dial: a node must
    find its port free when it comes back, and who dials it meanwhile must not end up talking to himself."""
    for _ in range(200):
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NodeFailed("no free port between 20000 and 32000 on loopback")


def said(child: Child) -> str:
    """Why a process ended, for a person."""
    code = child.process.returncode if child.process is not None else None
    if code is None:
        return "is running"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"
