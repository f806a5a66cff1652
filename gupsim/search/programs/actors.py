"""The actors of the small programs: memory cells with threads over them, senders, a TLB shootdown."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from gupsim.actors.base import Actor, Column, Port, handles
from gupsim.protocol.message import Message

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
