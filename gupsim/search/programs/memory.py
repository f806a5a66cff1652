"""Threads over shared memory: each event of a thread touches one cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gupsim.search.program import Program
from gupsim.search.programs.actors import Go, Shared, Thread
from gupsim.search.programs.mailboxes import cells_of
from gupsim.search.world import ExploredWorld


def threads(cells: int, *bodies: Thread) -> Program[Shared]:
    """Threads over one shared memory."""

    def build(world: ExploredWorld) -> Shared:
        shared = world.add("memory", Shared, cells, bodies)
        for thread in range(len(bodies)):
            world.post("memory", Go(thread))
        return shared

    return Program(build, state=cells_of)


def lastzero(n: int) -> Program[Shared]:
    """n threads each set a cell to its left neighbour's plus one; another looks for the last zero: (n+3) 2^(n-2)."""

    async def look(memory: Shared) -> None:
        for cell in range(n, -1, -1):
            if memory.cells[cell] == 0:
                return
            await memory.pause()

    async def raise_cell(memory: Shared, cell: int) -> None:
        left = memory.cells[cell - 1]
        await memory.pause()
        memory.cells[cell] = left + 1

    return threads(n + 1, look, *(partial(raise_cell, cell=cell) for cell in range(1, n + 1)))


def store_buffer_ring(n: int) -> Program[Shared]:
    """Each thread writes its cell, then reads its neighbour's, sequentially consistent: 2^n - 1."""

    async def body(memory: Shared, cell: int) -> None:
        memory.cells[cell] = 1
        await memory.pause()
        memory.cells[(cell + 1) % n]

    return threads(n, *(partial(body, cell=cell) for cell in range(n)))


def rmw(n: int, times: int) -> Program[Shared]:
    """n threads, each with so many atomic increments: (n k)! / (k!)^n."""

    async def body(memory: Shared) -> None:
        for number in range(times):
            if number:
                await memory.pause()
            memory.cells[0] += 1

    return threads(1, *[body] * n)


def increments(n: int) -> Program[Shared]:
    """n threads that read, then write one more: 4, 36."""

    async def body(memory: Shared) -> None:
        value = memory.cells[0]
        await memory.pause()
        memory.cells[0] = value + 1

    return threads(1, *[body] * n)


def writes_in_order(*orders: Sequence[int]) -> Program[Shared]:
    """Each thread writes the cells of its order, one by one: (A,B) and (B,A) give 3, (A,B) twice gives 4."""

    async def body(memory: Shared, order: Sequence[int]) -> None:
        for number, cell in enumerate(order):
            if number:
                await memory.pause()
            memory.cells[cell] = 1

    return threads(1 + max(map(max, orders)), *(partial(body, order=order) for order in orders))


def popl14() -> Program[Shared]:
    """Four threads on x, y, z, on which source sets alone explore too much: 5."""
    x, y, z = 0, 1, 2

    async def p(memory: Shared) -> None:
        memory.cells[x] = 1

    async def q(memory: Shared) -> None:
        memory.cells[y] = 1

    async def r(memory: Shared) -> None:
        m = memory.cells[y]
        if m == 0:
            await memory.pause()
            memory.cells[z] = 1

    async def s(memory: Shared) -> None:
        if memory.cells[z] == 1:
            await memory.pause()
            if memory.cells[y] == 0:
                await memory.pause()
                memory.cells[x] = 2

    return threads(3, p, q, r, s)
