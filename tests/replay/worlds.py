"""Programs that go wrong in some orders, and how to find one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from random import Random
from typing import Any

from gupsim.actors.base import Actor, Column, Port, TicketLock, handles
from gupsim.protocol.message import Message
from gupsim.replay import Case, History, Recording, Sought, case_of, record, sought
from gupsim.replay.guide import Strict
from gupsim.replay.history import play
from gupsim.scenario import Loaded, kernel, load_text
from gupsim.search import Finding, Program, Runs, Violation
from gupsim.search.core import ExploredCore
from gupsim.search.guide import Guide
from gupsim.search.world import ExploredWorld

TORN = """
title: The device writes while the disk reads
machine:
  cpus: 1
  memory: 64KiB
  disks: {sda: {blocks: 16, checksums: true}}
  filesystems: {ext4: {device: sda, files: {data: {pages: 1, fill: 0x11}}}}
  devices: {nic: {}}
kernel: v4.20
threads:
  app:
    steps:
      - mmap: {as: buf, file: data}
      - store: {map: buf, value: 1}
      - pin: {as: mr, device: nic, map: buf}
      - dma_write: {pin: mr, value: 0xAA}
      - unpin: {pin: mr, dirty: true}
  flusher:
    steps:
      - writeback:
  reader:
    steps:
      - read: {file: data, length: 8}
"""
"""The disk computes a checksum, the device changes the page, the disk writes it."""


class Draws(Guide):
    """Lets the threads run by random priorities that change now and then: it finds races of a few turns."""

    def __init__(self, seed: int, changes: int = 4, events: int = 200) -> None:
        self._random = Random(seed)
        self._changes = {self._random.randrange(events) for _ in range(changes)}
        self._ranks: dict[int, float] = {}

    def choose(self, core: ExploredCore) -> int:
        mid, root = self._first(core)
        if core.count in self._changes:
            self._ranks[root] = self._random.random() - 1
            mid, _ = self._first(core)
        return mid

    def _first(self, core: ExploredCore) -> tuple[int, int]:
        roots = {mid: core.names.path(mid)[0] for mid in core.pending}
        for root in roots.values():
            self._ranks.setdefault(root, 1 + self._random.random())
        return max(roots.items(), key=lambda entry: self._ranks[entry[1]])


def first_failure(runs: Runs, seeds: Iterable[int], kind: str = "", said: str = "") -> tuple[History, Violation] | None:
    """The first execution that shows a violation, of a kind and with a word in its message if they are named."""
    for seed in seeds:
        history = play(runs, Draws(seed))
        for found in history.violations:
            if kind in {"", found.kind} and said in found.message:
                return history, found
    return None


def replayed_on(runs: Runs, history: History, target: Sought) -> History:
    """The same once more, up to the violation."""
    return play(runs, Strict(history.mids), target)


def torn() -> tuple[Loaded, Any]:
    """A small scenario that goes wrong, and its kernel."""
    loaded = load_text(TORN, "torn.yaml")
    return loaded, kernel(loaded.scenario.kernel)


@cache
def torn_recording() -> Recording:
    """An execution of that scenario which goes wrong, as a search found it."""
    loaded, chosen = torn()
    runs = Runs(case_of(loaded, chosen).program)
    # The first seed of some hundred that hits it; others follow if the model changes.
    found = first_failure(runs, range(347, 3_000), "torn-writeback", "its checksum: dma/nic changed")
    assert found is not None
    history, violation = found
    paths = [runs.names.path(mid) for mid in history.mids]
    return record(loaded, chosen, paths, violation, strategy="random", seed=7)


class Deposit(Message, frozen=True):
    """Add to the account; not in one step."""

    amount: int


class Look(Message, frozen=True):
    """Read the balance."""


class Transfer(Message, frozen=True):
    """Take two locks in this order."""

    first: int
    second: int


class Bank(Actor):
    """Loses a deposit if two overlap; two transfers against each other block for ever."""

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.balance = Column(self, "balance", "q", 1)
        self.locks = [TicketLock(self, f"account {number}") for number in range(2)]

    @handles(Deposit)
    async def deposit(self, msg: Deposit) -> None:
        before = self.balance[0]
        await self.sleep(1)
        self.balance[0] = before + msg.amount

    @handles(Look)
    def look(self, msg: Look) -> None:
        self.balance[0]

    @handles(Transfer)
    async def transfer(self, msg: Transfer) -> None:
        first, second = self.locks[msg.first], self.locks[msg.second]
        await first.acquire()
        await self.sleep(1)
        await second.acquire()
        second.release()
        first.release()


def bank(*amounts: int, transfers: tuple[tuple[int, int], ...] = (), looks: int = 0) -> Program[Bank]:
    """Deposits, transfers and looks, each in a context of its own."""

    def build(world: ExploredWorld) -> Bank:
        made = world.add("bank", Bank)
        for number, amount in enumerate(amounts):
            world.post("bank", Deposit(amount), context=f"clerk/{number}")
        for number, (first, second) in enumerate(transfers):
            world.post("bank", Transfer(first, second), context=f"teller/{number}")
        for number in range(looks):
            world.post("bank", Look(), context=f"visitor/{number}")
        return made

    def check(_: ExploredWorld, made: Bank) -> list[Finding]:
        if made.balance[0] == sum(amounts):
            return []
        return [Finding("lost-update", f"bank: {made.balance[0]} of {sum(amounts)} are left")]

    return Program(build, check)


def failing(program: Program[Any], kind: str = "", seeds: int = 200) -> tuple[Case, Runs, History, Sought]:
    """An execution of a program that goes wrong."""
    runs = Runs(program)
    found = first_failure(runs, range(seeds), kind)
    assert found is not None, "this program never goes wrong"
    history, violation = found
    target = sought(violation)
    return Case(program), runs, replayed_on(runs, history, target), target
