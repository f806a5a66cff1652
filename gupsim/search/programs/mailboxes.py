"""Messages to one actor or several, which conflict or do not."""

from __future__ import annotations

from gupsim.search.program import Program
from gupsim.search.programs.actors import Burst, Ping, Sender, Shared, Shoot, Store, Tables, Tlb, Token, Touch
from gupsim.search.world import ExploredWorld


def mailbox(*touches: Touch) -> Program[Shared]:
    """Messages to one actor."""

    def build(world: ExploredWorld) -> Shared:
        shared = world.add("memory", Shared, 1 + max(touch.cell for touch in touches))
        for touch in touches:
            world.post("memory", touch)
        return shared

    return Program(build, state=cells_of)


def cells_of(_: ExploredWorld, shared: Shared) -> tuple[int, ...]:
    """What the cells hold: the final state of most of these programs."""
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
