"""The connections of one node to all others: each frame arrives once and in order, whatever becomes of connections."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp

from gupsim.cluster.dial import Dialler, Unreachable, pause
from gupsim.cluster.errors import ClusterError, Divergence, PeerLost, Refusal
from gupsim.cluster.security import Hello
from gupsim.protocol.codec import FrameError
from gupsim.protocol.node import Frame, FrameCodec, NodeAt, Resume, decode_control, encode

log: Final = logging.getLogger("gupsim.node")

KEPT: Final = 2
"""Frames that are kept for each peer. A peer's frame of round r says that it has taken, and has in its journal, all
frames of round r - 1; so a peer that comes back lacks at most our last two."""


class PeerLink:
    """What is known of one peer. have: last round received. sent: the last frames for it, with their rounds."""

    def __init__(self, index: int, at: NodeAt) -> None:
        self.index = index
        self.at = at
        self.ws: Any = None
        self.have = -1
        self.told = -1
        self.sent: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self.inbox: dict[int, tuple[Frame, bytes]] = {}
        self.digests: deque[tuple[int, bytes]] = deque(maxlen=KEPT + 1)
        self.connections = 0
        self.duplicates = 0

    async def push(self) -> None:
        """Send what the peer has not got on this connection."""
        ws = self.ws
        for number, data in list(self.sent):
            if ws is None or ws is not self.ws or number <= self.told:
                continue
            self.told = number
            try:
                await ws.send_bytes(data)
            except (ConnectionError, aiohttp.ClientError, RuntimeError):
                self.drop(ws)
                return

    def drop(self, ws: Any) -> None:
        """The connection is of no use any more."""
        if self.ws is ws:
            self.ws = None


class Mesh:
    """One connection to each peer; the node with the higher index dials. Frames are numbered by their rounds, so a new
    connection goes on where the old one broke, and what comes twice is recognised.

    me: own index. nodes: all of them. hello: of this node for a peer. patience: seconds to wait for a frame.
    """

    def __init__(
        self,
        me: int,
        nodes: Sequence[NodeAt],
        *,
        codec: FrameCodec,
        dialler: Dialler,
        hello: Callable[[NodeAt], Hello],
        patience: float,
    ) -> None:
        self.links = {index: PeerLink(index, at) for index, at in enumerate(nodes) if index != me}
        self.patience = patience
        self.waited = 0.0
        self.round = 0
        self._me = me
        self._codec = codec
        self._dialler = dialler
        self._hello = hello
        self._waiting: asyncio.Future[None] | None = None
        self._since = 0.0
        self._error: ClusterError | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, taken: int) -> None:
        """Start dialling. taken: last round that the journal holds of everybody, -1 for none."""
        self.round = taken + 1
        for link in self.links.values():
            link.have = taken
        dialled = [link for link in self.links.values() if link.index < self._me]
        self._tasks = [asyncio.create_task(self._dial(link)) for link in dialled]
        self._tasks.append(asyncio.create_task(self._watch()))

    async def close(self) -> None:
        """Close every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in self.links.values():
            ws, link.ws = link.ws, None
            if ws is not None:
                await _shut(ws)

    def keep(self, number: int, frames: Mapping[int, bytes]) -> None:
        """Have the frames of a round ready for the peers, without sending them yet."""
        for index, data in frames.items():
            self.links[index].sent.append((number, data))

    async def broadcast(self, number: int, frames: Mapping[int, bytes]) -> None:
        """Send each peer its frame of a round; who is not connected gets it when it is."""
        self.round = number
        self.keep(number, frames)
        for index in frames:
            await self.links[index].push()

    async def gather(self, number: int) -> dict[int, tuple[Frame, bytes]]:
        """The frames of a round, once all are there. PeerLost after `patience` seconds without one of them."""
        links = self.links.values()
        while not all(number in link.inbox for link in links):
            if self._error is not None:
                raise self._error
            # A bare future, watched by one task: a timeout of its own for each window costs a tenth of the barrier.
            self._waiting = asyncio.get_running_loop().create_future()
            began = self._since = time.monotonic()
            try:
                await self._waiting
            finally:
                self._waiting = None
            self.waited += time.monotonic() - began
        if self._error is not None:
            raise self._error
        return {link.index: link.inbox.pop(number) for link in links}

    def missing(self) -> list[str]:
        """Names of the nodes whose frame of the current round is not here."""
        return [link.at.name for link in self.links.values() if self.round not in link.inbox]

    async def serve(self, index: int, ws: Any) -> None:
        """A peer has dialled us and is let in; returns when the connection ends. The Welcome was sent."""
        link = self.links[index]
        first = await ws.receive(timeout=5)
        resume = decode_control(first.data) if first.type is aiohttp.WSMsgType.BINARY else None
        if not isinstance(resume, Resume):
            raise FrameError(f"{link.at.name} opens with something else than its state")
        await self._attach(link, ws, resume.have)

    async def _dial(self, link: PeerLink) -> None:
        attempt = 0
        while True:
            try:
                ws, welcome = await self._dialler.dial(link.at.url, "/peer", self._hello(link.at))
                attempt = 0
                await ws.send_bytes(encode(Resume(link.have)))
                await self._attach(link, ws, welcome.have)
            except Unreachable:
                pass
            except Refusal as error:
                # 409: it runs something else; that does not get better by itself. 404: it does not know the run yet.
                if error.status in (401, 403, 409):
                    self._fail(Refusal(str(error), error.status))
                    return
            except (FrameError, ConnectionError, aiohttp.ClientError, RuntimeError) as error:
                log.warning("connection to %s closed: %s", link.at.name, error)
            await pause(attempt)
            attempt += 1

    async def _attach(self, link: PeerLink, ws: Any, have: int) -> None:
        """Use a connection until it ends. have: last round that the peer holds of us."""
        old, link.ws = link.ws, ws
        if old is not None and old is not ws:
            await _shut(old)
        if link.sent and have + 1 < link.sent[0][0]:
            self._fail(
                PeerLost(
                    f"node {link.at.name} has lost its journal: it holds our frames up to round {have}, but only those"
                    f" from round {link.sent[0][0]} on are kept. Start the run anew: its hash will be the same"
                )
            )
            return
        link.told = have
        link.connections += 1
        if link.connections > 1:
            log.info("connection with %s resumed: it has round %d, we have round %d", link.at.name, have, link.have)
        await link.push()
        try:
            async for message in ws:
                self._received(link, message)
        except (FrameError, ConnectionError, aiohttp.ClientError) as error:
            log.warning("connection with %s closed: %s", link.at.name, error)
        finally:
            link.drop(ws)
            await _shut(ws)

    def _received(self, link: PeerLink, message: aiohttp.WSMessage) -> None:
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise FrameError("a message that is not binary")
        data: bytes = message.data
        frame = self._codec.decode(data)
        number = frame.round
        if number == link.have + 1 and number <= self.round + 1:
            link.inbox[number] = (frame, data)
            link.have = number
            link.digests.append((number, hashlib.sha256(data).digest()))
            if number == self.round:
                self._wake()
        elif number <= link.have:
            link.duplicates += 1
            for known, digest in link.digests:
                if known == number and digest != hashlib.sha256(data).digest():
                    self._fail(
                        Divergence(
                            f"node {link.at.name} sends another frame of round {number} (window from {frame.start} ns)"
                            " than before: it came back with another history. Look for an actor that is not"
                            " deterministic, and for two versions of gupsim"
                        )
                    )
        else:
            raise FrameError(f"frame of round {number} after round {link.have}")

    async def _watch(self) -> None:
        """Give up on a peer that has not come back in time."""
        while True:
            await asyncio.sleep(min(self.patience / 4, 0.5))
            if self._waiting is not None and time.monotonic() - self._since > self.patience:
                names = ", ".join(self.missing())
                self._fail(
                    PeerLost(
                        f"no frame of round {self.round} from {names} within {self.patience:g} s: start {names} again"
                        " with its state directory, then 'gupsim cluster resume'"
                    )
                )

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _fail(self, error: ClusterError) -> None:
        self._error = self._error or error
        self._wake()


async def _shut(ws: Any) -> None:
    try:
        async with asyncio.timeout(1):
            await ws.close()
    except (TimeoutError, ConnectionError, aiohttp.ClientError, RuntimeError):
        return
