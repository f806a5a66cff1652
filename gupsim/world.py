"""A scenario as a world of actors, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from gupsim.actors.base.actor import Actor
from gupsim.actors.rules import KernelRules
from gupsim.actors.rules.consulted import consulted
from gupsim.engine.links import LinkSpeed
from gupsim.engine.timed import TimedWorld
from gupsim.outcomes.observables import is_about_results, observables
from gupsim.protocol import steps
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import Codec
from gupsim.protocol.director import DIRECTOR, Seen
from gupsim.protocol.flusher import StartPeriodic
from gupsim.protocol.kernel import Boot
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import Message
from gupsim.protocol.observer import Observe, ObserveContent
from gupsim.protocol.process import RunGenerator, RunThread
from gupsim.protocol.shmem import SHMEM
from gupsim.protocol.units import nanoseconds
from gupsim.protocol.workload import AnyGenerator, word
from gupsim.scenario.claims import mappings
from gupsim.scenario.gates import watched
from gupsim.scenario.model import Disk, FileSystem, Machine, Scenario, huge_pools, pages_of
from gupsim.scenario.references import RESERVED_DISK, parents, process_of

BOOT_TIME: Final = 1_000
"""Virtual ns at which threads start: boot is over by then."""


class PlacedFile(msgspec.Struct, frozen=True):
    """A file of a host. name; fs: local name of its file system; ino; pages; first_block on disk; fill: its bytes."""

    name: str
    fs: str
    disk: str
    ino: int
    pages: int
    first_block: int
    fill: int


class Plan(msgspec.Struct, frozen=True):
    """The actors of a scenario and their first messages, worked out once: a search makes thousands of such worlds.

    end: virtual ns at which generators stop, 0 without a workload. actors: address, class and arguments of each, which
    no actor changes. boots, starts, lasts: first messages by address. watches: tracepoints of which a script hears.
    rules: those that the actors read, noted when they are read.
    """

    scenario: Scenario
    end: int
    boots: tuple[tuple[str, Message], ...]
    starts: tuple[tuple[str, Message], ...]
    lasts: tuple[tuple[str, Message], ...]
    watches: tuple[str, ...]
    rules: KernelRules
    actors: list[tuple[str, type[Actor], dict[str, Any]]] = msgspec.field(default_factory=list)

    def add(self, address: str, kind: type[Actor], **options: Any) -> None:
        """One actor more."""
        self.actors.append((address, kind, options))

    def build(self, timed: TimedWorld) -> World:
        """All of them on an engine."""
        for address, kind, options in self.actors:
            timed.add(address, kind, **options)
        for name in self.watches:
            timed.core.watch(name, DIRECTOR, Seen(name))
        timed.seal()
        return World(self, timed)


class World(msgspec.Struct, frozen=True):
    """The actors of a scenario and what sets them going. timed: the engine with all actors in it."""

    plan: Plan
    timed: TimedWorld

    @property
    def scenario(self) -> Scenario:
        """What is played."""
        return self.plan.scenario

    @property
    def end(self) -> int:
        """Virtual ns at which generators stop, 0 without a workload."""
        return self.plan.end

    def boot(self) -> None:
        """Let all hosts report what is there from the beginning."""
        self._post(self.plan.boots, 0)

    def start(self) -> None:
        """Start every thread and generator, when boot is over."""
        self._post(self.plan.starts, BOOT_TIME)

    def finish(self) -> bool:
        """Once nothing happens any more: start the threads that come last. False if there are none."""
        self._post(self.plan.lasts, self.timed.now)
        return bool(self.plan.lasts)

    def _post(self, messages: tuple[tuple[str, Message], ...], at: int) -> None:
        for address, message in messages:
            self.timed.post(address, message, at)

    def look(self) -> None:
        """Once nothing happens any more: let the observers report what files hold, and the mappings of processes."""
        scenario = self.scenario
        files = tuple(
            [
                (file.name, f"h0/{file.fs}", file.ino, file.pages, f"h0/{file.disk}")
                for file in placed_files(scenario.machine)
            ]
            + [(name, f"h0/{SHMEM}", ino, pages, "") for name, ino, pages in memfds_of(scenario.machine)]
        )
        mapped = tuple((process, name, pages) for (process, name), pages in mappings(scenario).items())
        content = ObserveContent("h0", files, mapped, PAGE_SIZE // scenario.machine.chunks)
        self.timed.post("h0/observer", content, self.timed.now)

    def observe(self) -> None:
        """Once nothing happens any more: let the observers report what is in memory and on disk."""
        if is_about_results(self.scenario) and observables(self.scenario).content:
            self.look()
        for host in hosts(self.scenario.machine):
            seen = tuple(
                (file.name, f"{host}/{file.fs}", file.ino, f"{host}/{file.disk}")
                for file in placed_files(self.scenario.machine)
            )
            self.timed.post(f"{host}/observer", Observe(f"{host}/memmap", seen), self.timed.now)


def hosts(machine: Machine) -> tuple[str, ...]:
    """Names of all hosts."""
    return tuple(f"h{number}" for number in range(machine.hosts))


def placed_files(machine: Machine) -> tuple[PlacedFile, ...]:
    """All files of a host with their inode numbers (unique in a host) and blocks."""
    placed: list[PlacedFile] = []
    for fs_name, fs in machine.filesystems.items():
        block = 0
        for name, file in fs.files.items():
            ino = len(placed) + 1
            placed.append(PlacedFile(name, f"fs/{fs_name}", f"block/{fs.device}", ino, file.pages, block, file.fill))
            block += file.pages
    return tuple(placed)


def memfds_of(machine: Machine) -> tuple[tuple[str, int, int], ...]:
    """Name, inode number and pages of each memfd of a host."""
    first = len(placed_files(machine)) + 1
    return tuple((name, first + number, memfd.pages) for number, (name, memfd) in enumerate(machine.memfds.items()))


def generators(scenario: Scenario) -> dict[str, tuple[str, str, AnyGenerator]]:
    """Each generator of the workload by its name: host, process, what it does."""
    found: dict[str, tuple[str, str, AnyGenerator]] = {}
    for client in scenario.workload.generators if scenario.workload is not None else ():
        name = client.name or _numbered(word(client.work), found)
        if client.host == "*":
            for host in hosts(scenario.machine):
                found[f"{name}-{host}"] = (host, client.process or name, client.work)
        else:
            found[name] = (client.host, client.process or name, client.work)
    return found


def build(
    scenario: Scenario,
    rules: KernelRules,
    *,
    seed: int = 0,
    codec: bool = True,
    scripted: bool = True,
    engine: Callable[..., TimedWorld] = TimedWorld,
) -> World:
    """All actors of a scenario, on a timed engine.

    codec: messages cross their links as MessagePack. scripted: steps heed `after`, `until` and `delay`.
    engine: makes the engine; a node of a cluster has one of its own.
    """
    machine = scenario.machine
    speeds = [
        LinkSpeed(link.source, link.sink, nanoseconds(link.base), nanoseconds(link.spread)) for link in machine.latency
    ]
    if machine.fabric is not None:
        fabric = machine.fabric
        speeds.insert(0, LinkSpeed("fabric", "fabric", nanoseconds(fabric.base), nanoseconds(fabric.spread)))
    timed = engine(seed=seed, speeds=speeds, codec=Codec(ALL_MESSAGES) if codec else None)
    return planned(scenario, rules, scripted=scripted).build(timed)


def planned(scenario: Scenario, rules: KernelRules, *, scripted: bool = True) -> Plan:
    """What `build` builds. scripted: steps heed `after`, `until` and `delay`."""
    rules = consulted(rules)
    machine = scenario.machine
    workload = scenario.workload
    end = BOOT_TIME + nanoseconds(workload.duration) if workload is not None else 0
    plan = Plan(
        scenario,
        end,
        boots=tuple(_boots(machine)),
        starts=(*_threads(scenario, last=False), *_generators(scenario, end)),
        lasts=tuple(_threads(scenario, last=True)),
        watches=tuple(watched(scenario)) if scripted else (),
        rules=rules,
    )
    for host in hosts(machine):
        _add_memory_side(plan, host, machine, rules)
        _add_file_side(plan, host, machine, rules)
        _add_devices(plan, host, machine, rules)
        _add_open_files(plan, host, scenario, rules)
        _add_processes(plan, host, scenario, rules, scripted=scripted)
    _add_script(plan, scenario)
    return plan


def _boots(machine: Machine) -> Iterator[tuple[str, Message]]:
    for host in hosts(machine):
        for fs in machine.filesystems:
            yield f"{host}/fs/{fs}", Boot()
        for disk in _disks(machine):
            yield f"{host}/block/{disk}", Boot()


def _threads(scenario: Scenario, *, last: bool) -> Iterator[tuple[str, Message]]:
    forked = parents(scenario)
    for name, thread in sorted(scenario.threads.items()):
        place, process = process_of(name, thread)
        # Fork starts those of its child.
        if thread.last is last and (last or (place, process) not in forked):
            yield f"{place}/process/{process}", RunThread(name)


def _generators(scenario: Scenario, end: int) -> Iterator[tuple[str, Message]]:
    workload = scenario.workload
    if workload is None:
        return
    for name, (place, process, _) in sorted(generators(scenario).items()):
        yield f"{place}/process/{process}", RunGenerator(name, end)
    if workload.flush_every is not None:
        interval = nanoseconds(workload.flush_every)
        for host in hosts(scenario.machine):
            for fs in scenario.machine.filesystems:
                yield f"{host}/flusher/{fs}", StartPeriodic(interval, end)


def _add_memory_side(plan: Plan, host: str, machine: Machine, rules: KernelRules) -> None:
    from gupsim.actors.cpu import Cpu
    from gupsim.actors.memmap import Memmap
    from gupsim.actors.memory import Memory
    from gupsim.actors.mm import Mm
    from gupsim.actors.reclaim import Reclaim

    chunk = PAGE_SIZE // machine.chunks
    frames = pages_of(machine.memory)
    plan.add(f"{host}/memory", Memory, frames=frames, chunk=chunk)
    plan.add(f"{host}/memmap", Memmap, rules=rules, frames=frames, hugepages=huge_pools(machine))
    cpus = tuple(f"cpu/{number}" for number in range(machine.cpus))
    limits = machine.khugepaged
    max_ptes = (limits.max_ptes_none, limits.max_ptes_swap, limits.max_ptes_shared)
    about = {"swap": bool(machine.swap), "max_ptes": max_ptes, "dirty_limit": machine.dirty_limit}
    shape = {"levels": machine.levels, "bits": machine.table_bits}
    plan.add(f"{host}/mm", Mm, rules=rules, cpus=cpus, chunk=chunk, **about, **shape)
    for cpu in cpus:
        plan.add(f"{host}/{cpu}", Cpu, rules=rules, chunk=chunk, **shape)
    swap = {"swap_block": f"block/{RESERVED_DISK}", "swap_slots": machine.swap} if machine.swap else {}
    plan.add(f"{host}/reclaim", Reclaim, rules=rules, **swap)


def _add_file_side(plan: Plan, host: str, machine: Machine, rules: KernelRules) -> None:
    from gupsim.actors.block import Block
    from gupsim.actors.flusher import Flusher
    from gupsim.actors.fs import Ext4, FileSpec

    chunk = PAGE_SIZE // machine.chunks
    placed = placed_files(machine)
    for name, fs in machine.filesystems.items():
        disk = machine.disks[fs.device]
        plan.add(
            f"{host}/fs/{name}",
            Ext4,
            rules=rules,
            block=f"block/{fs.device}",
            chunk=chunk,
            files=tuple(
                FileSpec(file.ino, file.name, file.pages, file.first_block)
                for file in placed
                if file.fs == f"fs/{name}"
            ),
            blocks=_blocks(disk, fs),
            stable_writes=disk.stable_writes,
            dirty_limit=machine.dirty_limit,
        )
        plan.add(f"{host}/flusher/{name}", Flusher, rules=rules, fs=f"fs/{name}", chunk=chunk)
    for name, disk in _disks(machine).items():
        held = next((fs for fs in machine.filesystems.values() if fs.device == name), None)
        plan.add(
            f"{host}/block/{name}",
            Block,
            blocks=_blocks(disk, held),
            chunk=chunk,
            checksums=disk.checksums,
            chunk_time=nanoseconds(disk.chunk_time),
            served=disk.served,
            content=tuple((file.first_block, file.pages, file.fill) for file in placed if file.disk == f"block/{name}"),
        )


def _add_devices(plan: Plan, host: str, machine: Machine, rules: KernelRules) -> None:
    from gupsim.actors.dma import Dma
    from gupsim.actors.driver import Driver, Vfio
    from gupsim.actors.fabric import Fabric

    chunk = PAGE_SIZE // machine.chunks
    for name, device in machine.devices.items():
        plan.add(f"{host}/driver/{name}", Vfio if device.driver == "vfio" else Driver, rules=rules)
        plan.add(f"{host}/dma/{name}", Dma, chunk=chunk, chunk_time=nanoseconds(device.chunk_time), iommu=device.iommu)
    if machine.fabric is not None:
        plan.add(f"{host}/fabric", Fabric)


def _add_open_files(plan: Plan, host: str, scenario: Scenario, rules: KernelRules) -> None:
    """What only programs with the steps for it can reach."""
    used = {type(step) for thread in scenario.threads.values() for step in thread.steps}
    advised = {
        step.advice for thread in scenario.threads.values() for step in thread.steps if type(step) is steps.Madvise
    }
    if steps.Collapse in used or "hugepage" in advised:
        from gupsim.actors.khugepaged import Khugepaged

        plan.add(f"{host}/khugepaged", Khugepaged, rules=rules)
    if scenario.machine.memfds or any(
        type(step) is steps.Mmap and step.shared and not (step.file or step.hugetlb or step.device)
        for thread in scenario.threads.values()
        for step in thread.steps
    ):
        from gupsim.actors.fs import Shmem, ShmemSpec

        memfds = tuple(ShmemSpec(ino, pages) for _, ino, pages in memfds_of(scenario.machine))
        plan.add(f"{host}/{SHMEM}", Shmem, rules=rules, chunk=PAGE_SIZE // scenario.machine.chunks, files=memfds)
    if steps.RegisterBuffers in used:
        from gupsim.actors.uring import IoUring

        plan.add(f"{host}/io_uring", IoUring, rules=rules, chunk=PAGE_SIZE // scenario.machine.chunks)
    if steps.Vmsplice in used:
        from gupsim.actors.pipe import Pipes

        plan.add(f"{host}/pipe", Pipes, rules=rules, chunk=PAGE_SIZE // scenario.machine.chunks)


def _add_processes(plan: Plan, host: str, scenario: Scenario, rules: KernelRules, *, scripted: bool) -> None:
    from gupsim.actors.process import Process, ProcessSpec, ThreadSpec

    machine = scenario.machine
    threads: dict[str, dict[str, ThreadSpec]] = {}
    work: dict[str, dict[str, AnyGenerator]] = {}
    for name, thread in scenario.threads.items():
        place, process = process_of(name, thread)
        if place == host:
            spec = ThreadSpec(cpu=f"cpu/{thread.cpu}", steps=thread.steps, begins=thread.begins, last=thread.last)
            threads.setdefault(process, {})[name] = spec
    for name, (place, process, generator) in generators(scenario).items():
        if place == host:
            work.setdefault(process, {})[name] = generator
    forked = parents(scenario)
    for process in sorted({*threads, *work}):
        plan.add(
            f"{host}/process/{process}",
            Process,
            rules=rules,
            spec=ProcessSpec(
                name=process,
                threads=threads.get(process, {}),
                devices={name: f"driver/{name}" for name in machine.devices},
                files={
                    **{file.name: (file.fs, file.ino, file.pages) for file in placed_files(machine)},
                    **{name: (SHMEM, ino, pages) for name, ino, pages in memfds_of(machine)},
                },
                filesystems=tuple(f"fs/{name}" for name in machine.filesystems),
                generators=work.get(process, {}),
                scripted=scripted,
                hosts=hosts(machine) if machine.fabric is not None else (),
                parent=forked.get((host, process), ""),
                within=nanoseconds(scenario.within),
            ),
            chunk=PAGE_SIZE // machine.chunks,
        )


def _add_script(plan: Plan, scenario: Scenario) -> None:
    from gupsim.actors.director import Director
    from gupsim.actors.observer import Observer

    plan.add(DIRECTOR, Director)
    for host in hosts(scenario.machine):
        plan.add(f"{host}/observer", Observer)


def _disks(machine: Machine) -> dict[str, Disk]:
    """All disks, with the one that holds the swap space."""
    swap = {RESERVED_DISK: Disk(blocks=machine.swap)} if machine.swap else {}
    return {**machine.disks, **swap}


def _blocks(disk: Disk, fs: FileSystem | None) -> int:
    used = sum(file.pages for file in fs.files.values()) if fs is not None else 0
    return disk.blocks if disk.blocks is not None else max(2 * used, 1)


def _numbered(stem: str, taken: dict[str, tuple[str, str, AnyGenerator]]) -> str:
    if stem not in taken:
        return stem
    number = 2
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"
