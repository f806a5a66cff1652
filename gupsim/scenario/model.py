"""What a scenario file says, as frozen structs: this is the schema of the files."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

import msgspec

from gupsim.protocol.steps import AnyStep, Byte, Count, Name
from gupsim.protocol.units import Duration
from gupsim.protocol.workload import AnyGenerator

MAX_TIME = 10**15
"""Longest time in a scenario, in ns: 11 days. All times of a history must fit in 64 bits."""

SIZE_PATTERN = r"^[0-9]{1,6}(KiB|MiB|GiB)$"
Size = Annotated[str, msgspec.Meta(pattern=SIZE_PATTERN, examples=["64MiB"])]
MIN_FRAMES, MAX_FRAMES = 16, 1 << 24
Frames = Annotated[int, msgspec.Meta(ge=MIN_FRAMES, le=MAX_FRAMES)]
Memory: TypeAlias = Frames | Size
ActorName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,39}$")]
"""Name of something that becomes part of an actor's address: lower case."""
HostName = Annotated[str, msgspec.Meta(pattern=r"^(\*|[a-z][a-z0-9_.-]{0,39})$")]
"""A host, or "*" for every host."""
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Pattern = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_.*?/\[\]-]{1,60}$")]
Blocks = Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
Kind = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z-]{0,39}$")]
"""A kind of violation that some checker reports."""
Value: TypeAlias = int | str
"""What a step returned, or a byte: a number, the name of an errno, "ok", a signal."""
Given: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)] | Line
Observed = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_./:-]{0,80}$")]
"""Name of a result, or of a place: "again", "app:3"; "data", "data:1", "app/buf:0"."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all parts of a scenario."""


class Source(Part, frozen=True, kw_only=True):
    """Where it comes from. seed: numbers of the seed documents; commit, cve: identifiers; url: a page."""

    seed: tuple[Annotated[int, msgspec.Meta(ge=1, le=99)], ...] = ()
    commit: tuple[Line, ...] = ()
    cve: tuple[Annotated[str, msgspec.Meta(pattern=r"^CVE-[0-9]{4}-[0-9]{4,}$")], ...] = ()
    url: tuple[Line, ...] = ()


class File(Part, frozen=True, kw_only=True):
    """A file that is on the disk at boot: `pages` pages, every byte `fill`."""

    pages: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1
    fill: Byte = 0


class Memfd(Part, frozen=True, kw_only=True):
    """A file of tmpfs, of `pages` pages that nobody has touched; every process has it open."""

    pages: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 1


class FileSystem(Part, frozen=True, kw_only=True):
    """An ext4-like file system. device: name of its disk. Steps name its files by their bare names."""

    device: ActorName
    files: dict[Name, File] = {}


class Disk(Part, frozen=True, kw_only=True):
    """A block device of `blocks` blocks of one page (default: as many as its files need, and as many again).

    checksums: it computes a guard tag from live memory before each write and checks it on each read.
    stable_writes: it asks that pages under writeback do not change. chunk_time: to move one chunk of a page.
    served: a program stands behind it, and each request stays in flight until a step `serve` answers it.
    """

    blocks: Blocks | None = None
    checksums: bool = False
    stable_writes: bool = False
    chunk_time: Duration = "2us"
    served: bool = False


class Device(Part, frozen=True, kw_only=True):
    """A device with its driver and one DMA engine. chunk_time: to move one chunk of a page. iommu: it reaches memory
    through one, which stops what the driver did not map for it. driver: "vfio" pins for a long time, looks up what has
    no pages, and gives back nothing that is reserved; a plain one does what the steps say."""

    chunk_time: Duration = "1us"
    iommu: bool = False
    driver: Literal["plain", "vfio"] = "plain"


class Latency(Part, frozen=True, kw_only=True):
    """Messages between actors whose names match take `base`, plus at most `spread` at random.

    from, to: patterns as in the shell, without the host: "cpu/*", "mm", "block/sda".
    """

    source: Pattern = msgspec.field(name="from", default="*")
    sink: Pattern = msgspec.field(name="to", default="*")
    base: Duration
    spread: Duration = "0ns"


class Fabric(Part, frozen=True, kw_only=True):
    """The RDMA network that joins the hosts. A message from port to port takes `base`, plus at most `spread`."""

    base: Duration = "2us"
    spread: Duration = "500ns"


class Khugepaged(Part, frozen=True, kw_only=True):
    """Which ranges khugepaged leaves alone: those with more holes, swapped or shared pages than that. Its own limits
    are all but one, an eighth and half of a huge page."""

    max_ptes_none: Count | None = None
    max_ptes_swap: Count | None = None
    max_ptes_shared: Count | None = None


class Machine(Part, frozen=True, kw_only=True):
    """The hardware and what is on its disks. All hosts (h0, h1, ...) are alike.

    memory: size ("64MiB") or number of pages. chunks: pieces of a page that move atomically (2: halves).
    levels: of the page tables; table_bits: address bits that each decodes, so that a huge page has 2**table_bits pages.
    hugepages, gigantic_pages: huge pages of the hugetlb pools, of 2**table_bits and of 4**table_bits pages each.
    swap: pages of swap space. dirty_limit: so many pages may be dirty or under writeback before writers have to wait
    (vm.dirty_bytes); 0: any number. memfds: files of memfd_create(2). latency: the first entry that matches counts.
    fabric: RDMA between the hosts (default: they do not know each other).
    """

    hosts: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    cpus: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    memory: Memory = "1MiB"
    chunks: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256, 512] = 2
    levels: Annotated[int, msgspec.Meta(ge=2, le=5)] = 4
    table_bits: Annotated[int, msgspec.Meta(ge=1, le=9)] = 9
    hugepages: Count = 0
    gigantic_pages: Count = 0
    swap: Count = 0
    dirty_limit: Count = 0
    khugepaged: Khugepaged = Khugepaged()
    filesystems: dict[ActorName, FileSystem] = {}
    disks: dict[ActorName, Disk] = {}
    devices: dict[ActorName, Device] = {}
    memfds: dict[Name, Memfd] = {}
    latency: tuple[Latency, ...] = ()
    fabric: Fabric | None = None


class Thread(Part, frozen=True, kw_only=True):
    """Steps that run one after the other; different threads race.

    process: whose address space and devices it uses (default: a process of the thread's name). If a step of another
    process forks it, its threads start when that step has ended.
    cpu: number of the CPU that it runs on. host: the machine.
    begins: label of a step of another thread of the process, which creates this one when it has ended (pthread_create);
    unlike `after` of a step that is no script, and a search respects it.
    last: start when nothing of all other threads is under way any more, so that nothing races with it: what somebody
    does afterwards to see how it ended, as a final sync.
    """

    process: ActorName | None = None
    cpu: Count = 0
    host: ActorName = "h0"
    begins: Annotated[str, msgspec.Meta(max_length=40)] = ""
    last: bool = False
    steps: Annotated[tuple[AnyStep, ...], msgspec.Meta(min_length=1)]


class Client(Part, frozen=True, kw_only=True):
    """One generator of a workload and the process that runs it (default: one of its own).

    name: default the generator's word, numbered if there are several. host: "*" runs one on every host.
    """

    name: ActorName | None = None
    process: ActorName | None = None
    host: HostName = "h0"
    work: AnyGenerator


class Workload(Part, frozen=True, kw_only=True):
    """Generators that run for `duration` of virtual time. flush_every: period of the flusher threads."""

    duration: Duration
    flush_every: Duration | None = None
    generators: Annotated[tuple[Client, ...], msgspec.Meta(min_length=1)]


class Claim(Part, frozen=True, kw_only=True):
    """What one execution may show, all of it at once. result, load: what named steps returned. file, disk, memory:
    bytes at the end, by file or mapping, as "data", "data:1" (page 1) or "app/buf". warning: a part of what the kernel
    warned of. kind: violations."""

    kind: tuple[Kind, ...] = ()
    result: dict[Observed, Given] = {}
    load: dict[Observed, Given] = {}
    file: dict[Observed, Given] = {}
    disk: dict[Observed, Given] = {}
    memory: dict[Observed, Given] = {}
    warning: tuple[Line, ...] = ()


class Expectation(Part, frozen=True, kw_only=True):
    """Under one kernel: what some interleaving shows, and what none does: kinds of violations, or claims about results.

    The scripted run of a scenario shows what is reachable; a search proves both. vacuous: a proof counts although a
    step never succeeds, or a policy never decides anything, for this `reason`.
    """

    reachable: tuple[Kind | Claim, ...] = ()
    unreachable: tuple[Kind | Claim, ...] = ()
    vacuous: Literal["refused", "allowed"] = "refused"
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Scenario(Part, frozen=True, kw_only=True):
    """One file. kernel, platform, policies, rules: what it runs under unless the command line says otherwise.

    metrics: names of metrics to report. outcomes: the results and places that it is about, as "again", "file data",
    "warnings"; all that have names if none is given. expectations: by kernel, as "v4.20", "arm64", "bounce" or
    "v4.20 + bounce". vacuous, reason: as in an expectation, for all of them. within: bound of every step, and of every
    round of a generator, that gives none of its own.
    """

    title: Line
    about: Text = ""
    source: Source = Source()
    machine: Machine = Machine()
    kernel: Line = "v6.12"
    platform: Line = "x86"
    policies: tuple[Line, ...] = ()
    rules: dict[str, str] = {}
    threads: dict[ActorName, Thread] = {}
    workload: Workload | None = None
    metrics: tuple[Line, ...] = ()
    outcomes: tuple[Line, ...] = ()
    within: Duration = "0ns"
    vacuous: Literal["refused", "allowed"] = "refused"
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    expectations: dict[str, Expectation] = {}


def pages_of(memory: int | str) -> int:
    """Frames in a memory size: "1MiB" is 256."""
    if isinstance(memory, int):
        return memory
    match = re.fullmatch(r"([0-9]+)(KiB|MiB|GiB)", memory)
    if match is None:
        raise ValueError(f"{memory!r} is not a size")
    return int(match[1]) * {"KiB": 1, "MiB": 1024, "GiB": 1024 * 1024}[match[2]] // 4


def huge_pools(machine: Machine) -> tuple[tuple[int, int], ...]:
    """(order, number of huge pages) of each hugetlb pool."""
    pools = ((machine.table_bits, machine.hugepages), (2 * machine.table_bits, machine.gigantic_pages))
    return tuple((order, count) for order, count in pools if count)
