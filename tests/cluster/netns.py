"""Network namespaces joined by a network of our own, which delays, loses and reorders IP packets.

Each namespace has a TUN device whose other end we hold; so TCP itself meets the weather, and no module of the kernel
is needed beyond TUN. Needs the right to make namespaces and devices.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import subprocess
from pathlib import Path
from random import Random
from typing import Self

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000


def possible() -> bool:
    """True if this process may make what it needs."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        return False
    name = f"gupsim-probe-{os.getpid()}"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
        if made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    except OSError:
        return False
    return made


class Network:
    """So many namespaces with the addresses 10.77.0.1, 10.77.0.2, ...; use it as an async context manager.

    delay, jitter: seconds; jitter beyond the gap between packets reorders them. loss: probability.
    """

    def __init__(
        self, size: int, *, seed: int = 0, delay: float = 0.001, jitter: float = 0.002, loss: float = 0.01
    ) -> None:
        self.names = [f"gupsim-{os.getpid()}-{index}" for index in range(size)]
        self.delay, self.jitter, self.loss = delay, jitter, loss
        self.cut = False
        self.passed = self.lost = self.reordered = 0
        self._random = Random(seed)
        self._fds: list[int] = []
        self._latest: dict[tuple[bytes, bytes], float] = {}

    def command(self, index: int, *words: str) -> list[str]:
        """A command line that runs in a namespace."""
        return ["ip", "netns", "exec", self.names[index], *words]

    async def __aenter__(self) -> Self:
        try:
            for index, name in enumerate(self.names):
                self._make(index, name)
        except BaseException:
            self._remove()
            raise
        loop = asyncio.get_running_loop()
        for fd in self._fds:
            loop.add_reader(fd, self._packet, fd)
        return self

    async def __aexit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for fd in self._fds:
            loop.remove_reader(fd)
        self._remove()

    def _make(self, index: int, name: str) -> None:
        device = f"gt{os.getpid() % 100000}x{index}"
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self._fds.append(fd)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN_NO_PI))
        for words in (
            ["ip", "netns", "add", name],
            ["ip", "link", "set", device, "netns", name],
            self.command(index, "ip", "link", "set", "lo", "up"),
            self.command(index, "ip", "addr", "add", f"10.77.0.{index + 1}/24", "dev", device),
            self.command(index, "ip", "link", "set", device, "up"),
        ):
            subprocess.run(words, check=True, capture_output=True)

    def _remove(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def _packet(self, fd: int) -> None:
        try:
            packet = os.read(fd, 65536)
        except BlockingIOError:
            return
        index = packet[19] - 1 if len(packet) >= 20 and packet[16:19] == b"\x0a\x4d\x00" else -1
        draw = self._random.random
        if not 0 <= index < len(self._fds) or self.cut or draw() < self.loss:
            self.lost += 1
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + self.delay + draw() * self.jitter
        way = packet[12:16], packet[16:20]
        self.reordered += when < self._latest.get(way, 0)
        self._latest[way] = max(when, self._latest.get(way, 0))
        self.passed += 1
        loop.call_at(when, self._deliver, self._fds[index], packet)

    def _deliver(self, fd: int, packet: bytes) -> None:
        try:
            os.write(fd, packet)
        except OSError:
            self.lost += 1
