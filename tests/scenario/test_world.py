"""A scenario becomes the actors that it names, on every host, each told what it needs."""

from gupsim.protocol.process import StepEnd
from gupsim.run import run_scenario
from gupsim.scenario.choices import kernel
from gupsim.scenario.load import load_text
from gupsim.world import build, generators, placed_files

TWO_HOSTS = """\
title: two hosts
machine:
  hosts: 2
  cpus: 3
  swap: 8
  disks: {sda: {}, sdb: {checksums: true}}
  filesystems:
    ext4: {device: sda, files: {a: {pages: 2, fill: 1}, b: {pages: 3, fill: 2}}}
    data: {device: sdb, files: {c: {fill: 3}}}
  devices: {nic: {}}
threads:
  one:
    process: app
    steps: [{read: {file: b, offset: 4096}}]
  two:
    process: app
    cpu: 2
    steps: [{read: {file: c}}]
  far:
    host: h1
    steps:
      - mmap: {as: buf, file: a, pages: 2}
      - load: {map: buf, page: 1}
      - sync: {fs: data}
        label: last
"""
WORKLOAD = """\
title: work
machine: {devices: {nic: {}}}
workload:
  duration: 100us
  generators:
    - memory_pressure: {every: 10us}
    - memory_pressure: {every: 10us}
    - rdma_registration: {device: nic, every: 1us, hold: 5us}
      name: clients
      process: app
"""


def addresses(text: str) -> set[str]:
    scenario = load_text(text).scenario
    world = build(scenario, kernel(scenario.kernel).rules)
    return {port.address for port in world.timed.core.ports}


def test_every_host_has_the_same_machine_and_its_own_processes() -> None:
    found = addresses(TWO_HOSTS)
    machine = {
        "memory", "memmap", "mm", "cpu/0", "cpu/1", "cpu/2", "reclaim", "fs/ext4", "fs/data", "flusher/ext4",
        "flusher/data", "block/sda", "block/sdb", "block/swap", "driver/nic", "dma/nic", "observer",
    }  # fmt: skip
    expected = {f"{host}/{name}" for host in ("h0", "h1") for name in machine}
    assert found == expected | {"h0/process/app", "h1/process/far", "h0/director"}


def test_inodes_are_unique_and_files_lie_behind_each_other_on_their_disk() -> None:
    placed = placed_files(load_text(TWO_HOSTS).scenario.machine)
    assert [(file.name, file.fs, file.ino, file.first_block, file.pages, file.fill) for file in placed] == [
        ("a", "fs/ext4", 1, 0, 2, 1),
        ("b", "fs/ext4", 2, 2, 3, 2),
        ("c", "fs/data", 3, 0, 1, 3),
    ]


def test_threads_of_two_hosts_do_what_their_steps_say() -> None:
    loaded = load_text(TWO_HOSTS)
    ends: list[tuple[str, str, str]] = []

    def reader(event) -> None:  # type: ignore[no-untyped-def]
        if isinstance(event.point, StepEnd):
            ends.append((event.actor, event.point.thread, event.point.result))

    result = run_scenario(loaded, kernel("v6.12"), readers=(reader,))
    assert result.outcome.verdict == "ok"
    assert ("h0/process/app", "one", "2") in ends
    assert ("h0/process/app", "two", "3") in ends
    assert ("h1/process/far", "far", "1") in ends
    assert len(result.files) == 2 * (2 + 3 + 1)


def test_generators_get_names_and_processes_of_their_own_unless_told() -> None:
    found = generators(load_text(WORKLOAD).scenario)
    assert {name: process for name, (_, process, _) in found.items()} == {
        "memory_pressure": "memory_pressure",
        "memory_pressure_2": "memory_pressure_2",
        "clients": "app",
    }


def test_a_workload_ends_soon_after_its_duration_and_gives_everything_back() -> None:
    result = run_scenario(load_text(WORKLOAD), kernel("v6.12"))
    assert result.outcome.verdict == "ok"
    assert 100_000 < result.outcome.end_time < 130_000
    vmstat = result.outcome.vmstat
    assert vmstat["nr_foll_pin_acquired"] == vmstat["nr_foll_pin_released"] > 5


def test_a_gate_that_never_opens_ends_the_run_with_a_warning() -> None:
    text = "title: t\nthreads: {app: {steps: [{wait: {time: 1us}, after: 'kernel:bug'}]}}\n"
    outcome = run_scenario(load_text(text), kernel("v6.12")).outcome
    assert outcome.verdict == "ok"
    (warning,) = outcome.warnings
    assert "kernel:bug" in warning
    assert "app" in warning


SMALL_TABLES = """\
title: an address space of 32 pages
machine: {levels: 2, table_bits: 3, devices: {nic: {}}}
threads:
  app:
    steps:
      - mmap: {as: buf, pages: 4}
      - store: {map: buf, page: 3, value: 7}
      - pin: {as: mr, device: nic, map: buf, page: 3}
      - unpin: {pin: mr}
      - load: {map: buf, page: 3}
      - mmap: {as: large, pages: 32}
"""


def test_page_tables_can_be_small_so_that_a_huge_page_is_and_programs_live_in_less() -> None:
    results: list[str] = []

    def reader(event) -> None:  # type: ignore[no-untyped-def]
        if isinstance(event.point, StepEnd):
            results.append(event.point.result)

    loaded = load_text(SMALL_TABLES)
    assert run_scenario(loaded, kernel("v6.12"), readers=(reader,)).outcome.verdict == "ok"
    assert (results[4], results[5]) == ("7", "ENOMEM")
