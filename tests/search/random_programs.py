"""Random programs of actors that use all that an actor may use, and behave according to what they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from gupsim.actors.base import Actor, AskTimeout, Column, ContextDied, Map, Port, Refs, TicketLock, WaitQueue, handles
from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.actors.base.port import TaskHandle, wait
from gupsim.protocol.message import Message, Request
from gupsim.search.port import ExploredPort
from gupsim.search.program import Program
from gupsim.search.world import ExploredWorld
from tests.search.witness import Point, Witness, related

Op: TypeAlias = tuple[Any, ...]
Draw: TypeAlias = Callable[[int], int]
"""draw(n) is a number below n; 0 is the simplest."""

CELLS = 2
LOCKS = 2


class Spec:
    """A program: blocks of operations, how many actors, and (actor, block, context) of each first message."""

    def __init__(self, actors: int, blocks: list[tuple[Op, ...]], roots: list[tuple[int, int, str]]) -> None:
        self.actors = actors
        self.blocks = blocks
        self.roots = roots

    def __repr__(self) -> str:
        return f"Spec({self.actors}, {self.blocks}, {self.roots})"


class Run(Message, frozen=True):
    """Run a block; nobody waits."""

    block: int


class Call(Request["Value"], frozen=True):
    """Run a block and answer what it found."""

    block: int


class Value(Message, frozen=True):
    """What a block found."""

    value: int


class Machine(Actor):
    """Runs blocks. `logs` is not recorded: each context writes its own."""

    def __init__(self, address: str, port: Port, spec: Spec) -> None:
        super().__init__(address, port)
        self.blocks = spec.blocks
        self.cells = Column(self, "cell", "q", CELLS)
        self.table: Map[int, int] = Map(self, "table")
        self.promises: Map[int, int] = Map(self, "promise")
        self.refs = Refs(self, "refs", 1)
        self.refs.counts[0] = 2
        self.locks = [TicketLock(self, f"lock {number}") for number in range(LOCKS)]
        self.queues = [WaitQueue(self, f"queue {number}") for number in range(CELLS)]
        self.logs: dict[str, list[int | str]] = {}

    @handles(Run)
    async def run(self, msg: Run) -> None:
        await self.play(msg.block)

    @handles(Call)
    async def call(self, msg: Call) -> Value:
        return Value(await self.play(msg.block))

    async def play(self, block: int) -> int:
        return await Play(self).run(block)


class Play:
    """One context at work in one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.found = 0
        self.name = ""
        self.log: list[int | str] = []
        self.started: list[TaskHandle] = []
        self.asked: list[Any] = []
        self.held: list[TicketLock] = []
        self.promised: list[int] = []

    async def run(self, block: int) -> int:
        machine = self.machine
        # The token is the causal name of this place: logs of equivalent executions must have equal keys.
        port = machine.port
        assert isinstance(port, ExploredPort)
        self.name = f"{port.core.names.text(port.reserve())}/{block}"
        machine.logs[self.name] = self.log
        skip = 0
        for op, *args in machine.blocks[block]:
            if skip:
                skip -= 1
                continue
            if op == "unless":
                skip = 1 if self.found % 2 else 0
                continue
            step = getattr(self, op)(*args)
            if step is not None:
                await step
        self.log.append(self.found)
        self.log.append(machine.now)
        for lock in self.held:
            lock.release()
        for coroutine in self.asked:
            coroutine.close()
        return self.found

    def get(self, cell: int) -> None:
        self.found = self.found * 3 + self.machine.cells[cell]

    def put(self, cell: int, value: int) -> None:
        self.machine.cells[cell] = value or self.found % 5

    def add(self, cell: int) -> None:
        self.machine.cells.add(cell, 1)

    def insert(self, key: int) -> None:
        self.machine.table[key] = self.found % 5

    def remove(self, key: int) -> None:
        self.found = self.found * 3 + (self.machine.table.pop(key) or 0)

    def size(self) -> None:
        self.found = self.found * 3 + len(self.machine.table)

    def send(self, actor: int, block: int) -> None:
        self.machine.send(f"m/{actor}", Run(block))

    def post(self, actor: int, block: int) -> None:
        self.machine.port.send(f"m/{actor}", Run(block), after=5)

    async def ask(self, actor: int, block: int) -> None:
        self.found += (await self.machine.ask(f"m/{actor}", Call(block))).value

    async def ask_within(self, actor: int, block: int) -> None:
        try:
            self.found += (await self.machine.ask_within(5, f"m/{actor}", Call(block))).value
        except AskTimeout:
            self.found += 100

    async def ask_all(self, actor: int, block: int, other: int, block2: int) -> None:
        both = await self.machine.ask_all([(f"m/{actor}", Call(block)), (f"m/{other}", Call(block2))])
        self.found += both[0].value + 7 * both[1].value

    def ask_first(self, actor: int, block: int) -> None:
        self.asked.append(self.machine.ask(f"m/{actor}", Call(block)))

    async def fetch(self) -> None:
        if self.asked:
            self.found += (await self.asked.pop(0)).value

    async def lock(self, number: int) -> None:
        await self.machine.locks[number].acquire()
        self.held.append(self.machine.locks[number])

    async def share(self, number: int) -> None:
        await self.machine.locks[number].acquire(shared=True)
        self.held.append(self.machine.locks[number])

    def trylock(self, number: int) -> None:
        got = self.machine.locks[number].try_acquire()
        self.found += 10 * got
        if got:
            self.held.append(self.machine.locks[number])

    def tryshare(self, number: int) -> None:
        got = self.machine.locks[number].try_acquire(shared=True)
        self.found += 10 * got
        if got:
            self.held.append(self.machine.locks[number])

    def look(self, number: int) -> None:
        self.found += 10 * self.machine.locks[number].held

    def unlock(self) -> None:
        if self.held:
            self.held.pop().release()

    async def pause(self) -> None:
        await self.machine.sleep(3)

    async def wait_for(self, cell: int) -> None:
        while self.machine.cells[cell] == 0:
            await self.machine.queues[cell].sleep()

    def wake(self, cell: int) -> None:
        self.machine.cells[cell] = 1
        self.machine.queues[cell].wake_all()

    def start(self, block: int) -> None:
        self.started.append(self.machine.start(self.machine.play(block)))

    def cancel(self) -> None:
        if self.started:
            self.started[0].cancel()

    def ended(self) -> None:
        if self.started:
            self.found += 10 * self.started[0].done

    def promise(self, number: int) -> None:
        token = self.machine.port.reserve()
        self.promised.append(token)
        self.machine.promises[number] = token

    def fulfil(self, number: int) -> None:
        token = self.machine.promises.pop(number)
        if token is not None:
            self.machine.port.wake(token, self.found % 5)

    async def expect(self) -> None:
        if self.promised:
            self.found += await wait(self.promised.pop(0))

    def take(self) -> None:
        self.machine.refs.get(0, 1, self.machine.port.context)

    def give(self) -> None:
        if self.machine.refs.put(0, 1, self.machine.port.context):
            self.log.append("freed")

    def drop(self) -> None:
        if self.machine.refs.put(0, 1):
            self.log.append("dropped")

    def freeze(self, _: int, expected: int) -> None:
        if self.machine.refs.read(0) == expected:
            self.machine.refs.set(0, 0)
            self.log.append("frozen")

    def where(self) -> None:
        self.log += [self.machine.port.context, self.machine.now, self.machine.random.randrange(1000)]

    def say(self, about: int, how: int) -> None:
        mode = (WRITE, READ, COMMUTE, WRITE)[how]
        self.machine.trace(Point(about, mode, self.name + "+" * (self.found % 3)))

    def die(self) -> None:
        raise ContextDied

    def fail(self) -> None:
        raise ValueError(f"found {self.found}")


# name*weight, by number of arguments: an object; an object and a value.
_SIMPLE = (
    "unless*2 size pause*3 unlock*3 cancel*2 ended expect*2 take*2 give*2 drop fetch*2 where die fail",
    "get*6 add*3 insert*2 remove*2 lock*3 share*2 trylock*2 tryshare look wait_for*2 wake*2 promise*2 fulfil*2",
    "put*5 freeze say*3",
)
_CALLS = "send*4 post ask*3 ask_within*2 ask_first*2 start*2 ask_all"


def _bag(words: str) -> list[str]:
    return [
        name for name, _, weight in (word.partition("*") for word in words.split()) for _ in range(int(weight or 1))
    ]


_CALL_BAG = _bag(_CALLS)
_BAG = [(name, arguments) for arguments, words in enumerate(_SIMPLE) for name in _bag(words)]


def random_spec(draw: Draw) -> Spec:
    """A program that ends: a block calls only later blocks."""
    actors = 1 + draw(2)
    count = 2 + draw(4)
    blocks = []
    for number in range(count):
        later = count - number - 1
        ops: list[Op] = []
        for _ in range(1 + draw(4)):
            if later and draw(4) == 0:
                name = _CALL_BAG[draw(len(_CALL_BAG))]
                target = (draw(actors), number + 1 + draw(later))
                if name == "start":
                    ops.append((name, target[1]))
                elif name == "ask_all":
                    ops.append((name, *target, draw(actors), number + 1 + draw(later)))
                else:
                    ops.append((name, *target))
            else:
                name, arguments = _BAG[draw(len(_BAG))]
                # Most things happen to object 0: without conflicts there is nothing to compare.
                which = [int(draw(4) == 3)] if arguments else []
                ops.append((name, *which, *(draw(4) for _ in range(arguments - 1))))
        blocks.append(tuple(ops))
    roots = [
        (draw(3) // 2 % actors, draw(min(4, count)), ("", f"t{number}", "t0")[draw(3)]) for number in range(2 + draw(2))
    ]
    return Spec(actors, blocks, roots)


def program(spec: Spec) -> Program[tuple[list[Machine], Witness]]:
    """The program of a spec."""

    def build(world: ExploredWorld) -> tuple[list[Machine], Witness]:
        witness = Witness()
        world.on_tracepoint(witness.read)
        world.relate(related)
        machines = [world.add(f"m/{number}", Machine, spec) for number in range(spec.actors)]
        for actor, block, context in spec.roots:
            world.post(f"m/{actor}", Run(block), context=context)
        return machines, witness

    return Program(build, state=_final, max_events=60)


def _final(world: ExploredWorld, built: tuple[list[Machine], Witness]) -> tuple[Any, ...]:
    machines, witness = built
    state: list[Any] = [tuple(witness.values), tuple(sorted(witness.seen))]
    for machine in machines:
        logs = tuple(sorted((name, tuple(log)) for name, log in machine.logs.items()))
        table = tuple(sorted(machine.table._data.items()))
        waiting = tuple(sorted(task.context + task.handler for task in world.core.waiting_tasks()))
        state.append((tuple(machine.cells.data), table, machine.refs.counts[0], logs, waiting))
    return tuple(state)
