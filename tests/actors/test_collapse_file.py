"""collapse_file(): pages of a memfd become a huge page of the cache, unless somebody has pinned one (B5)."""

from __future__ import annotations

import errno

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.protocol import cpu, fs, memmap, mm
from gupsim.protocol.shmem import AddSeals, Seal
from gupsim.protocol.thp import Collapsed
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load_text
from gupsim.search.dpor import Dpor
from gupsim.search.search import Report, search
from tests.actors.anon_world import APP, MEMFD, MEMMAP, MM, PAGE_SIZE, TMPFS, Foll, Prot, Script, run

KID, CPU1 = "kid", "h0/cpu/1"
RW = Prot.READ | Prot.WRITE
BITS = 1
SPAN = PAGE_SIZE << BITS
EAGAIN, EINVAL = -errno.EAGAIN, -errno.EINVAL


async def memfd(script: Script, of: str = APP, *, shared: bool = True) -> int:
    return (await script.ask(MM, mm.Mmap(of, 4, RW, shared, "fs/tmpfs", MEMFD, align=SPAN))).address


async def collapse(script: Script, address: int) -> int:
    return await script.advise(address, 1 << BITS, "collapse")


async def folio(script: Script, address: int, of: str = APP) -> tuple[int, int]:
    """The page at an address, and how many pages its folio has."""
    pfn = (await script.ask(MM, mm.ReadPagemap(of, address))).pfn
    return pfn, (await script.ask(MEMMAP, memmap.ReadFolio(pfn))).pages if pfn >= 0 else 0


def play(body: object, kernel: str = "v6.12") -> object:
    return run(body, kernel, bits=BITS, levels=6)[0]  # type: ignore[arg-type]


def test_pages_and_holes_become_a_huge_page_of_the_cache() -> None:
    async def body(script: Script) -> object:
        address = await memfd(script)
        await script.store(address, 5)
        done = await collapse(script, address), (await folio(script, address))[0]
        seen = await script.load(address), await script.load(address + PAGE_SIZE)
        head, pages = await folio(script, address)
        second, _ = await folio(script, address + PAGE_SIZE)
        return done, seen, pages, second - head, await collapse(script, address)

    assert play(body) == ((0, -1), ((5, ""), (0, "")), 2, 1, 0)


@pytest.mark.parametrize("flags", [Foll.PIN, Foll.GET])
def test_a_page_that_somebody_has_is_left_where_it_is(flags: int) -> None:
    async def body(script: Script) -> object:
        address = await memfd(script)
        await script.store(address, 5)
        await script.store(address + PAGE_SIZE, 6)
        (pfn,) = (await script.gup(address + PAGE_SIZE, flags=flags | Foll.WRITE)).pfns
        refused = await collapse(script, address)
        await script.store(address + PAGE_SIZE, 7)
        same = (await folio(script, address + PAGE_SIZE)) == (pfn, 1)
        if flags & Foll.PIN:
            await script.ask(MEMMAP, memmap.UnpinRefs(pfn, 1, "driver/t#1"))
        else:
            await script.ask(MEMMAP, memmap.PutRefs(pfn, 1, "gup", "driver/t#1"))
        return refused, same, await collapse(script, address), await script.load(address + PAGE_SIZE)

    assert play(body) == (EAGAIN, True, 0, (7, ""))


def test_other_processes_find_the_huge_page_and_keep_their_private_copies() -> None:
    async def body(script: Script) -> object:
        address = await memfd(script)
        private = await memfd(script, shared=False)
        await script.ask(MM, mm.ForkMm(APP, KID))
        await script.ask(MM, mm.ActivateMm(KID, CPU1))
        await script.store(address, 5)
        await script.store(private, 6)
        await script.ask(CPU1, cpu.Load(KID, address, 1))
        done = await collapse(script, address)
        seen = (await script.ask(CPU1, cpu.Load(KID, address, 1))).data[0]
        await script.load(address)
        return done, seen, await folio(script, address, KID) == await folio(script, address), await script.load(private)

    assert play(body) == (0, 5, True, (6, ""))


def test_a_huge_page_goes_page_by_page_and_its_memory_with_the_last() -> None:
    async def body(script: Script) -> object:
        before = dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)
        address = await memfd(script)
        await script.store(address, 5)
        await collapse(script, address)
        await script.ask(TMPFS, fs.Fallocate(MEMFD, "punch", 1, 1))
        hole = await script.load(address), await script.load(address + PAGE_SIZE)
        await script.ask(MM, mm.Munmap(APP, address, 4))
        sealed = (await script.ask(TMPFS, AddSeals(MEMFD, Seal.WRITE))).error
        await script.ask(TMPFS, fs.Truncate(MEMFD, 0))
        after = dict((await script.ask(MEMMAP, memmap.ReadVmstat())).counters)
        return hole, sealed, [after[name] - before[name] for name in ("nr_free_pages", "nr_file_pages", "nr_mapped")]

    assert play(body) == (((5, ""), (0, "")), 0, [0, 0, 0])


def test_what_is_no_whole_huge_range_of_the_file_is_refused() -> None:
    async def body(script: Script) -> object:
        empty = await collapse(script, await memfd(script))
        odd = (await script.ask(MM, mm.Mmap(APP, 2, RW, True, "fs/tmpfs", MEMFD, 1, align=SPAN))).address
        await script.store(odd, 5)
        refused = await collapse(script, odd)
        await script.ask(MM, mm.Munmap(APP, odd, 2))
        await script.ask(TMPFS, fs.Truncate(MEMFD, 3))
        address = await memfd(script)
        await script.store(address + 2 * PAGE_SIZE, 5)
        return address > 0, empty, refused, await collapse(script, address + SPAN)

    assert play(body) == (True, EINVAL, EINVAL, EINVAL)


def test_khugepaged_by_itself_leaves_tmpfs_alone() -> None:
    async def body(script: Script) -> object:
        address = await memfd(script)
        await script.store(address, 5)
        return await script.advise(address, 2, "hugepage")

    result, seen = run(body, bits=BITS, levels=5)
    assert result == 0
    assert not any(isinstance(point, Collapsed) for point in seen)


MACHINE = "{cpus: 2, table_bits: 1, levels: 5, chunks: 1, devices: {nic: {}}, memfds: {f: {pages: 2}}}"
THREADS = """
  collapser: {{process: app, cpu: 0, begins: stored, steps: [madvise: {{map: m, advice: collapse}}]}}
  app:
    cpu: 1
    steps:
      - mmap: {{as: m, file: f, pages: 2, align: 8192}}
      - {{store: {{map: m, value: 5}}, label: stored}}
      - {step}
"""
PIN = "pin: {as: mr, device: nic, map: m, flags: [write, longterm, fast]}"


def searched(step: str, kernel: str, stop: str = "") -> Report:
    scenario = load_text(f"title: t\nmachine: {MACHINE}\nthreads:{THREADS.format(step=step)}").scenario
    program = scenario_program(scenario, expected_kernel(scenario, kernel).rules)
    return search(program, Dpor(), stop=lambda report: stop in report.found)


@pytest.mark.long
@pytest.mark.parametrize(
    "step",
    [
        PIN,
        "write: {file: f, value: 7}",
        "truncate: {file: f, pages: 0}",
        "fallocate: {file: f, page: 1}",
        "store: {map: m, page: 1, value: 7}",
        "munmap: {map: m}",
    ],
)
def test_no_race_breaks_it(step: str) -> None:
    report = searched(step, "v6.12")
    assert report.complete
    assert report.traces > 1
    assert not report.found


def test_without_the_interrupt_a_walker_is_still_in_a_table_that_is_freed() -> None:
    kind = "table-use-after-free"
    assert not searched(PIN, "v6.12 + arm64").found
    assert kind in searched(PIN, "v6.12 + arm64 + collapse_sync=none", kind).found
