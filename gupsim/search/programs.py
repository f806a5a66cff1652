"""Small programs of actors whose number of traces is known: for tests of exactness and for benchmarks.

Sources: search.md, section 8; the names are those of the papers and tools that use them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeAlias

from actors.base import Actor, Column, Port, handles
from gupsim.search.program import Program
from gupsim.search.world import ExploredWorld
from protocol.message import Message

Thread: TypeAlias = Callable[["Shared"], Coroutine[Any, Any, None]]


class Go(Message, frozen=True):
    """Start thread number `thread`."""

    thread: int


class Touch(Message, frozen=True):
    """how: "read", "write", "add" or "test" (add, and look at the result); of one cell."""

    how: str
    cell: int = 0


class Burst(Message, frozen=True):
    """Send `count` Touch messages to `dst`, in order."""

    dst: str
    count: int


class Ping(Message, frozen=True):
    """Count one more and tell `client`."""

    client: str


class Pong(Message, frozen=True):
    """Counted."""


class Shoot(Message, frozen=True):
    """Clear the entry and have it flushed from so many CPUs."""

    cpus: int


class Flush(Message, frozen=True):
    """Forget the translation."""


class Flushed(Message, frozen=True):
    """It is forgotten."""


class Free(Message, frozen=True):
    """Nobody can reach the page any more."""


class Store(Message, frozen=True):
    """Store through the TLB, if the translation is there."""


class Token(Message, frozen=True):
    """Count here, then pass on along `route`."""

    route: tuple[str, ...]


class Shared(Actor):
    """Memory cells, and threads that touch one of them in each event."""

    def __init__(self, address: str, port: Port, cells: int, threads: Sequence[Thread] = ()) -> None:
        super().__init__(address, port)
        self.cells = Column(self, "cell", "q", cells)
        self.threads = threads

    @handles(Go)
    async def go(self, msg: Go) -> None:
        await self.threads[msg.thread](self)

    def pause(self) -> Coroutine[Any, Any, None]:
        """The end of one event of a thread."""
        return self.sleep(0)

    @handles(Touch)
    def touch(self, msg: Touch) -> None:
        if msg.how == "read":
            self.cells[msg.cell]
        elif msg.how == "write":
            self.cells[msg.cell] = 1
        elif msg.how == "add":
            self.cells.add(msg.cell, 1)
        else:
            self.cells[msg.cell] -= 1

    @handles(Ping)
    def ping(self, msg: Ping) -> None:
        self.cells[0] += 1
        self.send(msg.client, Pong())

    @handles(Token)
    def token(self, msg: Token) -> None:
        self.cells[0] += 1
        if msg.route:
            self.send(msg.route[0], Token(msg.route[1:]))


class Sender(Actor):
    """Sends what it is told to."""

    @handles(Burst)
    def burst(self, msg: Burst) -> None:
        for _ in range(msg.count):
            self.send(msg.dst, Touch("write"))

    @handles(Pong)
    def pong(self, msg: Pong) -> None:
        pass


class Tables(Actor):
    """Page tables, and the page itself: an entry is cleared, all CPUs flush, the page is freed."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.words = Column(self, "word", "q", 3)

    @handles(Shoot)
    def shoot(self, msg: Shoot) -> None:
        self.words[0] = 0
        self.words[1] = msg.cpus
        for cpu in range(msg.cpus):
            self.send(f"cpu/{cpu}", Flush())

    @handles(Flushed)
    def flushed(self, msg: Flushed) -> None:
        self.words[1] -= 1
        if self.words[1] == 0:
            self.send(self.address, Free())

    @handles(Free)
    def free(self, msg: Free) -> None:
        self.words[2] = 1

    @handles(Touch)
    def touch(self, msg: Touch) -> None:
        self.words[2]


class Tlb(Actor):
    """One CPU with one cached translation."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.entry = Column(self, "entry", "q", 1)
        self.entry.data[0] = 1

    @handles(Flush)
    def flush(self, msg: Flush) -> None:
        self.entry[0] = 0
        self.send("mm", Flushed())

    @handles(Store)
    def store(self, msg: Store) -> None:
        if self.entry[0]:
            self.send("mm", Touch("write"))


def threads(cells: int, *bodies: Thread) -> Program[Shared]:
    """Threads over one shared memory."""

    def build(world: ExploredWorld) -> Shared:
        shared = world.add("memory", Shared, cells, bodies)
        for thread in range(len(bodies)):
            world.post("memory", Go(thread))
        return shared

    return Program(build, state=_cells)


def mailbox(*touches: Touch) -> Program[Shared]:
    """Messages to one actor."""

    def build(world: ExploredWorld) -> Shared:
        shared = world.add("memory", Shared, 1 + max(touch.cell for touch in touches))
        for touch in touches:
            world.post("memory", touch)
        return shared

    return Program(build, state=_cells)


def _cells(_: ExploredWorld, shared: Shared) -> tuple[int, ...]:
    return tuple(shared.cells.data)


def readers(n: int) -> Program[Shared]:
    """One writer, n readers: 2^n."""
    return mailbox(Touch("write"), *[Touch("read")] * n)


def writers(n: int) -> Program[Shared]:
    """n writers: n!."""
    return mailbox(*[Touch("write")] * n)


def writers_and_reader(n: int) -> Program[Shared]:
    """n writers and a reader: (n+1)!."""
    return mailbox(*[Touch("write")] * n, Touch("read"))


def mailbox_rw(reads: int, writes: int) -> Program[Shared]:
    """Reads and writes of one cell: w! (w+1)^r."""
    return mailbox(*[Touch("read")] * reads, *[Touch("write")] * writes)


def mailbox_independent(n: int) -> Program[Shared]:
    """n messages to one actor, each for a cell of its own: 1."""
    return mailbox(*(Touch("write", cell) for cell in range(n)))


def adders(adds: int, reads: int = 0, tests: int = 0) -> Program[Shared]:
    """Commuting additions, with reads or decrement-and-test among them: 1; 2^n with one; 2*3^n with two tests."""
    return mailbox(*[Touch("add")] * adds, *[Touch("read")] * reads, *[Touch("test")] * tests)


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


def grid(actors: int, messages: int) -> Program[None]:
    """So many conflicting messages to each of several actors: (k!)^a."""

    def build(world: ExploredWorld) -> None:
        for actor in range(actors):
            world.add(f"memory/{actor}", Shared, 1)
        for actor in range(actors):
            for _ in range(messages):
                world.post(f"memory/{actor}", Touch("write"))

    return Program(build)


def fifo(*counts: int) -> Program[None]:
    """Several contexts, each sending conflicting messages in order to one actor: C(k1+k2, k1)."""

    def build(world: ExploredWorld) -> None:
        world.add("memory", Shared, 1)
        for sender in range(len(counts)):
            world.add(f"sender/{sender}", Sender)
        for sender, count in enumerate(counts):
            world.post(f"sender/{sender}", Burst("memory", count))

    return Program(build)


def pingers(n: int) -> Program[None]:
    """A server counts a message of each of n clients and tells them: n!, of 2,520 interleavings at n = 4."""

    def build(world: ExploredWorld) -> None:
        world.add("server", Shared, 1)
        for client in range(n):
            world.add(f"client/{client}", Sender)
        for client in range(n):
            world.post("server", Ping(f"client/{client}"))

    return Program(build)


def chain(actors: int, tokens: int) -> Program[None]:
    """Tokens that wander through all actors in the same order and are counted at each: (k!)^n."""

    def build(world: ExploredWorld) -> None:
        route = tuple(f"stop/{actor}" for actor in range(actors))
        for stop in route:
            world.add(stop, Shared, 1)
        for _ in range(tokens):
            world.post(route[0], Token(route[1:]))

    return Program(build)


def shootdown(cpus: int) -> Program[None]:
    """An entry is flushed from all CPUs, one of which stores through it meanwhile: 3 c!; 12, 123, 2,790 orders."""

    def build(world: ExploredWorld) -> None:
        world.add("mm", Tables)
        for cpu in range(cpus):
            world.add(f"cpu/{cpu}", Tlb)
        world.post("mm", Shoot(cpus))
        world.post("cpu/0", Store())

    return Program(build)
