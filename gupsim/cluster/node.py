"""The process behind `gupsim node`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec

from gupsim.cluster.dial import Dialler
from gupsim.cluster.errors import ConfigError
from gupsim.cluster.node_run import NodeRun
from gupsim.cluster.security import Credentials, check_listen
from gupsim.cluster.server import NodeServer
from gupsim.protocol.node import Begin

log: Final = logging.getLogger("gupsim.node")


class NodeOptions(msgspec.Struct, frozen=True):
    """host, port: where to listen, port 0 for any. name: in messages until a run gives another. state: directory of
    journals. durable: journals reach the disk before each window. parent: end when standard input does."""

    host: str
    port: int
    name: str
    state: Path
    durable: bool = False
    parent: bool = False


MakeRun = Callable[[Begin, Dialler], NodeRun]


def serve(
    options: NodeOptions, credentials: Credentials, said: Callable[[str], None], make: MakeRun | None = None
) -> None:
    """Run a node until SIGTERM or SIGINT. ConfigError if it cannot listen.

    said: gets the URL once it listens. make: makes the runs, if they are not of scenarios.
    """
    check_listen(options.host, credentials)
    try:
        options.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state directory {options.state}: {error.strerror or error}") from None
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="gupsim node: %(message)s")
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    in_event_loop(_serve(options, credentials, said, make))


async def _serve(
    options: NodeOptions, credentials: Credentials, said: Callable[[str], None], make: MakeRun | None
) -> None:
    dialler = Dialler(credentials)
    await dialler.open()

    def factory(begin: Begin) -> NodeRun:
        if make is not None:
            return make(begin, dialler)
        return NodeRun(begin, options.state, dialler, durable=options.durable)

    server = NodeServer(options.name, credentials, factory)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if options.parent:
        loop.add_reader(sys.stdin.fileno(), _parent_gone, ended)
    try:
        try:
            port = await server.listen(options.host, options.port)
        except OSError as error:
            raise ConfigError(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}") from None
        host = f"[{options.host}]" if ":" in options.host else options.host
        said(f"{'https' if credentials.tls else 'http'}://{host}:{port}")
        await ended.wait()
        log.info("%s: stopping", options.name)
    finally:
        await server.close()
        await dialler.close()


def _parent_gone(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        ended.set()


def in_event_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """On uvloop, where it exists: a window barrier takes a third of the time (runtime.md)."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)
