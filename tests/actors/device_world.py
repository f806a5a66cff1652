"""A whole machine with two devices, played by processes: for tests of process, driver, DMA engine and observer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from gupsim.actors.block import Block
from gupsim.actors.cpu import Cpu
from gupsim.actors.director import Director
from gupsim.actors.dma import Dma
from gupsim.actors.driver import Driver
from gupsim.actors.flusher import Flusher
from gupsim.actors.fs import Ext4, FileSpec
from gupsim.actors.memmap import Memmap
from gupsim.actors.memory import Memory
from gupsim.actors.mm import Mm
from gupsim.actors.observer import Observer
from gupsim.actors.process import Process, ProcessSpec, ThreadSpec
from gupsim.actors.reclaim import Reclaim
from gupsim.actors.rules import ERAS, KernelRules
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import Codec
from gupsim.protocol.director import Seen
from gupsim.protocol.kernel import Boot
from gupsim.protocol.memmap import PageGet, PagePut
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.observer import Observe
from gupsim.protocol.process import RunGenerator, RunThread, StepEnd
from gupsim.protocol.steps import AnyStep, Fork
from gupsim.protocol.workload import AnyGenerator

CHUNK = 2048
FILE_PAGES = 4
T = TypeVar("T", bound=Tracepoint)


def step(word: str, **fields: Any) -> AnyStep:
    """A step as a scenario file writes it; `name` stands for the key `as`."""
    if "name" in fields:
        fields["as"] = fields.pop("name")
    made: AnyStep = msgspec.convert({"op": word, **fields}, AnyStep)
    return made


class Machine:
    """Host h0: file `data` (4 pages of 0x11) on fs/ext4 and block/sda, devices nic and gpu, two CPUs.

    threads: name -> steps, each on its own CPU; all of process `app`, or of the process in the name, "other:t1".
    """

    def __init__(
        self,
        era: str = "v6.12",
        *,
        generators: dict[str, AnyGenerator] | None = None,
        watch: Sequence[str] = (),
        scripted: bool = True,
        seed: int = 0,
        frames: int = 128,
        rules: dict[str, Any] | None = None,
        **threads: Sequence[AnyStep],
    ) -> None:
        kernel: KernelRules = msgspec.structs.replace(ERAS[era][0], **(rules or {}))
        self.world = TimedWorld(codec=Codec(ALL_MESSAGES), seed=seed)
        self.seen: list[Tracepoint] = []
        self.times: list[int] = []
        self.world.on_tracepoint(self._note)
        add = self.world.add
        add("h0/memory", Memory, frames=frames, chunk=CHUNK)
        self.memmap = add("h0/memmap", Memmap, rules=kernel, frames=frames)
        add("h0/mm", Mm, rules=kernel, cpus=("cpu/0",), chunk=CHUNK)
        add("h0/reclaim", Reclaim, rules=kernel)
        for number in range(2):
            add(f"h0/cpu/{number}", Cpu, rules=kernel, chunk=CHUNK)
        files = (FileSpec(1, "data", FILE_PAGES, 0),)
        add(
            "h0/fs/ext4",
            Ext4,
            rules=kernel,
            block="block/sda",
            chunk=CHUNK,
            files=files,
            blocks=16,
            stable_writes=False,
        )
        add("h0/flusher/ext4", Flusher, rules=kernel, fs="fs/ext4", chunk=CHUNK)
        content = ((0, FILE_PAGES, 0x11),)
        add("h0/block/sda", Block, blocks=16, chunk=CHUNK, checksums=False, chunk_time=2_000, content=content)
        self.drivers = {name: add(f"h0/driver/{name}", Driver, rules=kernel) for name in ("nic", "gpu")}
        for name in self.drivers:
            add(f"h0/dma/{name}", Dma, chunk=CHUNK, chunk_time=1_000)
        add("h0/director", Director)
        add("h0/observer", Observer)
        self.threads = threads
        self._add_processes(kernel, generators or {}, scripted=scripted)
        self.world.seal()
        for name in watch:
            self.world.core.watch(name, "h0/director", Seen(name))

    def run(self, *, until: int = 0, stuck: int = 0) -> Machine:
        """Boot, run all threads and generators to their ends. until: end of the workload; stuck: contexts left."""
        for address in ("h0/fs/ext4", "h0/block/sda"):
            self.world.post(address, Boot())
        for name in self.threads:
            process, _, _ = name.rpartition(":")
            if process not in self.parents:
                self.world.post(f"h0/process/{process or 'app'}", RunThread(name), 1_000)
        for name in self.generators:
            self.world.post("h0/process/app", RunGenerator(name, until), 1_000)
        self.world.run_all(2_000_000)
        assert self.world.report_stuck() == stuck, [point.say() for point in self.seen[-5:]]
        return self

    def observe(self) -> Machine:
        """Let the observer look at the end."""
        self.world.post("h0/observer", Observe("h0/memmap", (("data", "h0/fs/ext4", 1, "h0/block/sda"),)))
        self.world.run_all(100_000)
        return self

    def _note(self, _: object, point: Tracepoint) -> None:
        self.seen.append(point)
        self.times.append(self.world.now)

    def of(self, kind: type[T]) -> list[T]:
        """All tracepoints of one kind."""
        return [point for point in self.seen if isinstance(point, kind)]

    def results(self, thread: str = "app") -> list[str]:
        """What each step of a thread ended with."""
        return [point.result for point in self.of(StepEnd) if point.thread == thread]

    def time_of(self, point: Tracepoint) -> int:
        """When a tracepoint was emitted, in virtual ns."""
        return self.times[next(number for number, other in enumerate(self.seen) if other is point)]

    def held_by_drivers(self) -> dict[tuple[int, str, str], int]:
        """References by page, kind and holder that drivers still have."""
        held: dict[tuple[int, str, str], int] = {}
        for point in self.seen:
            if isinstance(point, PageGet | PagePut) and point.holder.startswith("driver/"):
                key = (point.pfn, point.kind, point.holder)
                held[key] = held.get(key, 0) + (point.amount if isinstance(point, PageGet) else -point.amount)
        return {key: amount for key, amount in held.items() if amount}

    def _add_processes(self, kernel: KernelRules, generators: dict[str, AnyGenerator], *, scripted: bool) -> None:
        self.generators = generators
        self.parents = {
            each.child: name.rpartition(":")[0] or "app"
            for name, steps in self.threads.items()
            for each in steps
            if isinstance(each, Fork)
        }
        processes: dict[str, dict[str, ThreadSpec]] = {"app": {}}
        for number, (name, steps) in enumerate(self.threads.items()):
            process, _, _ = name.rpartition(":")
            processes.setdefault(process or "app", {})[name] = ThreadSpec(f"cpu/{number % 2}", tuple(steps))
        for process, threads in processes.items():
            spec = ProcessSpec(
                name=process,
                threads=threads,
                devices={name: f"driver/{name}" for name in self.drivers},
                files={"data": ("fs/ext4", 1, FILE_PAGES)},
                filesystems=("fs/ext4",),
                generators=generators if process == "app" else {},
                scripted=scripted,
                parent=self.parents.get(process, ""),
            )
            self.world.add(f"h0/process/{process}", Process, rules=kernel, spec=spec, chunk=CHUNK)
