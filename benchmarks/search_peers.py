"""The same programs for the Python libraries that explore interleavings too, each as its documentation shows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from benchmarks.search_programs import Go, Serve, Served

Body = Callable[["Cells"], Awaitable[None]]

UNBOUNDED: Final = 1_000
"""Delays enough for every interleaving of these programs."""


class Cells:
    """Shared memory."""

    def __init__(self) -> None:
        self.x = 0
        self.cell = [0] * 8


async def write(cells: Cells) -> None:
    cells.x = 1


async def read(cells: Cells) -> None:
    cells.x  # noqa: B018 - the access is what counts


def raise_cell(number: int) -> Body:
    async def body(cells: Cells) -> None:
        left = cells.cell[number - 1]
        await asyncio.sleep(0)
        cells.cell[number] = left + 1

    return body


def look(highest: int) -> Body:
    async def body(cells: Cells) -> None:
        for number in range(highest, -1, -1):
            if cells.cell[number] == 0:
                return
            await asyncio.sleep(0)

    return body


def hop(stops: int) -> Body:
    async def body(cells: Cells) -> None:
        for stop in range(stops):
            if stop:
                await asyncio.sleep(0)
            cells.cell[stop] += 1

    return body


def readers(n: int) -> list[Body]:
    return [write, *[read] * n]


def mailbox(n: int) -> list[Body]:
    return [write] * n


def lastzero(n: int) -> list[Body]:
    return [look(n), *(raise_cell(number) for number in range(1, n + 1))]


def chain(stops: int, tokens: int) -> list[Body]:
    return [hop(stops)] * tokens


def frontrun(bodies: list[Body], limit: int) -> tuple[int, bool]:
    """Executions by the DPOR of frontrun, and whether that was all there is."""
    peer = import_module("frontrun")

    async def explore() -> Any:
        return await peer.explore(
            setup=Cells,
            workers=bodies,
            invariant=lambda _: True,
            preemption_bound=None,
            stop_on_first=False,
            max_executions=limit,
            reproduce_on_failure=0,
        )

    result = asyncio.run(explore())
    return result.num_explored, result.property_holds is True


def simloom(bodies: list[Body], limit: int) -> tuple[int, bool]:
    """The same by the systematic search of simloom, which knows no reduction."""
    peer = import_module("simloom")

    result = peer.explore_systematic(_main(bodies), max_delays=UNBOUNDED, max_schedules=limit)
    return result.schedules, result.exhaustive


def simloop(bodies: list[Body], limit: int) -> tuple[int, bool]:
    """So many seeds of simloop, which has no search: it is never done."""
    peer = import_module("simloop")

    peer.explore(_main(bodies), range(limit))
    return limit, False


PEERS: Final[dict[str, Callable[[list[Body], int], tuple[int, bool]]]] = {
    "frontrun": frontrun,
    "simloom": simloom,
    "simloop": simloop,
}


def why_not(name: str) -> str:
    """Why a peer cannot run here; "" if it can."""
    if find_spec(name) is not None:
        return ""
    if name != "frontrun" and sys.version_info < (3, 12):
        return f"{name} needs Python 3.12; this is {sys.version_info.major}.{sys.version_info.minor}"
    return rf"{name} is not installed; it comes with the extra: pip install 'gupsim\[bench]'"


def _main(bodies: list[Body]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def main() -> None:
        cells = Cells()
        await asyncio.gather(*(body(cells) for body in bodies))

    return main


class _Actor:
    """A mailbox, a task that empties it, and a task for each message."""

    def __init__(self, handlers: dict[type[Any], Callable[[Any], Awaitable[Any]]]) -> None:
        self.mailbox: asyncio.Queue[tuple[Any, asyncio.Future[Any] | None]] = asyncio.Queue()
        self.handlers = handlers
        self.running: set[asyncio.Task[None]] = set()
        self.task = asyncio.create_task(self._run())

    async def ask(self, message: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.mailbox.put_nowait((message, answer))
        return await answer

    async def _run(self) -> None:
        while True:
            message, answer = await self.mailbox.get()
            task = asyncio.create_task(self._handle(message, answer))
            self.running.add(task)
            task.add_done_callback(self.running.discard)

    async def _handle(self, message: Any, answer: asyncio.Future[Any] | None) -> None:
        value = await self.handlers[type(message)](message)
        if answer is not None:
            answer.set_result(value)


async def actors(clients: int, times: int) -> None:
    """The race of `search_programs`, with actors of asyncio's own means."""
    order: list[int] = []

    async def serve(message: Serve) -> Served:
        order.append(message.who)
        return Served(len(order))

    server = _Actor({Serve: serve})

    def client(who: int) -> _Actor:
        async def go(_: Go) -> None:
            for asked in range(times):
                served = await server.ask(Serve(who))
                assert served.number > asked

        return _Actor({Go: go})

    everybody = [client(who) for who in range(clients)]
    await asyncio.gather(*(one.ask(Go()) for one in everybody))
    for one in (server, *everybody):
        one.task.cancel()


async def by_hand(clients: int, times: int) -> None:
    """The same exchange as short as asyncio allows."""
    mailbox: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
    order: list[int] = []

    async def serve() -> None:
        while True:
            who, answer = await mailbox.get()
            order.append(who)
            answer.set_result(len(order))

    async def client(who: int) -> None:
        loop = asyncio.get_running_loop()
        for asked in range(times):
            answer: asyncio.Future[int] = loop.create_future()
            await mailbox.put((who, answer))
            assert await answer > asked

    serving = asyncio.create_task(serve())
    await asyncio.gather(*(asyncio.create_task(client(who)) for who in range(clients)))
    serving.cancel()
