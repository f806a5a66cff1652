"""FOLL_FORCE through a read-only mapping of a file (S13, Dirty COW): every interleaving of a write and a madvise."""

from __future__ import annotations

import json

import pytest

from gupsim.explore.subject import scenario_program
from gupsim.protocol.memmap import PageMapping
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.scenario.choices import kernel_of
from gupsim.scenario.load import load_text
from gupsim.search import Dpor, ExploredWorld, Program, search

SCENARIO = {
    "title": "a forced write against madvise",
    "machine": {
        "cpus": 2,
        "memory": "64KiB",
        "chunks": 1,
        "levels": 2,
        "table_bits": 3,
        "disks": {"sda": {"blocks": 4}},
        "filesystems": {"ext4": {"device": "sda", "files": {"passwd": {"pages": 1, "fill": 1}}}},
        "devices": {"nic": {}},
    },
    "threads": {
        "writer": {
            "process": "app",
            "cpu": 0,
            "steps": [
                {"mmap": {"as": "buf", "file": "passwd", "prot": "r", "shared": False}},
                {"load": {"map": "buf"}, "label": "read"},
                {"pin": {"as": "mem", "device": "nic", "map": "buf", "flags": ["write", "force", "get"]}},
            ],
        },
        "madviser": {
            "process": "app",
            "cpu": 1,
            "begins": "read",
            "steps": [{"madvise": {"map": "buf"}}],
        },
    },
}


def pages_of_the_file(era: str) -> set[bool]:
    """Was the page that the forced write got one of the page cache? The answers of all interleavings."""
    program = scenario_program(load_text(json.dumps(SCENARIO)).scenario, kernel_of(era, "").rules)
    answers: set[bool] = set()

    def build(world: ExploredWorld) -> object:
        subject = program.build(world)
        cached: set[int] = set()

        def watch(_: str, point: Tracepoint) -> None:
            if isinstance(point, PageMapping):
                (cached.add if point.ino else cached.discard)(point.pfn)
            elif isinstance(point, PagesPinned):
                answers.add(any(pfn in cached for pfn in point.pfns))

        world.on_tracepoint(watch)
        return subject

    report = search(Program(build, program.check), Dpor())
    assert report.complete
    return answers


@pytest.mark.parametrize(("era", "dirty_cow"), [("v3.17", True), ("v4.20", False), ("v5.12", False), ("v6.12", False)])
def test_a_forced_write_gets_a_page_of_the_file_only_where_the_write_flag_is_dropped(era: str, dirty_cow: bool) -> None:
    assert (True in pages_of_the_file(era)) is dirty_cow
