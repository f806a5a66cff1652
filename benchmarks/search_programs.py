"""The programs on which the search is measured, beyond those of `gupsim.search.programs`."""

from __future__ import annotations

from gupsim.actors.base import Actor, Column, Port, handles
from gupsim.protocol.message import Message, Request
from gupsim.search.program import Program
from gupsim.search.world import ExploredWorld

PTE, ACKS, FREED = 0, 1, 2
SERVER = "server"


class Go(Message, frozen=True):
    """Begin."""


class Flush(Message, frozen=True):
    """Forget the translation, then acknowledge."""


class Ack(Message, frozen=True):
    """One CPU has flushed."""


class Walk(Message, frozen=True):
    """Look whether the page is mapped, and whether it is free already."""


class Memory(Actor):
    """Unmaps a page, tells all CPUs, and frees it when the last has acknowledged."""

    def __init__(self, address: str, port: Port, cpus: int) -> None:
        super().__init__(address, port)
        self.cells = Column(self, "cell", "q", 3)
        self.cpus = cpus

    @handles(Go)
    def unmap(self, msg: Go) -> None:
        self.cells[PTE] = 1
        for cpu in range(self.cpus):
            self.send(f"cpu/{cpu}", Flush())

    @handles(Ack)
    def ack(self, msg: Ack) -> None:
        self.cells[ACKS] += 1
        if self.cells[ACKS] == self.cpus:
            self.cells[FREED] = 1

    @handles(Walk)
    def walk(self, msg: Walk) -> None:
        assert self.cells[PTE] or not self.cells[FREED]


class Cpu(Actor):
    """Has a TLB."""

    @handles(Flush)
    def flush(self, msg: Flush) -> None:
        self.send("memory", Ack())


def shootdown(cpus: int) -> Program[None]:
    """A page is unmapped while somebody walks: before, during or after, with the acks in any order: 3 c!."""

    def build(world: ExploredWorld) -> None:
        world.add("memory", Memory, cpus)
        for cpu in range(cpus):
            world.add(f"cpu/{cpu}", Cpu)
        world.post("memory", Go())
        world.post("memory", Walk())

    return Program(build)


class Served(Message, frozen=True):
    """Served as number `number`."""

    number: int


class Serve(Request[Served], frozen=True):
    """Client `who` asks once more."""

    who: int


class Server(Actor):
    """Keeps who asked, in order."""

    def __init__(self, address: str, port: Port, requests: int) -> None:
        super().__init__(address, port)
        self.count = Column(self, "count", "q", 1)
        self.order = Column(self, "order", "b", requests)

    @handles(Serve)
    def serve(self, msg: Serve) -> Served:
        number = self.count[0]
        self.order[number] = msg.who
        self.count[0] = number + 1
        return Served(number + 1)


class Client(Actor):
    """Asks so many times."""

    def __init__(self, address: str, port: Port, who: int, times: int) -> None:
        super().__init__(address, port)
        self.who = who
        self.times = times

    @handles(Go)
    async def go(self, msg: Go) -> None:
        for asked in range(self.times):
            served = await self.ask(SERVER, Serve(self.who))
            assert served.number > asked


def race(clients: int, times: int) -> Program[None]:
    """Clients ask a server that keeps who asked: (n k)! / (k!)^n orders. The same as race.pml."""

    def build(world: ExploredWorld) -> None:
        world.add(SERVER, Server, clients * times)
        for who in range(clients):
            world.add(f"client/{who}", Client, who, times)
        for who in range(clients):
            world.post(f"client/{who}", Go())

    return Program(build)
