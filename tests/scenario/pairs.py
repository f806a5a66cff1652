"""Every two operations on one mapping against each other: nothing gets stuck, fails, leaks or reads what nobody stored.

The long run is ``python -m tests.scenario.pairs --seconds N --seed S``; the tests play a part of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import combinations_with_replacement
from random import Random
from typing import Any, Final

from gupsim.explore.subject import scenario_program
from gupsim.protocol.memmap import Page, PageAlloc, PageFlags, PageFree
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.process import StepEnd
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load_text
from gupsim.search import Dpor, Program, search

OPERATIONS: Final = {
    "fork": ["fork: {child: kid}"],
    "mprotect": [
        "mprotect: {map: buf, page: 0, pages: 1, prot: r}",
        "mprotect: {map: buf, page: 0, pages: 1, prot: rw}",
    ],
    "shrink": ["shrink: {pages: 4, force: true}"],
    "pageout": ["madvise: {map: buf, advice: pageout}"],
    "migrate": ["migrate: {map: buf}"],
    "collapse": ["collapse: {map: buf}"],
    "store": ["store: {map: buf, page: 1, value: 7}", "store: {map: buf, value: 7}"],
    "fast-pin": ["pin: {as: fast, device: nic, map: buf, page: 1, flags: [write, fast]}", "unpin: {pin: fast}"],
    "slow-pin": ["pin: {as: slow, device: nic, map: buf, pages: 2, flags: [write]}", "unpin: {pin: slow}"],
    "mremap": ["mremap: {map: buf, as: moved}"],
    "dontneed": ["madvise: {map: buf, page: 1, pages: 1}"],
    "munmap": ["munmap: {map: buf}"],
    "free": ["madvise: {map: buf, advice: free}"],
}
KERNELS: Final = ("v3.17", "v4.20", "v6.12")
LOADED: Final = {"5", "7", "0", "SIGSEGV", "no-such-map"}
"""What a load may see: one of the stores, a page that is fresh, or nothing."""
_ONCE: Final = {"fork", "mremap", "fast-pin", "slow-pin"}
"""Their names may be given once."""


def pairs() -> list[tuple[str, str]]:
    """All that can be played side by side."""
    return [(one, other) for one, other in combinations_with_replacement(OPERATIONS, 2) if not one == other in _ONCE]


def form(one: str, other: str, huge: str) -> str:
    """The scenario of a pair. huge: value of thp_enabled."""
    lines = [
        f"title: {one} against {other}",
        "machine: {cpus: 2, memory: 64KiB, chunks: 1, levels: 4, table_bits: 1, swap: 8, devices: {nic: {}}}",
        f"rules: {{thp_enabled: {huge}}}",
        "threads:",
        "  app:",
        "    steps:",
        "      - mmap: {as: buf, pages: 2, align: 8192}",
        "      - store: {map: buf, value: 5}",
        "      - store: {map: buf, page: 1, value: 5}",
        "        label: ready",
        *(f"      - {step}" for step in OPERATIONS[one]),
        "  other:",
        "    process: app",
        "    cpu: 1",
        "    begins: ready",
        "    steps:",
        *(f"      - {step}" for step in OPERATIONS[other]),
    ]
    if "fork" in (one, other):
        lines += ["  kid:", "    cpu: 1", "    steps:", "      - load: {map: buf}", "      - exit"]
    name = "moved" if "mremap" in (one, other) else "buf"
    lines += ["  last:", "    process: app", "    last: true", "    steps:", f"      - load: {{map: {name}}}"]
    lines += [f"      - load: {{map: {name}, page: 1}}", "      - exit"]
    return "\n".join(lines) + "\n"


class _History:
    """What one execution showed."""

    def __init__(self) -> None:
        self.allocated: set[int] = set()
        self.in_swap_cache: set[int] = set()
        self.loaded: set[str] = set()
        self.ended = False

    def see(self, point: Tracepoint) -> None:
        match point:
            case PageAlloc():
                self.allocated.update(range(point.pfn, point.pfn + (1 << point.order)))
            case PageFree():
                self.allocated.difference_update(range(point.pfn, point.pfn + (1 << point.order)))
            case PageFlags() if point.set & Page.SWAPCACHE:
                self.in_swap_cache.add(point.pfn)
            case PageFlags() if point.cleared & Page.SWAPCACHE:
                self.in_swap_cache.discard(point.pfn)
            case StepEnd():
                self.ended |= point.thread == "last" and point.text.startswith("exit")
                if point.text.startswith("load"):
                    self.loaded.add(point.result)


def wrong(one: str, other: str, huge: str, kernel: str, *, limit: int, seconds: float = 1e9) -> list[str]:
    """What is wrong in any of the first `limit` interleavings of a pair; [] if nothing is. seconds: at most."""
    scenario = load_text(form(one, other, huge)).scenario
    program = scenario_program(scenario, expected_kernel(scenario, kernel).rules)
    histories: list[_History] = []

    def build(world: Any) -> Any:
        history = _History()
        built = program.build(world)
        histories.append(history)
        world.on_tracepoint(lambda _, point: history.see(point))
        return built

    began = time.monotonic()
    over = Program(build, program.check)
    report = search(over, Dpor(), limit=limit, stop=lambda _: time.monotonic() - began > seconds)
    said = [f"{kind}: {found.message}" for kind, found in report.found.items()]
    # What reclaim was at work on when its last user went stays in the swap cache until reclaim comes by again.
    leaks = sum(1 for history in histories if history.ended and history.allocated - history.in_swap_cache)
    if leaks:
        said.append(f"{leaks} executions of {len(histories)} leak memory")
    strange = set().union(*(history.loaded for history in histories)) - LOADED
    if strange:
        said.append(f"loads saw {sorted(strange)}")
    return said


def cases() -> Iterator[tuple[str, str, str, str]]:
    """All pairs, with and without huge pages, in each kernel."""
    for one, other in pairs():
        for huge in ("always", "never"):
            for kernel in KERNELS:
                yield one, other, huge, kernel


def main() -> int:
    """Play cases in random order until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, default=250, help="interleavings of a case at most")
    options = parser.parse_args()
    todo = list(cases())
    Random(options.seed).shuffle(todo)
    end = time.monotonic() + options.seconds
    played = bad = 0
    for case in todo:
        if time.monotonic() > end:
            break
        played += 1
        said = wrong(*case, limit=options.limit, seconds=10.0)
        if said:
            bad += 1
            print(*case, said, flush=True)
    print(f"{played} of {len(todo)} cases played, {bad} show something wrong")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
