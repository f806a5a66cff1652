"""A proxy between the nodes that cuts, delays and repeats WebSocket frames."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import Any


class Weather:
    """What happens to frames. Probabilities for each frame; delay in seconds at most."""

    def __init__(
        self, random: Random, *, cut: float = 0, repeat: float = 0, delay: float = 0, longest: float = 0.02
    ) -> None:
        self.random = random
        self.cut = cut
        self.repeat = repeat
        self.delay = delay
        self.longest = longest
        self.cuts = self.repeats = self.delays = 0

    def calm(self) -> None:
        """From now on frames pass as they are."""
        self.cut = self.repeat = self.delay = 0


class Proxy:
    """Listens on a port of its own and passes everything on to `target`, as the weather allows."""

    def __init__(self, target: tuple[str, int], weather: Weather) -> None:
        self.target = target
        self.weather = weather
        self.port = 0
        self.down = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()

    def cut_all(self) -> None:
        """End every connection at once, in the middle of whatever it carries."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            ways = (self._pass(reader, far_writer), self._pass(far_reader, writer))
            tasks = [asyncio.create_task(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._writers -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            upgraded = b"upgrade: websocket" in head.lower()
            if not upgraded:
                while data := await reader.read(65536):
                    # A plain answer, and on the same connection perhaps the upgrade that follows it.
                    writer.write(data)
                    await writer.drain()
                    if b"upgrade: websocket" in data.lower():
                        break
                else:
                    return
            while True:
                frame = await _frame(reader)
                await self._one(frame, writer)

    async def _one(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        weather = self.weather
        binary = frame[0] & 15 == 2
        draw = weather.random.random
        if binary and draw() < weather.delay:
            weather.delays += 1
            await asyncio.sleep(draw() * weather.longest)
        if binary and draw() < weather.cut:
            weather.cuts += 1
            writer.write(frame[: int(draw() * len(frame))])
            await writer.drain()
            raise ConnectionError
        writer.write(frame)
        if binary and draw() < weather.repeat:
            weather.repeats += 1
            writer.write(frame)
        await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One WebSocket frame as it came."""
    head = await reader.readexactly(2)
    length = head[1] & 127
    extra = b""
    if length == 126:
        extra = await reader.readexactly(2)
        length = int.from_bytes(extra, "big")
    elif length == 127:
        extra = await reader.readexactly(8)
        length = int.from_bytes(extra, "big")
    mask = await reader.readexactly(4) if head[1] & 128 else b""
    return head + extra + mask + await reader.readexactly(length)


def free(proxies: list[Any]) -> None:
    for proxy in proxies:
        proxy.weather.calm()
