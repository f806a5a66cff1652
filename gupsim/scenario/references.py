"""Names in a scenario that must stand for something: devices, files, mappings, pins, processes, kernels."""

from __future__ import annotations

from collections.abc import Iterable

from gupsim.protocol import steps, workload
from gupsim.protocol.units import UnitError, duration, nanoseconds
from gupsim.report.metrics import Metrics
from gupsim.scenario.choices import (
    ChoiceError,
    expected_kernel,
    find_era,
    find_platform,
    find_policy,
    find_value,
    kernel,
)
from gupsim.scenario.claims import check_claim, check_observable, claim_text
from gupsim.scenario.errors import FieldError, Path, unknown
from gupsim.scenario.model import (
    MAX_FRAMES,
    MAX_TIME,
    MIN_FRAMES,
    Client,
    Expectation,
    Machine,
    Scenario,
    Thread,
    huge_pools,
    pages_of,
)

METRICS = tuple(Metrics().values())
"""What a scenario can ask to have reported."""

LEAST_ADDRESS_BITS = 3
"""Page numbers of fewer bits leave a program less than 4 pages, its half of them: no room for a huge page."""

RESERVED_DISK = "swap"
"""Name of the disk that `swap` makes."""

RESERVED_FS = "tmpfs"
"""Name of the file system of memfds and of shared anonymous memory."""


def check_references(scenario: Scenario) -> None:
    """FieldError for the first name that stands for nothing."""
    if not scenario.threads and scenario.workload is None:
        raise FieldError("nothing happens here: neither threads nor a workload")
    _check_kernels(scenario)
    _check_machine(scenario.machine)
    for name, thread in scenario.threads.items():
        _check_place(scenario.machine, thread.host, thread.cpu, "threads", name)
        for number, step in enumerate(thread.steps):
            _check_step(scenario, step, ("threads", name, "steps", number, steps.word(step)))
        _check_names(scenario, name)
    if scenario.workload is not None:
        _check_workload(scenario)
    for number, metric in enumerate(scenario.metrics):
        _known(metric, "metric", METRICS, ("metrics", number))


def process_of(name: str, thread: Thread) -> tuple[str, str]:
    """Host and process in which a thread runs."""
    return thread.host, thread.process or name


def parents(scenario: Scenario) -> dict[tuple[str, str], str]:
    """Host and name of each process that fork makes, with the process that forks it."""
    return {
        (place, step.child): process
        for name, thread in scenario.threads.items()
        for place, process in [process_of(name, thread)]
        for step in thread.steps
        if isinstance(step, steps.Fork)
    }


def families(scenario: Scenario) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Each process with itself and those whose mappings and pins it inherits."""
    return {place: _family(scenario, place) for place in map(process_of, scenario.threads, scenario.threads.values())}


def files_of(machine: Machine) -> dict[str, str]:
    """Each file with its file system."""
    return {file: name for name, fs in machine.filesystems.items() for file in fs.files}


def _known(name: str, kind: str, valid: Iterable[str], path: Path, *fields: str | int) -> None:
    names = list(valid)
    if name not in names:
        raise FieldError(unknown(kind, name, names, f"the machine has no {kind}"), *path, *fields)


def _check_kernels(scenario: Scenario) -> None:
    field: Path = ("kernel",)
    try:
        era = find_era(scenario.kernel)
        field = ("platform",)
        find_platform(scenario.platform, era)
        for number, policy in enumerate(scenario.policies):
            field = ("policies", number)
            find_policy(policy)
        for rule, value in scenario.rules.items():
            field = ("rules", rule)
            find_value(rule, value)
        field = ("policies",)
        kernel(era, scenario.policies, tuple(scenario.rules.items()), platform=scenario.platform)
        for text in scenario.expectations:
            field = ("expectations", text)
            expected_kernel(scenario, text)
    except ChoiceError as error:
        raise FieldError(str(error), *field) from None
    for text, expected in scenario.expectations.items():
        _check_expectation(scenario, text, expected)
    for number, name in enumerate(scenario.outcomes):
        check_observable(scenario, name, ("outcomes", number))
    _check_vacuous(scenario)


def _check_expectation(scenario: Scenario, text: str, expected: Expectation) -> None:
    path: Path = ("expectations", text)
    for field in ("reachable", "unreachable"):
        for number, claim in enumerate(getattr(expected, field)):
            check_claim(scenario, claim, (*path, field, number))
    both = sorted({*map(claim_text, expected.reachable)} & {*map(claim_text, expected.unreachable)})
    if both:
        raise FieldError(f"{both[0]!r} is expected both reachable and unreachable", *path)
    _check_vacuous(expected, *path)


def _check_vacuous(part: Scenario | Expectation, *path: str | int) -> None:
    if part.vacuous == "allowed" and not part.reason.strip():
        raise FieldError("give a 'reason' why a proof is good although something was never tried", *path, "vacuous")
    if part.reason and part.vacuous != "allowed":
        raise FieldError("is a reason for 'vacuous: allowed', which is not given", *path, "reason")


def _check_machine(machine: Machine) -> None:
    if not MIN_FRAMES <= pages_of(machine.memory) <= MAX_FRAMES:
        raise FieldError(f"{machine.memory} is out of range: from 64KiB to 64GiB", "machine", "memory")
    pools = sum(count << order for order, count in huge_pools(machine))
    if pools > pages_of(machine.memory) // 2:
        problem = f"the huge pages take {pools} of {pages_of(machine.memory)} pages: at most half of the memory"
        raise FieldError(problem, "machine", "hugepages" if machine.hugepages else "gigantic_pages")
    if machine.levels * machine.table_bits < LEAST_ADDRESS_BITS:
        problem = (
            f"{machine.levels} levels of {machine.table_bits} bit(s) leave a program"
            f" {1 << (machine.levels * machine.table_bits - 1)} page(s): levels * table_bits must be"
            f" {LEAST_ADDRESS_BITS} or more"
        )
        raise FieldError(problem, "machine", "table_bits")
    owner: dict[str, str] = {}
    used: dict[str, str] = {}
    for name, fs in machine.filesystems.items():
        path = ("machine", "filesystems", name)
        if name == RESERVED_FS:
            raise FieldError("every machine has a file system of this name itself", *path)
        _known(fs.device, "disk", machine.disks, path, "device")
        if fs.device in used:
            raise FieldError(f"disk {fs.device!r} already holds {used[fs.device]!r}", *path, "device")
        used[fs.device] = name
        for file in fs.files:
            if file in owner:
                raise FieldError(f"a file {file!r} is already on {owner[file]!r}", *path, "files", file)
            owner[file] = name
            if file in machine.memfds:
                raise FieldError(f"a file {file!r} is already a memfd", *path, "files", file)
        blocks = machine.disks[fs.device].blocks
        pages = sum(file.pages for file in fs.files.values())
        if blocks is not None and pages > blocks:
            problem = f"its files take {pages} blocks, its disk {fs.device!r} has {blocks}"
            raise FieldError(problem, *path, "files")
    if machine.swap and RESERVED_DISK in machine.disks:
        raise FieldError("the swap space makes a disk of this name itself", "machine", "disks", RESERVED_DISK)
    for number, link in enumerate(machine.latency):
        if nanoseconds(link.base) < 1:
            raise FieldError("a message takes at least 1ns", "machine", "latency", number, "base")


def _check_place(machine: Machine, host: str, cpu: int, *path: str | int) -> None:
    _known(host, "host", (f"h{number}" for number in range(machine.hosts)), path, "host")
    if cpu >= machine.cpus:
        problem = f"no cpu {cpu}: the machine has {machine.cpus}, numbered from 0"
        raise FieldError(problem, *path, "cpu")


def _check_step(scenario: Scenario, step: steps.Step, path: Path) -> None:
    machine = scenario.machine
    _check_file(machine, step, path)
    if isinstance(step, steps.Pin):
        _known(step.device, "device", machine.devices, path, "device")
        if step.times > 1 and step.pages != 1:
            raise FieldError("many times is for one page", *path, "times")
    if isinstance(step, steps.Mmap) and step.device:
        _known(step.device, "device", machine.devices, path, "device")
        if step.file or step.hugetlb:
            raise FieldError("memory of a driver is neither a file nor huge pages", *path, "device")
    if isinstance(step, steps.Mmap) and step.backing == "registers" and not step.device:
        raise FieldError("whose registers? Give a device", *path, "backing")
    if isinstance(step, (steps.Sync, steps.Writeback)):
        if step.fs:
            _known(step.fs, "file system", machine.filesystems, path, "fs")
        elif len(machine.filesystems) != 1:
            names = ", ".join(machine.filesystems) or "none"
            raise FieldError(f"which file system? The machine has {names}", *path, "fs")
    if isinstance(step, steps.Fork):
        _check_fork(scenario, step, path)
    if isinstance(step, steps.Signal):
        processes = {process_of(name, other)[1] for name, other in scenario.threads.items()}
        _known(step.process, "process", sorted(processes), path, "process")
    if isinstance(step, steps.Waitpid):
        children = _children(scenario, str(path[1]))
        if step.child not in children:
            problem = unknown("child", step.child, children, "no step of this process forks one")
            raise FieldError(problem, *path, "child")
    if isinstance(step, steps.Serve):
        served = [name for name, disk in machine.disks.items() if disk.served]
        _known(step.disk, "served disk", served, path, "disk")
    if isinstance(step, steps.ProcessVm):
        processes = {process_of(name, other)[1] for name, other in scenario.threads.items()}
        _known(step.target, "process", sorted(processes), path, "target")


def _check_file(machine: Machine, step: steps.Step, path: Path) -> None:
    if isinstance(step, steps.Mmap) and not step.file:
        return
    if isinstance(step, steps.Seal):
        _known(step.file, "memfd", machine.memfds, path, "file")
    elif hasattr(step, "file"):
        _known(step.file, "file", {**files_of(machine), **machine.memfds}, path, "file")


def _check_fork(scenario: Scenario, step: steps.Fork, path: Path) -> None:
    """The child has threads of its own on this host, and one step alone forks it, which is none of its own."""
    thread = str(path[1])
    host, process = process_of(thread, scenario.threads[thread])
    places = [process_of(name, other) for name, other in scenario.threads.items()]
    others = sorted({name for place, name in places if place == host and name != process})
    _known(step.child, "process", others, path, "child")
    forks = [
        other
        for name, each in scenario.threads.items()
        if process_of(name, each)[0] == host
        for other in each.steps
        if isinstance(other, steps.Fork) and other.child == step.child
    ]
    if len(forks) > 1:
        raise FieldError(f"two steps fork process {step.child!r}", *path, "child")
    forked = parents(scenario)
    ancestor = process
    for _ in forked:
        ancestor = forked.get((host, ancestor), "")
        if ancestor == step.child:
            raise FieldError(f"process {step.child!r} is an ancestor of process {process!r}", *path, "child")


def _children(scenario: Scenario, thread: str) -> list[str]:
    """Processes that the process of a thread forks."""
    host, process = process_of(thread, scenario.threads[thread])
    return sorted(child for (place, child), parent in parents(scenario).items() if (place, parent) == (host, process))


def _family(scenario: Scenario, process: tuple[str, str]) -> set[tuple[str, str]]:
    """A process and those whose mappings and pins it inherits."""
    forked = parents(scenario)
    family = {process}
    while process in forked:
        process = (process[0], forked[process])
        family.add(process)
    return family


def _check_names(scenario: Scenario, thread: str) -> None:
    """Mappings and pins are made by an earlier step of the process, in this thread or in one that races with it, or by
    a process that it was forked from."""
    process = process_of(thread, scenario.threads[thread])
    family = _family(scenario, process)
    made = {
        made
        for name, other in scenario.threads.items()
        if name != thread and process_of(name, other) in family
        for made in map(_made, other.steps)
        if made is not None
    }
    own = scenario.threads[thread].steps
    for number, step in enumerate(own):
        for kind in ("map", "pin"):
            name = getattr(step, kind, None)
            if name is None or (kind, name) in made:
                continue
            if (kind, name) in map(_made, own[number:]):
                problem = f"{kind} {name!r} is made only by a later step"
            else:
                known = sorted(known for other, known in made if other == kind)
                nothing = f"no earlier step of process {process[1]!r} makes one with '{kind}: {{as: {name}, ...}}'"
                problem = unknown(kind, name, known, nothing.replace("map:", "mmap:"))
            raise FieldError(problem, "threads", thread, "steps", number, steps.word(step), kind)
        new = _made(step)
        if new is not None:
            made.add(new)


def _made(step: steps.Step) -> tuple[str, str] | None:
    """What a step gives a name to."""
    if isinstance(step, steps.Mmap):
        return "map", step.name
    if isinstance(step, steps.Mremap) and step.name:
        return "map", step.name
    if isinstance(step, (steps.Pin, steps.RegisterBuffers, steps.Vmsplice)):
        return "pin", step.name
    return None


def _check_workload(scenario: Scenario) -> None:
    assert scenario.workload is not None
    names: set[str] = set()
    for number, client in enumerate(scenario.workload.generators):
        path: Path = ("workload", "generators", number)
        word = workload.word(client.work)
        if client.name in names:
            raise FieldError(f"another generator is named {client.name!r}", *path, "name")
        if client.name:
            names.add(client.name)
        host = "h0" if client.host == "*" else client.host
        _check_place(scenario.machine, host, 0, *path)
        _check_place(scenario.machine, host, client.work.cpu, *path, word)
        _check_work(scenario.machine, client, (*path, word))


def _check_work(machine: Machine, client: Client, path: Path) -> None:
    work = client.work
    if isinstance(work, (workload.DirectIo, workload.FsyncCycle)):
        _known(work.file, "file", files_of(machine), path, "file")
    if isinstance(work, workload.RdmaRegistration):
        _known(work.device, "device", machine.devices, path, "device")
        if work.file:
            _known(work.file, "file", files_of(machine), path, "file")
    if isinstance(work, workload.RemoteWrite):
        _known(work.device, "device", machine.devices, path, "device")
        if machine.fabric is None or machine.hosts < 2:
            raise FieldError("needs a machine with a fabric and two hosts or more", *path)
    if isinstance(work, workload.DirectIo) and work.buffer:
        _known(work.buffer, "file", files_of(machine), path, "buffer")
    for field in ("every", "start", "hold", "pages", "writes"):
        value = getattr(work, field, None)
        try:
            if field in {"every", "start", "hold"} and value is not None:
                if workload.bounds_ns(value)[1] > MAX_TIME:
                    raise FieldError(f"{value} is too long: at most {duration(MAX_TIME)}", *path, field)
            elif value is not None:
                workload.bounds_pages(value)
        except UnitError as error:
            raise FieldError(str(error), *path, field) from None
