"""The wire between two processes on one machine: our WebSocket frames beside plain asyncio streams."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator
from statistics import median

import aiohttp
import msgspec
from aiohttp import WSMsgType, web

from benchmarks.table import Row
from gupsim.cluster.children import free_port
from gupsim.cluster.node import in_event_loop
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.memory import WriteMemory
from gupsim.protocol.node import Frame, FrameCodec, Parcel

_encode = msgspec.msgpack.Encoder().encode
BODY = WriteMemory(7, 0, b"x" * 64, "dma/nic")
SIZES = (1, 16, 256)


def frame(size: int) -> bytes:
    """A frame of so many messages."""
    items: list[Parcel] = [(9_000_000 + n, 17, 300 + n % 9, n, BODY, -1, True, "h3/rdma#2", 5, n) for n in range(size)]
    return _encode(Frame(1, 8_999_000, 9_000_000, b"h" * 32, None, items))


async def _serve(port: int) -> None:
    """The other process: takes frames over both ways, and answers "?" at once."""
    codec = FrameCodec(ALL_MESSAGES)

    async def websocket(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False, max_msg_size=0)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                codec.decode(message.data)
            else:
                await ws.send_str("!")
        return ws

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                if size:
                    codec.decode(await reader.readexactly(size))
                else:
                    writer.write(b"!")

    app = web.Application()
    app.router.add_get("/", websocket)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.start_server(stream, "127.0.0.1", port + 1)
    print("ready", flush=True)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def peer() -> AsyncIterator[int]:
    """Port of the other process; the port above it takes streams."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.wire", str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield port
    finally:
        process.kill()
        await process.wait()


async def round_trip(port: int, count: int) -> float:
    """Seconds of one round trip of a bare WebSocket."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}", compress=0) as ws:
        for _ in range(count // 10):
            await ws.send_str("?")
            await ws.receive()
        began = time.perf_counter()
        for _ in range(count):
            await ws.send_str("?")
            await ws.receive()
        return (time.perf_counter() - began) / count


async def _by_websocket(port: int, size: int, count: int) -> float:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}", compress=0) as ws:
        began = time.perf_counter()
        for _ in range(count):
            await ws.send_bytes(frame(size))
        await ws.send_str("?")
        await ws.receive()
        return time.perf_counter() - began


async def _by_stream(port: int, size: int, count: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port + 1)
    began = time.perf_counter()
    for _ in range(count):
        data = frame(size)
        writer.write(len(data).to_bytes(4, "big"))
        writer.write(data)
        await writer.drain()
    writer.write(bytes(4))
    await reader.readexactly(1)
    seconds = time.perf_counter() - began
    writer.close()
    return seconds


async def _compare(rounds: int, envelopes: int) -> list[tuple[int, list[float], list[float]]]:
    found = []
    async with peer() as port:
        for size in SIZES:
            count = max(envelopes // size, 20)
            ratios, rates = [], []
            for _ in range(rounds + 1):
                plain = await _by_stream(port, size, count)
                ours = await _by_websocket(port, size, count)
                ratios.append(plain / ours)
                rates.append(count * size / ours)
            found.append((size, ratios[1:], rates[1:]))
    return found


def rows(rounds: int, *, short: bool) -> Iterator[Row]:
    """Speed against streams for several sizes of frames, and bytes for each message."""
    for size, ratios, rates in in_event_loop(_compare(rounds, 8_000 if short else 60_000)):
        yield Row(
            what=f"WebSocket and codec, {size} messages a frame", against="asyncio streams and codec",
            value=median(ratios), least=min(ratios), most=max(ratios), target=1.1 if size >= 16 else None,
            rate=median(rates),
        )  # fmt: skip
    body = len(_encode(BODY))
    for size in SIZES:
        each = len(frame(size)) / size
        yield Row(what=f"bytes of a message, {size} in a frame", unit=f"bytes, {body} of them body",
                  value=each, least=each, most=each)  # fmt: skip


if __name__ == "__main__":
    in_event_loop(_serve(int(sys.argv[1])))
