"""The HTTP side of a node: who connects, and what strangers get."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from aiohttp import WSMessage, WSMsgType, web

from gupsim.cluster.errors import ClusterError, Refusal
from gupsim.cluster.mesh import Mesh
from gupsim.cluster.node_run import NodeRun, RunFactory
from gupsim.cluster.node_status import CONTENT_TYPE, metrics_of, status_of
from gupsim.cluster.security import Credentials, Hello
from gupsim.protocol.codec import FrameError
from gupsim.protocol.node import MAX_NODE_FRAME, NODE_PROTOCOL, Begin, Failed, Welcome, decode_control, encode

log: Final = logging.getLogger("gupsim.node")

STRANGERS: Final = 128
"""Connections that have not proved themselves, at most; the oldest goes when one more comes."""

PATIENCE_WITH_STRANGERS: Final = 10.0
"""Seconds in which a connection proves itself or ends, however slowly it sends."""

LOGGED: Final = 50
"""Refusals that are logged in one second; of more only the number."""


RATE: Final = 500.0
"""Requests a second from one address; a burst may be as large. A connection of a run takes two requests."""

ADDRESSES: Final = 1024
"""Addresses whose requests are counted; when more come, all counts begin anew."""


class RateLimit:
    """A token bucket for each address."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def admits(self, address: str) -> bool:
        """False if this address has asked too often."""
        now = time.monotonic()
        if address not in self._left and len(self._left) >= ADDRESSES:
            self._left.clear()
        left, last = self._left.get(address, (RATE, now))
        left = min(left + (now - last) * RATE, RATE)
        self._left[address] = (max(left - 1, 0.0), now)
        return left >= 1


class NodeServer:
    """Lets in the coordinator and the peers of the current run, and tells everybody else how the node is.

    name: of this node until a run gives it another. factory: makes a run out of a Begin.
    """

    def __init__(self, name: str, credentials: Credentials, factory: RunFactory) -> None:
        self.name = name
        self.run: NodeRun | None = None
        self.refused = 0
        self._credentials = credentials
        self._factory = factory
        self._known: set[Any] = set()
        self._seen: dict[Any, float] = {}
        self._recent: deque[float] = deque(maxlen=LOGGED)
        self._unlogged = 0
        self._rate = RateLimit()
        self._runner: web.AppRunner | None = None
        self._guard: asyncio.Task[None] | None = None
        self._attaching = asyncio.Lock()

    async def listen(self, host: str, port: int) -> int:
        """Start to listen; the port. OSError if that is not possible."""
        app = web.Application(client_max_size=4096, logger=log, middlewares=[self._admit])
        app.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/readyz", self._ready),
                web.get("/status", self._status),
                web.get("/metrics", self._metrics),
                web.get("/challenge", self._challenge),
                web.get("/peer", self._peer),
                web.get("/control", self._control),
            ]
        )
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, keepalive_timeout=5, shutdown_timeout=1, max_field_size=8190
        )
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, host, port, ssl_context=self._credentials.server_context(), backlog=256, reuse_address=True
        )
        await site.start()
        self._guard = asyncio.create_task(self._watch_strangers())
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """End the run and every connection."""
        if self._guard is not None:
            self._guard.cancel()
        if self.run is not None:
            await self.run.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _admit(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        if self._rate.admits(request.remote or ""):
            answer: web.StreamResponse = await handler(request)
            return answer
        return self._refuse(request, Refusal("too many requests", 429))

    # What everybody may ask.

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        """200 once this node can take its part: always, except while it replays a journal."""
        if self.run is not None and self.run.phase in {"starting", "replaying", "failed"}:
            return web.Response(status=503, text=f"{self.run.phase}\n")
        return web.Response(text="ready\n")

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(status_of(self.name, self.run, self.refused))

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=metrics_of(status_of(self.name, self.run, self.refused)), content_type=CONTENT_TYPE)

    async def _challenge(self, _: web.Request) -> web.Response:
        return web.Response(body=self._credentials.challenge())

    # What only those may who prove themselves.

    async def _peer(self, request: web.Request) -> web.StreamResponse:
        try:
            hello, proof = self._let_in(request, "peer")
            mesh, index = self._peer_of(hello)
        except Refusal as error:
            return self._refuse(request, error)
        ws = await self._upgrade(request)
        try:
            await ws.send_bytes(encode(Welcome(proof, mesh.links[index].have)))
            await mesh.serve(index, ws)
        except (FrameError, ConnectionError, RuntimeError) as error:
            self._log(request, f"node {hello.name}: {error}")
        finally:
            await ws.close()
        return ws

    async def _control(self, request: web.Request) -> web.StreamResponse:
        try:
            hello, proof = self._let_in(request, "coordinator")
        except Refusal as error:
            return self._refuse(request, error)
        ws = await self._upgrade(request)
        try:
            await ws.send_bytes(encode(Welcome(proof, -1)))
            await self._serve(_begin(await ws.receive(timeout=PATIENCE_WITH_STRANGERS), hello), ws)
        except ClusterError as error:
            self._log(request, str(error))
            await ws.send_bytes(encode(Failed(error.kind, str(error))))
        except (FrameError, ConnectionError, RuntimeError, TimeoutError) as error:
            self._log(request, f"coordinator: {error}")
        finally:
            await ws.close()
        return ws

    async def _serve(self, begin: Begin, ws: web.WebSocketResponse) -> None:
        async with self._attaching:
            run = self.run
            if run is not None and run.begin.run != begin.run and run.outlet.attached:
                raise ClusterError(f"node {run.name} takes part in run {run.begin.run}, whose coordinator is connected")
            if run is not None and not _goes_on(run, begin):
                await run.close()
                run = None
            if run is None:
                run = self.run = self._factory(begin)
                run.start()
        await run.outlet.attach(ws, begin.have)
        if run.outlet.stop is not None:
            await run.close(forget=run.outlet.stop.forget)
            if self.run is run:
                self.run = None

    async def _upgrade(self, request: web.Request) -> web.WebSocketResponse:
        self._known.add(request.protocol)
        ws = web.WebSocketResponse(compress=False, max_msg_size=MAX_NODE_FRAME + 1024, heartbeat=20, timeout=1)
        await ws.prepare(request)
        return ws

    def _let_in(self, request: web.Request, role: str) -> tuple[Hello, bytes]:
        hello, proof = self._credentials.examine(request.headers.get("Authorization", ""))
        if hello.role != role:
            raise Refusal(f"a {hello.role} at the door for a {role}", 400)
        if hello.protocol != NODE_PROTOCOL:
            raise Refusal(
                f"it speaks version {hello.protocol} of the protocol between nodes, this node {NODE_PROTOCOL}:"
                " install one version of gupsim everywhere", 409,
            )  # fmt: skip
        if hello.software != version("gupsim"):
            raise Refusal(
                f"it is gupsim {hello.software}, this is {version('gupsim')}: install one version everywhere", 409
            )
        return hello, proof

    def _peer_of(self, hello: Hello) -> tuple[Mesh, int]:
        run = self.run
        if run is None or run.begin.run != hello.run or not run.ready:
            raise Refusal("this node is not in that run yet", 503)
        if hello.digest != run.digest:
            raise Refusal("it runs another scenario, other rules, another seed or another placement", 409)
        if hello.to != run.name:
            raise Refusal(f"it looks for node {hello.to}, this is {run.name}", 409)
        for index, link in run.mesh.links.items():
            if link.at.name == hello.name:
                return run.mesh, index
        raise Refusal(f"no node {hello.name} in this run", 403)

    def _refuse(self, request: web.Request, error: Refusal) -> web.Response:
        if error.status != 503:
            self._log(request, str(error))
        return web.Response(status=error.status, text=f"{error}\n", headers={"Gupsim-Refusal": str(error)})

    def _log(self, request: web.Request, why: str) -> None:
        """One line for each refusal, and a number for a flood of them."""
        self.refused += 1
        now = time.monotonic()
        if len(self._recent) == LOGGED and now - self._recent[0] < 1:
            self._unlogged += 1
            return
        more = f" (and {self._unlogged} more that were not logged)" if self._unlogged else ""
        self._unlogged = 0
        self._recent.append(now)
        log.warning("%s: refused %s from %s: %s%s", self.name, request.path, request.remote, why, more)

    async def _watch_strangers(self) -> None:
        """End the connections that do not prove themselves, in the order in which they came."""
        assert self._runner is not None
        while True:
            await asyncio.sleep(0.5)
            server = self._runner.server
            connections = set(server.connections) if server is not None else set()
            now = time.monotonic()
            self._known &= connections
            self._seen = {each: self._seen.get(each, now) for each in connections - self._known}
            strangers = sorted(self._seen, key=self._seen.__getitem__)
            surplus = len(strangers) - STRANGERS
            for place, each in enumerate(strangers):
                if place < surplus or now - self._seen[each] > PATIENCE_WITH_STRANGERS:
                    self._end(each, "too many" if place < surplus else "too slow")

    def _end(self, connection: Any, why: str) -> None:
        transport = connection.transport
        self.refused += 1
        if transport is not None:
            log.warning("%s: ended a connection that did not prove itself: %s", self.name, why)
            transport.abort()


def _goes_on(run: NodeRun, begin: Begin) -> bool:
    """False if the run must be made anew, from its journal: it failed, or forgot records that are wanted again."""
    return run.begin.run == begin.run and run.phase != "failed" and run.outlet.have <= begin.have


def _begin(message: WSMessage, hello: Hello) -> Begin:
    """What a coordinator opens with; FrameError for anything else."""
    begin = decode_control(message.data) if message.type is WSMsgType.BINARY else None
    if not isinstance(begin, Begin) or begin.run != hello.run or not 0 <= begin.index < len(begin.nodes):
        raise FrameError("a coordinator opens with the run")
    return begin
