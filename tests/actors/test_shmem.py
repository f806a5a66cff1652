"""tmpfs: shared anonymous memory and memfds, under mappings, pins, truncation and seals (B10, B12)."""

from __future__ import annotations

import errno

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.protocol import cpu, fs, memmap, mm
from gupsim.protocol.fs import Fallocate, PageMkwriteDone, ReadFile, SetPageDirty, StatFile, Truncate, WriteFile
from gupsim.protocol.memmap import Page
from gupsim.protocol.pagetable import EntryChanged
from gupsim.protocol.shmem import AddSeals, Seal
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load_text
from gupsim.search.dpor import Dpor
from gupsim.search.search import Report, search
from tests.actors.anon_world import APP, MEMFD, MEMMAP, MM, PAGE_SIZE, TMPFS, Foll, Prot, Script, run

KID, CPU1 = "kid", "h0/cpu/1"
RW = Prot.READ | Prot.WRITE
EPERM, EBUSY = -errno.EPERM, -errno.EBUSY
LONGTERM = Foll.PIN | Foll.WRITE | Foll.LONGTERM


async def memfd(script: Script, pages: int = 4, *, prot: int = RW, shared: bool = True) -> int:
    """mmap the memfd."""
    return (await script.ask(MM, mm.Mmap(APP, pages, prot, shared, "fs/tmpfs", MEMFD))).address


async def free_pages(script: Script) -> int:
    return dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)["nr_free_pages"]


async def write(script: Script, value: int, offset: int = 0, length: int = PAGE_SIZE) -> int:
    return (await script.ask(TMPFS, WriteFile(MEMFD, offset, bytes([value]) * length))).result


async def read(script: Script, offset: int = 0, length: int = PAGE_SIZE) -> bytes:
    return (await script.ask(TMPFS, ReadFile(MEMFD, offset, length))).data


async def truncate(script: Script, pages: int) -> int:
    return (await script.ask(TMPFS, Truncate(MEMFD, pages))).error


async def seal(script: Script, *seals: Seal) -> int:
    return (await script.ask(TMPFS, AddSeals(MEMFD, sum(seals)))).error


async def cached(script: Script) -> list[int]:
    return [index for index, *_ in (await script.ask(TMPFS, StatFile(MEMFD))).cached]


def test_parent_and_child_share_memory_that_is_freed_with_the_last_of_them() -> None:
    async def body(script: Script) -> object:
        before = await free_pages(script)
        address = (await script.ask(MM, mm.Mmap(APP, 2, RW, True))).address
        await script.store(address, 1)
        await script.ask(MM, mm.ForkMm(APP, KID))
        await script.ask(MM, mm.ActivateMm(KID, CPU1))
        await script.ask(CPU1, cpu.Store(KID, address, b"\2"))
        await script.ask(CPU1, cpu.Store(KID, address + PAGE_SIZE, b"\3"))
        seen = [await script.load(address), await script.load(address + PAGE_SIZE)]
        await script.ask(MM, mm.Munmap(APP, address, 2))
        left = await script.ask(CPU1, cpu.Load(KID, address, 1))
        await script.ask(MM, mm.ExitMm(KID))
        return seen, left.data, before - await free_pages(script)

    assert run(body)[0] == ([(2, ""), (3, "")], b"\2", 0)


def test_two_mappings_of_shared_memory_have_nothing_in_common() -> None:
    async def body(script: Script) -> object:
        one, two = [(await script.ask(MM, mm.Mmap(APP, 1, RW, True))).address for _ in range(2)]
        await script.store(one, 1)
        return await script.load(two)

    assert run(body)[0] == (0, "")


def test_a_part_of_shared_memory_lives_on_when_the_rest_goes() -> None:
    async def body(script: Script) -> object:
        address = (await script.ask(MM, mm.Mmap(APP, 3, RW, True))).address
        await script.store(address + 2 * PAGE_SIZE, 1)
        await script.ask(MM, mm.Munmap(APP, address, 2))
        moved = (await script.ask(MM, mm.Mremap(APP, address + 2 * PAGE_SIZE, 1))).address
        return await script.load(moved)

    assert run(body)[0] == (1, "")


def test_nobody_is_asked_before_a_page_is_written_to() -> None:
    async def body(script: Script) -> object:
        address = await memfd(script)
        await script.load(address)
        await script.store(address, 1)

    _, seen = run(body)
    entries = [point.now for point in seen if isinstance(point, EntryChanged) and point.why == "do_read_fault"]
    assert entries == ["rw"]
    assert not any(isinstance(point, PageMkwriteDone) for point in seen)


def test_a_mapping_that_becomes_writable_later_writes_to_the_file() -> None:
    async def body(script: Script) -> object:
        address = await memfd(script, prot=Prot.READ)
        await script.load(address)
        await script.ask(MM, mm.Mprotect(APP, address, 4, RW))
        await script.store(address, 5)
        return (await read(script))[0]

    assert run(body)[0] == 5


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("kernel", ["v6.1.192", "v6.12"])
def test_a_long_term_write_pin_is_allowed_and_dirties_the_page(kernel: str, fast: bool) -> None:
    async def body(script: Script) -> object:
        address = await memfd(script)
        await script.load(address)
        got = await script.gup(address, flags=LONGTERM, fast=fast)
        await script.ask(TMPFS, SetPageDirty(got.pfns[0], MEMFD, 0, "driver/t"))
        flags = await script.ask(MEMMAP, memmap.ReadFlags(got.pfns[0], Page.DIRTY | Page.SWAPBACKED | Page.LRU))
        await script.ask(MEMMAP, memmap.UnpinRefs(got.pfns[0], 1, "driver/t#1"))
        return got.result, flags.flags

    assert run(body, kernel)[0] == (1, Page.DIRTY | Page.SWAPBACKED)


def test_a_pinned_page_is_truncated_like_any_other() -> None:
    async def body(script: Script) -> object:
        before = await free_pages(script)
        address = await memfd(script)
        await script.store(address + 3 * PAGE_SIZE, 5)
        (pfn,) = (await script.gup(address + 3 * PAGE_SIZE, flags=LONGTERM)).pfns
        cut = await truncate(script, 3), await script.load(address + 3 * PAGE_SIZE)
        await truncate(script, 4)
        again = await script.load(address + 3 * PAGE_SIZE)
        orphan = (await script.ask(MEMMAP, memmap.ReadCounts(pfn))).refs
        await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/t#1"))
        return cut, again, orphan, before - await free_pages(script)

    assert run(body)[0] == ((0, (-1, "SIGBUS")), (0, ""), memmap.PIN_BIAS, 1)


def test_truncation_takes_private_copies_and_a_punched_hole_does_not() -> None:
    async def body(script: Script) -> object:
        await write(script, 5, length=2 * PAGE_SIZE)
        address = await memfd(script, shared=False)
        for page in range(2):
            await script.store(address + page * PAGE_SIZE, 1)
        punched = (await script.ask(TMPFS, Fallocate(MEMFD, "punch", 0, 1))).error, await script.load(address)
        await truncate(script, 1)
        return punched, await script.load(address + PAGE_SIZE), (await read(script))[0]

    assert run(body)[0] == ((0, (1, "")), (-1, "SIGBUS"), 0)


def test_only_holes_can_be_made() -> None:
    async def body(script: Script) -> object:
        return (await script.ask(TMPFS, Fallocate(MEMFD, "zero", 0, 1))).error

    assert run(body)[0] == -errno.EOPNOTSUPP


def test_reading_a_hole_makes_no_page_and_mapping_it_does() -> None:
    async def body(script: Script) -> object:
        await write(script, 5, offset=PAGE_SIZE + 10, length=1)
        data = await read(script, 0, 2 * PAGE_SIZE)
        before = await cached(script)
        await script.load(await memfd(script))
        return data == bytes(PAGE_SIZE + 10) + b"\5" + bytes(PAGE_SIZE - 11), before, await cached(script)

    assert run(body)[0] == (True, [1], [0, 1])


def test_write_grows_the_file() -> None:
    async def body(script: Script) -> object:
        await write(script, 5, offset=4 * PAGE_SIZE, length=10)
        return (await script.ask(TMPFS, StatFile(MEMFD))).size, len(await read(script, 4 * PAGE_SIZE))

    assert run(body)[0] == (4 * PAGE_SIZE + 10, 10)


def test_a_file_that_is_mapped_for_writing_or_that_somebody_refers_to_cannot_be_sealed() -> None:
    async def body(script: Script) -> object:
        address = await memfd(script, 1)
        (pfn,) = (await script.gup(address, flags=Foll.GET)).pfns
        mapped = await seal(script, Seal.WRITE)
        await script.ask(MM, mm.Munmap(APP, address, 1))
        referred = await seal(script, Seal.WRITE)
        await script.ask(MEMMAP, memmap.PutRefs(pfn, 1, "gup", "driver/t#1"))
        return mapped, referred, await seal(script, Seal.WRITE), await write(script, 1)

    assert run(body)[0] == (EBUSY, EBUSY, 0, EPERM)


def test_a_sealed_file_is_mapped_for_reading_only_and_for_good() -> None:
    async def body(script: Script) -> object:
        await seal(script, Seal.FUTURE_WRITE)
        address = await memfd(script, prot=Prot.READ)
        protected = (await script.ask(MM, mm.Mprotect(APP, address, 1, RW))).error
        private = await memfd(script, shared=False)
        pinned = await script.gup(address, flags=LONGTERM)
        return (
            await memfd(script),
            protected,
            await script.store(private, 1),
            pinned.result,
            await seal(script, Seal.SEAL),
        )

    assert run(body)[0] == (EPERM, -errno.EACCES, "", -errno.EFAULT, 0)


def test_seals_hold_the_size_and_are_sealed_themselves() -> None:
    async def body(script: Script) -> object:
        refused = [await seal(script, Seal.SHRINK, Seal.GROW), await truncate(script, 3), await truncate(script, 5)]
        refused += [await write(script, 1, offset=4 * PAGE_SIZE), await truncate(script, 4)]
        return refused, await seal(script, Seal.SEAL), await seal(script, Seal.WRITE)

    assert run(body)[0] == ([0, EPERM, EPERM, EPERM, 0], 0, EPERM)


def test_what_is_for_disks_does_nothing() -> None:
    async def body(script: Script) -> object:
        await write(script, 5)
        dropped = await script.ask(TMPFS, fs.DropCache(MEMFD))
        synced = await script.ask(TMPFS, fs.Fsync(MEMFD))
        direct = await script.ask(TMPFS, fs.DirectIo(MEMFD, 0, 1, True, APP, 0))
        return dropped.result, synced.error, direct.result, await cached(script)

    assert run(body)[0] == (0, 0, -errno.EINVAL, [0])


MACHINE = "{cpus: 2, chunks: 1, devices: {nic: {}}, memfds: {f: {pages: 1}}}"
TRUNCATED = """
  cutter: {process: app, cpu: 0, begins: mapped, steps: [truncate: {file: f, pages: 0}]}
  app:
    cpu: 1
    steps:
      - {mmap: {as: m, file: f}, label: mapped}
      - store: {map: m, value: 5}
      - pin: {as: mr, device: nic, map: m, flags: [write, longterm]}
      - unpin: {pin: mr, dirty: true}
"""
GROWN = """
  one: {cpu: 0, steps: [write: {file: f, offset: 8192, value: 1}]}
  two: {cpu: 1, steps: [write: {file: f, offset: 4096, value: 2}, read: {file: f, offset: 8192}]}
"""
SEALED = """
  sealer: {cpu: 0, steps: [seal: {file: f, seals: [write]}]}
  app:
    cpu: 1
    steps:
      - mmap: {as: m, file: f}
      - store: {map: m, value: 5}
      - munmap: {map: m}
"""
EVICTED = """
  kid: {cpu: 0, steps: [{store: {map: m, value: 5}}, exit]}
  app:
    cpu: 1
    steps:
      - mmap: {as: m, shared: true}
      - store: {map: m, value: 6}
      - fork: {child: kid}
      - exit
"""


def searched(threads: str) -> Report:
    text = f"title: t\nmachine: {MACHINE}\nthreads:{threads}"
    scenario = load_text(text).scenario
    return search(scenario_program(scenario, expected_kernel(scenario, "v6.12").rules), Dpor())


@pytest.mark.parametrize("threads", [TRUNCATED, GROWN, SEALED, EVICTED])
def test_no_race_breaks_it(threads: str) -> None:
    report = searched(threads)
    assert report.complete
    assert report.traces > 1
    assert not report.found
