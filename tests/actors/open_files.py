"""Programs with rings and pipes on a machine that is built as for a scenario, and what came of each of their steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from gupsim.actors.rules import ERAS
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.observer import Observe, VmstatSeen
from gupsim.protocol.process import StepEnd
from gupsim.protocol.steps import AnyStep
from gupsim.scenario.model import Disk, File, FileSystem, Machine, Scenario, Thread
from gupsim.world import World, build
from tests.actors.device_world import step

T = TypeVar("T", bound=Tracepoint)


class Played:
    """One history of some threads, each a process of its name. File `data`: 4 pages of 0x11."""

    def __init__(self, era: str = "v6.12", rules: dict[str, Any] | None = None, **threads: Sequence[AnyStep]) -> None:
        scenario = Scenario(
            title="a test",
            machine=Machine(
                memory=4096,
                chunks=1,
                filesystems={"ext4": FileSystem(device="sda", files={"data": File(pages=4, fill=0x11)})},
                disks={"sda": Disk()},
            ),
            threads={name: Thread(steps=tuple(steps)) for name, steps in threads.items()},
        )
        self.world: World = build(scenario, replace(ERAS[era][0], **(rules or {})))
        self.seen: list[Tracepoint] = []
        self.world.timed.on_tracepoint(lambda _, point: self.seen.append(point))
        self.world.boot()
        self.world.start()
        self.world.timed.run_all(1_000_000)
        assert self.world.timed.report_stuck() == 0, [point.say() for point in self.seen[-5:]]

    def of(self, kind: type[T]) -> list[T]:
        """All tracepoints of one kind."""
        return [point for point in self.seen if isinstance(point, kind)]

    def results(self, thread: str = "app") -> list[str]:
        """What each step of a thread ended with."""
        return [point.result for point in self.of(StepEnd) if point.thread == thread]

    def counters(self) -> tuple[int, int]:
        """nr_foll_pin_acquired, nr_foll_pin_released."""
        self.world.timed.post("h0/observer", Observe("h0/memmap", ()), self.world.timed.now)
        self.world.timed.run_all(1_000)
        counters = self.of(VmstatSeen)[-1].counters
        return counters["nr_foll_pin_acquired"], counters["nr_foll_pin_released"]


__all__ = ["Played", "step"]
