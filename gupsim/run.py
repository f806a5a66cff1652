"""One simulated history of a scenario, from its first message to the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gupsim.checkers import Suite
from gupsim.outcomes import WitnessReader, shown
from gupsim.outcomes.evidence import decided_of
from gupsim.protocol.director import DIRECTOR
from gupsim.protocol.engine import Stuck
from gupsim.protocol.observer import FileSeen
from gupsim.report.metrics import Metrics
from gupsim.report.outcome import Outcome
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import RULES, Kernel
from gupsim.scenario.load import Loaded
from gupsim.trace import TRACE_VERSION, EventReader, Header, TraceWriter
from gupsim.trace.records import Event
from gupsim.world import World, build

SLICE: Final = 5_000
"""Deliveries between two reports of progress: about a tenth of a second."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to.

    outcome: verdict, violations, metrics, vmstat, trace hash. files: each page of each file at the end.
    """

    loaded: Loaded
    kernel: Kernel
    outcome: Outcome
    files: tuple[FileSeen, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of violations found."""
        return frozenset(found.kind for found in self.outcome.violations)


class Run:
    """A run in the making: everything is wired, nothing has happened yet.

    Call `play` for all of it; or `begin`, then advance `timed` in steps of one's own, then `end`.

    trace: file to write, or None. readers: called with each event as it happens. codec: messages cross their links
    as MessagePack; by reference the history is the same.
    """

    def __init__(
        self,
        loaded: Loaded,
        kernel: Kernel,
        *,
        seed: int = 0,
        trace: Path | str | None = None,
        readers: tuple[EventReader, ...] = (),
        codec: bool = True,
    ) -> None:
        self.loaded = loaded
        self.kernel = kernel
        self.seed = seed
        self.world: World = build(loaded.scenario, kernel.rules, seed=seed, codec=codec)
        self.timed = self.world.timed
        self.reader = WitnessReader()
        self.suite = Suite(beside=(self.reader,))
        self.metrics = Metrics()
        self._files: list[FileSeen] = []
        self._unmet: list[str] = []
        self.writer = TraceWriter(self.timed, header(loaded, kernel, seed), trace)
        for reader in (self.suite.feed, self.metrics.feed, self._observed, *readers):
            self.writer.subscribe(reader)

    def play(self, progress: Callable[[Run], None] | None = None) -> RunResult:
        """From the first message to the verdict. progress: called every now and then."""
        with self.writer:
            self.begin()
            while not self.timed.run(limit=SLICE):
                if progress is not None:
                    progress(self)
            return self.end()

    def begin(self) -> None:
        """Post the first messages."""
        self.world.boot()
        self.world.start()

    def end(self) -> RunResult:
        """Nothing is under way any more: run what comes last, report who waits for ever, look at memory and disks,
        and judge."""
        if self.world.finish():
            self.timed.run()
        self.timed.report_stuck()
        self.world.observe()
        self.timed.run()
        end_time = self.timed.now
        violations = tuple(self.suite.finish(end_time))
        self.timed.close()
        decided = decided_of(self.world.plan.rules)
        shows = shown(self.loaded.scenario, self.kernel, self.reader.witness(decided), {one.kind for one in violations})
        outcome = Outcome(
            header=self.writer.header,
            violations=violations,
            metrics=self.metrics.values(),
            vmstat=self.metrics.vmstat,
            events=self.timed.events,
            end_time=end_time,
            trace_sha256=self.writer.close(decided),
            warnings=tuple(self._unmet),
            results=shows.results,
            ended_with=shows.ended_with,
            claims=shows.claims,
            notes=shows.notes,
        )
        return RunResult(loaded=self.loaded, kernel=self.kernel, outcome=outcome, files=tuple(self._files))

    def _observed(self, event: Event) -> None:
        point = event.point
        if isinstance(point, FileSeen):
            self._files.append(point)
        elif isinstance(point, Stuck) and event.actor == DIRECTOR:
            self._unmet.append(f"{point.context} still waits for {point.awaits}, which has not happened")


def run_scenario(
    loaded: Loaded,
    kernel: Kernel,
    *,
    seed: int = 0,
    trace: Path | str | None = None,
    readers: tuple[EventReader, ...] = (),
    codec: bool = True,
    progress: Callable[[Run], None] | None = None,
) -> RunResult:
    """Play one timed history of a scenario; arguments as of `Run` and `Run.play`."""
    return Run(loaded, kernel, seed=seed, trace=trace, readers=readers, codec=codec).play(progress)


def header(loaded: Loaded, kernel: Kernel, seed: int) -> Header:
    """The header of the trace, without the actors."""
    return Header(
        version=TRACE_VERSION,
        scenario=loaded.scenario.title,
        digest=loaded.digest,
        source=file_form(loaded.scenario),
        kernel=kernel.era,
        policies=kernel.policies,
        rules={rule: str(getattr(kernel.rules, rule).value) for rule in RULES},
        seed=seed,
        actors=(),
        platform=kernel.platform,
    )
