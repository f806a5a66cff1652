"""The observer sees memory and disk as they are at the end."""

from gupsim.protocol.observer import FileSeen, VmstatSeen
from tests.actors.device_world import FILE_PAGES, Machine, step

WRITE = step("write", file="data", value=0x22)


def seen(machine: Machine) -> list[FileSeen]:
    return machine.run().observe().of(FileSeen)


def test_a_file_that_nobody_touched_is_on_disk_only() -> None:
    pages = seen(Machine(app=[step("wait", time="1us")]))
    assert [page.index for page in pages] == list(range(FILE_PAGES))
    assert pages[0] == FileSeen(
        file="data", index=0, pfn=-1, cached=-1, disk=0x11, buffers=False, dirty=False, same=False, intact=True
    )


def test_a_dirty_page_differs_from_the_disk_until_it_is_written() -> None:
    dirty = seen(Machine(app=[WRITE]))[0]
    assert (dirty.cached, dirty.disk, dirty.dirty, dirty.buffers, dirty.same) == (0x22, 0x11, True, True, False)
    clean = seen(Machine(app=[WRITE, step("fsync", file="data")]))[0]
    assert (clean.cached, clean.disk, clean.dirty, clean.buffers, clean.same) == (0x22, 0x22, False, True, True)


def test_vmstat_is_reported_by_kernel_name() -> None:
    machine = Machine(app=[WRITE]).run().observe()
    (vmstat,) = machine.of(VmstatSeen)
    assert (vmstat.host, vmstat.counters["nr_dirty"], vmstat.counters["nr_file_pages"]) == ("h0", 1, 1)
