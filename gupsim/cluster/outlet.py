"""The way of a node's records to the coordinator: kept until it says that they are safe, and bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import aiohttp

from gupsim.cluster.errors import PeerLost
from gupsim.protocol.codec import FrameError
from gupsim.protocol.node import Ended, Failed, Keep, Part, Records, Stop, decode_control, encode

LIMIT: Final = 32 << 20
"""Bytes of records that may wait for the coordinator; then the node plays no further window. The brake is outside the
simulated time, so it changes no history."""

BATCH: Final = 4 << 20
"""Bytes in one message."""

NAP: Final = 0.02
"""Seconds between two messages: at most 50 a second, however short the windows are."""


class Outlet:
    """Records of a run on their way. have: last round that the coordinator holds."""

    def __init__(self, have: int, limit: int = LIMIT) -> None:
        self.have = have
        self.upto = have
        self.events = 0
        self.waited = 0.0
        self.size = 0
        self.stalls = 0
        self.verdict: Ended | Failed | None = None
        self.stop: Stop | None = None
        self._limit = limit
        self._kept: deque[Part] = deque()
        self._ws: Any = None
        self._sender: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    def put(self, played: Part, events: int, waited: float) -> None:
        """Take the records of one more round. events: deliveries of this node so far."""
        self.events, self.waited = events, waited
        if played.round > self.upto:
            self.upto = played.round
            if played.places:
                self._kept.append(played)
                self.size += _size(played)
        self._changed.set()

    async def room(self, patience: float) -> None:
        """Wait until the coordinator has caught up. PeerLost after `patience` seconds."""
        if self.size <= self._limit:
            return
        self.stalls += 1
        try:
            async with asyncio.timeout(patience):
                while self.size > self._limit:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise PeerLost(
                f"the coordinator has taken no records for {patience:g} s: 'gupsim cluster resume RUN_DIR' goes on"
            ) from None

    def finish(self, verdict: Ended | Failed) -> None:
        """The last thing to say."""
        self.verdict = verdict
        self._changed.set()

    async def attach(self, ws: Any, have: int) -> None:
        """Serve one connection of the coordinator until it ends; it takes the place of an earlier one, of which we may
        not know yet that it is dead. have: last round that the coordinator holds."""
        self.keep(have)
        old, self._ws = self._ws, ws
        if self._sender is not None:
            self._sender.cancel()
        if old is not None:
            await old.close()
        sender = self._sender = asyncio.create_task(self._send(ws, have))
        try:
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise FrameError("a message that is not binary")
                said = decode_control(message.data)
                if isinstance(said, Keep):
                    self.keep(said.round)
                elif isinstance(said, Stop):
                    self.stop = said
                    return
                else:
                    raise FrameError(f"{type(said).__name__} is not for a node that runs")
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            if self._ws is ws:
                self._ws = self._sender = None

    @property
    def attached(self) -> bool:
        """True while a coordinator is connected."""
        return self._ws is not None

    def keep(self, number: int) -> None:
        """The coordinator holds all rounds up to this one: forget them."""
        self.have = max(self.have, number)
        while self._kept and self._kept[0].round <= number:
            self.size -= _size(self._kept.popleft())
        self._room.set()

    async def _send(self, ws: Any, sent: int) -> None:
        """All that comes, on one connection. sent: last round that is known to have arrived."""
        self._changed.set()
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while self.upto > sent:
                    batch = self._batch(sent)
                    await ws.send_bytes(encode(batch))
                    sent = batch.upto
                if self.verdict is not None:
                    await ws.send_bytes(encode(self.verdict))
                await asyncio.sleep(NAP)
        except (ConnectionError, aiohttp.ClientError, RuntimeError):
            await ws.close()

    def _batch(self, sent: int) -> Records:
        """What came after round `sent`, up to BATCH bytes."""
        parts: list[Part] = []
        size = 0
        for played in self._kept:
            if played.round > sent:
                if size > BATCH:
                    return Records(played.round - 1, self.events, self.waited, parts)
                parts.append(played)
                size += _size(played)
        return Records(self.upto, self.events, self.waited, parts)


def _size(part: Part) -> int:
    """Bytes."""
    return memoryview(part.records).nbytes + len(part.places) + len(part.points)
