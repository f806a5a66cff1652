"""Opening a connection to a node: challenge, proof, WebSocket, and the first message back."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import aiohttp

from gupsim.cluster.errors import Refusal
from gupsim.cluster.security import ANEW, Credentials, Hello
from gupsim.protocol.codec import FrameError
from gupsim.protocol.node import MAX_NODE_FRAME, Welcome, decode_control

OPENING: Final = 5.0
"""Seconds for the whole opening of a connection."""

RETRY: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds between attempts; the last one repeats."""


class Unreachable(Exception):
    """Nobody answers there now; trying again may help."""


class Dialler:
    """Opens connections on behalf of one process. Use it as an async context manager."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Get ready; within the event loop."""
        context = self.credentials.client_context()
        # No limit on connections: one for each node. No timeout on the whole: a run may be long.
        connector = aiohttp.TCPConnector(limit=0, ssl=context or True, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def close(self) -> None:
        """Close all that is open."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def dial(self, url: str, path: str, hello: Hello) -> tuple[aiohttp.ClientWebSocketResponse, Welcome]:
        """A connection on which both sides have proved themselves.

        Unreachable if nobody answers, Refusal if the other side does not want us, or cannot prove itself.
        """
        try:
            async with asyncio.timeout(OPENING):
                return await self._dial(url.rstrip("/"), path, hello)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError, TimeoutError) as error:
            raise Unreachable(f"{url}: {str(error) or type(error).__name__}") from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{url}: {error}") from None

    async def _dial(self, url: str, path: str, hello: Hello) -> tuple[aiohttp.ClientWebSocketResponse, Welcome]:
        assert self._session is not None
        async with self._session.get(f"{url}/challenge") as response:
            nonce = await response.content.read(64)
            if response.status != 200 or len(nonce) != 40:
                raise Unreachable(f"{url} answers, but not as a gupsim node (HTTP {response.status})")
        mine = os.urandom(16)
        header = {"Authorization": self.credentials.answer(hello, nonce, mine)}
        try:
            ws = await self._session.ws_connect(
                f"{url}{path}", headers=header, max_msg_size=MAX_NODE_FRAME + 1024, compress=0, autoping=True
            )
        except aiohttp.WSServerHandshakeError as error:
            why = error.headers.get("Gupsim-Refusal", error.message) if error.headers is not None else error.message
            if error.status in (ANEW, 429, 503):
                raise Unreachable(f"{url}: {why}") from None
            raise Refusal(f"{url} refuses the connection: {why}", error.status) from None
        first = await ws.receive()
        if first.type is not aiohttp.WSMsgType.BINARY:
            await ws.close()
            raise Unreachable(f"{url} closed the connection")
        try:
            welcome = decode_control(first.data)
        except FrameError:
            welcome = Welcome(b"", -1)
        if not isinstance(welcome, Welcome) or not self.credentials.accepted(hello, nonce, mine, welcome.proof):
            await ws.close()
            raise Refusal(f"{url} does not know the secret")
        return ws, welcome


async def pause(attempt: int) -> None:
    """Wait before attempt number `attempt` + 1."""
    await asyncio.sleep(RETRY[min(attempt, len(RETRY) - 1)])
