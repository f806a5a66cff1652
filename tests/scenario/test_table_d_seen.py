"""Table D of kernel-semantics.md, seen from outside: what a small world does in each era.

What each era should show is copied from the specification (see tests/actors/test_table_d.py for the rules themselves).
"""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from gupsim.actors.rules import ERAS
from gupsim.engine.core import Item
from gupsim.protocol.block import BlockWrite
from gupsim.protocol.driver import Registered
from gupsim.protocol.fs import DiscardDirty
from gupsim.protocol.kernel import KernelBug, KernelWarning
from gupsim.protocol.memmap import PageAlloc, PageGet
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.pagetable import EntryChanged, TableFree
from gupsim.protocol.process import StepEnd
from gupsim.protocol.reclaim import ReleaseBuffersDone, SwapOut
from gupsim.run import Run
from gupsim.scenario.choices import kernel
from gupsim.scenario.load import load_text
from gupsim.trace.records import Event

MACHINE = """\
title: one cell of table D
machine:
  cpus: 1
  memory: 128KiB
  table_bits: 2
  swap: 8
  disks: {sda: {}}
  filesystems: {ext4: {device: sda, files: {data: {pages: 2, fill: 1}}}}
  devices: {nic: {}}
threads:
"""
T = TypeVar("T", bound=Tracepoint)


class Played:
    """What a world showed: its tracepoints, in order."""

    def __init__(self, steps: str, era: str, platform: str = "x86") -> None:
        loaded = load_text(f"{MACHINE}  app:\n    steps:\n{steps}")
        self.points: list[Tracepoint] = []

        def note(event: Event) -> None:
            self.points.append(event.point)

        run = Run(loaded, kernel(era, platform=platform), readers=(note,))
        self.asked: list[str] = []
        """Class of each message, in order of delivery."""
        write = run.timed.on_delivery

        def delivered(item: Item) -> None:
            self.asked.append(type(item[4]).__name__)
            if write is not None:
                write(item)

        run.timed.on_delivery = delivered
        self.result = run.play()

    def of(self, kind: type[T]) -> list[T]:
        """All tracepoints of one kind."""
        return [point for point in self.points if isinstance(point, kind)]

    @property
    def results(self) -> list[str]:
        """How each step ended."""
        return [point.result for point in self.of(StepEnd)]

    def refs_after(self, kind: str, holder: str) -> list[int]:
        """The count after each reference of a kind that a holder took."""
        return [point.refs for point in self.of(PageGet) if point.kind == kind and point.holder.startswith(holder)]


def steps(*lines: str) -> str:
    return "".join(f"      - {line}\n" for line in lines)


STABLE = {"v5.15.215": "v5.15", "v6.1.192": "v6.1", "v6.6.87": "v6.6"}
NO_PINS = ("v3.17", "v4.20", "v5.4")


def eras(**first: Any) -> list[tuple[str, Any]]:
    """Each era with what it shows. first: by the era in which it is so for the first time, as v5_6. A stable release
    shows what the one shows that it belongs to, unless it is named itself."""
    changes = {name.replace("_", "."): value for name, value in first.items()}
    assert set(changes) <= set(ERAS)
    shown: dict[str, Any] = {}
    value: Any = None
    for era in ERAS:
        if era in STABLE:
            shown[era] = changes.get(era, shown[STABLE[era]])
        else:
            value = shown[era] = changes.get(era, value)
    return list(shown.items())


ANON = ("mmap: {as: buf}", "store: {map: buf, value: 7}")
FILE = "mmap: {as: buf, file: data}"
KID = "  kid:\n    steps:\n      - wait: {time: 1ms}\n"


# A mapping holds one reference; a pin adds 1 while pin_user_pages is a mere alias, and 1024 since 5.7.
@pytest.mark.parametrize(("era", "refs"), eras(v3_17=[], v5_6=[2], v5_7=[1025]))
def test_pin_api_and_pins_counted(era: str, refs: list[int]) -> None:
    played = Played(steps(*ANON, "pin: {as: mr, device: nic, map: buf, flags: [write, pin]}"), era)
    taken = played.refs_after("gup", "driver/nic") + played.refs_after("pin", "driver/nic")
    assert taken == refs
    assert played.results[2] == ("1" if refs else "ENOSYS")


# Four entries lead to a page. The generic walk reads the last one again, and since 6.1 the pmd, too.
SINCE = {"v4_20": ("TryGrab", 5), "v5_15_215": ("TryGrab", 6), "v6_1": ("TryGrab", 6)}
WALKS = [
    *(("x86", era, walk) for era, walk in eras(v3_17=("GetRefs", 4), **SINCE)),
    *(("arm64", era, walk) for era, walk in eras(v3_17=("", 0), **SINCE)),
]


@pytest.mark.parametrize(("platform", "era", "walk"), WALKS)
def test_fast_gup_code_and_its_rechecks(platform: str, era: str, walk: tuple[str, int]) -> None:
    pin = "pin: {as: mr, device: nic, map: buf, flags: [write, get, fast_only]}"
    played = Played(steps(*ANON, pin), era, platform)
    assert played.results[2] == ("1" if walk[0] else "0")
    taken = [kind for kind in played.asked if kind in ("GetRefs", "TryGrab")]
    assert (taken, played.asked.count("ReadEntry")) == ([walk[0]] if walk[0] else [], walk[1])


@pytest.mark.parametrize(("era", "looks"), eras(v3_17=False, v5_12=True))
def test_fork_fast_pin_seqcount(era: str, looks: bool) -> None:
    call = "get" if era in NO_PINS else "pin"
    played = Played(steps(*ANON, f"pin: {{as: mr, device: nic, map: buf, flags: [write, {call}, fast]}}"), era)
    assert played.results[2] == "1"
    assert ("FastPinEnd" in played.asked) is looks


TABLES = [
    *(("x86", era, how) for era, how in eras(v3_17="flush", v6_16="rcu")),
    *(("x86-paravirt", era, how) for era, how in eras(v3_17="flush", v4_20="rcu")),
    *(("arm64", era, how) for era, how in eras(v3_17="flush", v4_20="rcu")),
    ("x86-invlpgb", "v6.17", "rcu"),
]


@pytest.mark.parametrize(("platform", "era", "how"), TABLES)
def test_x86_table_free(platform: str, era: str, how: str) -> None:
    played = Played(steps(*ANON, "munmap: {map: buf}"), era, platform)
    assert {table.how for table in played.of(TableFree)} == {how}


HUGE = ("mmap: {as: buf, pages: 4, align: 16384}", "madvise: {map: buf, advice: hugepage}")
EACH = [f"store: {{map: buf, page: {page}, value: 7}}" for page in range(4)]


@pytest.mark.parametrize(("era", "bit"), eras(v3_17=True, v4_20=False))
def test_thp_split_vs_fast_gup(era: str, bit: bool) -> None:
    played = Played(steps(*HUGE, "store: {map: buf, value: 7}", "munmap: {map: buf, page: 2, pages: 1}"), era)
    assert played.results == ["ok"] * 4
    pmd = [change.why for change in played.of(EntryChanged) if change.level == 1]
    assert pmd[0] == "do_huge_pmd_anonymous_page"
    assert ("pmdp_splitting_flush" in pmd) is bit


@pytest.mark.parametrize(("era", "interrupts"), eras(v3_17=0, v5_15_215=1, v6_1=1))
def test_khugepaged_sync_ipi(era: str, interrupts: int) -> None:
    played = Played(steps(HUGE[0], *EACH, HUGE[1], "collapse: {map: buf}", "load: {map: buf, page: 3}"), era)
    assert played.results[-2:] == ["ok", "7"]
    assert played.asked.count("SyncIpi") == interrupts


@pytest.mark.parametrize(("era", "call"), eras(v3_17=(False, "gup"), v5_6=(True, "gup"), v5_7=(True, "pin")))
def test_what_rdma_and_vfio_use(era: str, call: tuple[bool, str]) -> None:
    played = Played(steps(*ANON, "pin: {as: mr, device: nic, map: buf}"), era)
    assert [point.pins for point in played.of(Registered)] == [call[0]]
    assert len(played.refs_after(call[1], "driver/nic")) == 1


@pytest.mark.parametrize(("era", "call"), eras(v3_17="gup", v6_6="pin"))
def test_what_o_direct_uses(era: str, call: str) -> None:
    played = Played(steps(*ANON, "direct_io: {file: data, map: buf, dir: read}", "load: {map: buf}"), era)
    assert played.results[2:] == ["4096", "1"]
    assert [point.pin for point in played.of(PagesPinned)] == [call == "pin"]


@pytest.mark.parametrize(("era", "counted"), eras(v3_17=-1, v5_6=0, v5_7=1, v6_1_192=0, v6_6=0))
def test_the_zero_page_is_pinned_for_real(era: str, counted: int) -> None:
    played = Played(
        steps("mmap: {as: buf}", "load: {map: buf}", "pin: {as: mr, device: nic, map: buf, flags: pin}"), era
    )
    if counted < 0:
        assert played.results[2] == "ENOSYS"
    else:
        assert played.result.outcome.vmstat["nr_foll_pin_acquired"] == counted


@pytest.mark.parametrize(("era", "result"), eras(v3_17="1", v6_6="EFAULT"))
def test_longterm_write_on_a_dirty_tracked_file(era: str, result: str) -> None:
    flags = "[write, longterm]" if era in NO_PINS else "[write, longterm, pin]"
    played = Played(steps(FILE, f"pin: {{as: mr, device: nic, map: buf, flags: {flags}}}"), era)
    assert played.results[1] == result


# A read-only entry of a private page with one mapping and one more reference: reused while mappings are counted,
# copied while references are, reused again when the page itself says that it is exclusive.
@pytest.mark.parametrize(("era", "copied"), eras(v3_17=False, v5_9=True, v5_19=False))
def test_write_fault_reuse_rule(era: str, copied: bool) -> None:
    protect = ("mprotect: {map: buf, prot: r}", "mprotect: {map: buf, prot: rw}")
    pin = "pin: {as: mr, device: nic, map: buf, flags: [write, get]}"
    played = Played(steps(*ANON, pin, *protect, "store: {map: buf, value: 8}"), era)
    assert set(played.results) <= {"ok", "1"}
    assert len(played.of(PageAlloc)) == (2 if copied else 1)


# The page is the writer's own already: FOLL_FORCE may use it as it is, or has to fault once more to be sure.
@pytest.mark.parametrize(("era", "faults"), eras(v3_17=1, v6_1=0))
def test_foll_force_cow_rule(era: str, faults: int) -> None:
    pin = "pin: {as: mr, device: nic, map: buf, flags: [write, force, get]}"
    played = Played(steps(*ANON, "mprotect: {map: buf, prot: r}", pin), era)
    assert played.results[3] == "1"
    assert [change.why for change in played.of(EntryChanged)].count("wp_page_reuse") == faults


# After fork one page is left for both, or the child has a copy of what the parent's device writes to.
@pytest.mark.parametrize("call", ["get", "pin"])
@pytest.mark.parametrize(("era", "copies"), eras(v3_17=0, v5_9=1))
def test_fork_of_pinned_anon(era: str, copies: int, call: str) -> None:
    if era in NO_PINS:
        call = "get"  # there are no pins
    pin = f"pin: {{as: mr, device: nic, map: buf, flags: [write, {call}]}}"
    played = Played(steps(*ANON, pin, "fork: {child: kid}") + KID, era)
    assert len(played.of(PageAlloc)) - 1 == (copies if call == "pin" else 0)


@pytest.mark.parametrize(("era", "pages"), eras(v3_17=-1, v5_6=1, v5_19=2))
def test_read_only_pin_of_shared_anon(era: str, pages: int) -> None:
    pin = "pin: {as: mr, device: nic, map: buf, flags: pin}"
    played = Played(steps(*ANON, "fork: {child: kid}", pin) + KID, era)
    assert ("ENOSYS" in played.results) is (pages < 0)
    assert len(played.of(PageAlloc)) == abs(pages)


@pytest.mark.parametrize(("era", "swapped"), eras(v3_17=True, v5_12=False))
def test_reclaim_takes_a_pinned_anonymous_page_to_the_swap_cache(era: str, swapped: bool) -> None:
    pin = "pin: {as: mr, device: nic, map: buf}"
    played = Played(steps(*ANON, pin, "shrink: {pages: 1, anon: true, force: true}"), era)
    assert bool(played.of(SwapOut)) is swapped


@pytest.mark.parametrize("call", ["get", "pin"])
@pytest.mark.parametrize(("era", "strips"), eras(v3_17=True, v6_1_192=False, v6_6=False))
def test_reclaim_strips_the_buffers_of_a_held_file_page(era: str, strips: bool, call: str) -> None:
    if era in NO_PINS:
        call = "get"  # there are no pins
    pin = f"pin: {{as: mr, device: nic, map: buf, flags: [write, {call}]}}"
    played = Played(steps(FILE, pin, "sync", "shrink: {pages: 1, force: true}"), era)
    assert bool([done for done in played.of(ReleaseBuffersDone) if done.ok]) is (strips or call == "get")


# Delayed rmap: page_mkclean still finds the mapping until every CPU has dropped its translation.
@pytest.mark.parametrize(("era", "order"), eras(v3_17=["AddMaps", "FlushTlb"], v6_6=["FlushTlb", "AddMaps"]))
def test_zap_rmap_removal_before_flush(era: str, order: list[str]) -> None:
    asked = Played(steps(FILE, "store: {map: buf, value: 9}", "munmap: {map: buf}"), era).asked
    since = asked.index("Munmap")
    assert list(dict.fromkeys(kind for kind in asked[since:] if kind in order)) == order


@pytest.mark.parametrize(("era", "writes"), eras(v3_17=1, v6_6=0))
def test_reclaim_writes_file_pages(era: str, writes: int) -> None:
    played = Played(steps("write: {file: data, value: 9}", "shrink: {pages: 1, direct: false, force: true}"), era)
    assert len({point.lba for point in played.of(BlockWrite)}) == writes


# S01: writeback, strip, late dirty, writeback again.
LATE_DIRTY = steps(
    FILE,
    "pin: {as: mr, device: nic, map: buf, flags: [write, get]}",
    "sync",
    "shrink: {pages: 1, force: true}",
    "dma_write: {pin: mr, value: 9}",
    "unpin: {pin: mr, dirty: true}",
    "writeback",
)


ENDINGS = eras(v3_17=(0, 1, 0), v4_20=(1, 1, 0), v5_15_215=(2, 0, 1), v5_19=(2, 0, 1))


@pytest.mark.parametrize(("era", "ending"), ENDINGS)
def test_an_ext4_page_that_is_dirty_without_buffers(era: str, ending: tuple[int, int, int]) -> None:
    played = Played(LATE_DIRTY, era)
    assert (len(played.of(KernelWarning)), len(played.of(KernelBug)), len(played.of(DiscardDirty))) == ending
