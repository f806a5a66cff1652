"""Playing a history for `gupsim run`: at full speed with a progress display, or in slow motion; and showing it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.text import Text

from gupsim.checkers.story import is_noise
from gupsim.cli.console import INTERRUPTED, OK, VIOLATION, say_json, stdout
from gupsim.cli.interrupt import Interrupts
from gupsim.cli.progress import RunProgress
from gupsim.protocol.address import local_name
from gupsim.protocol.units import duration
from gupsim.report import Outcome, Timeline, as_json, print_verdict
from gupsim.report.rate import rates, rates_json
from gupsim.report.verdict import WIDTH
from gupsim.report.wrap import wrapped
from gupsim.run import Run, RunResult, run_scenario
from gupsim.scenario.choices import Kernel, settings_of
from gupsim.scenario.load import Loaded
from gupsim.trace import Event

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Played(msgspec.Struct, frozen=True):
    """A finished run and, if one was asked for, its timeline."""

    result: RunResult
    timeline: Timeline | None

    @property
    def outcome(self) -> Outcome:
        """What came of it."""
        return self.result.outcome


def play(loaded: Loaded, kernel: Kernel, *, seed: int, trace: Path | None, timeline: bool, pace: float) -> Played:
    """Run the scenario. pace: real seconds for a virtual microsecond, 0 for full speed."""
    drawing = Timeline() if timeline else None
    readers = [drawing.feed] if drawing is not None else []
    if pace:
        narrator = Narrator(stdout())
        run = Run(loaded, kernel, seed=seed, trace=trace, readers=(narrator.feed, *readers))
        return Played(_in_event_loop(slow_motion(run, pace)), drawing)
    run = Run(loaded, kernel, seed=seed, trace=trace, readers=tuple(readers))
    with Interrupts() as interrupts, RunProgress() as progress:

        def between_slices(run: Run) -> None:
            interrupts.check()
            progress(run)

        return Played(run.play(between_slices), drawing)


def how_often(loaded: Loaded, kernel: Kernel, seeds: range, *, as_json: bool) -> int:
    """Play a history for each seed and say in how many of them what was wrong. Exit status 1 if something was.
    Ctrl-C ends it with what there is by then."""
    shown: list[tuple[int, frozenset[str]]] = []
    interrupted = False
    with Interrupts() as interrupts, RunProgress() as progress:

        def between_slices(run: Run) -> None:
            interrupts.check()
            progress(run)

        try:
            for seed in seeds:
                shown.append((seed, frozenset(run_scenario(loaded, kernel, seed=seed, progress=between_slices).kinds)))
                interrupts.check()
        except KeyboardInterrupt:
            interrupted = True
    if not shown:
        return INTERRUPTED
    found = rates(shown)
    if as_json:
        say_json(
            {
                "scenario": loaded.scenario.title,
                "kernel": kernel.title(),
                "seeds": [shown[0][0], shown[-1][0]],
                "violations": rates_json(found),
                "interrupted": interrupted,
            }
        )
    else:
        console = stdout()
        lines = [
            Text(loaded.scenario.title, "bold"),
            Text(f"kernel {kernel.title()}; one history for each seed"),
            Text(),
        ]
        lines += [Text(f"{kind:<20} {rate.say()}", "red" if rate.hits else "green") for kind, rate in found.items()]
        for line in lines:
            for part in wrapped(line, min(console.width, WIDTH), 21):
                console.print(part, soft_wrap=True)
    if interrupted:
        return INTERRUPTED
    return VIOLATION if found["any"].hits else OK


def show(played: Played, console: Console) -> None:
    """Timeline if there is one, and the verdict."""
    outcome = played.outcome
    if played.timeline is not None:
        played.timeline.print(console, outcome.violations)
        console.print()
    wanted = played.result.loaded.scenario.metrics
    if wanted:
        outcome = msgspec.structs.replace(outcome, metrics={name: outcome.metrics[name] for name in wanted}, vmstat={})
    show_outcome(outcome, console)


def show_outcome(outcome: Outcome, console: Console) -> None:
    """The verdict, after a line about single rules that were set."""
    header = outcome.header
    settings = settings_of(header.kernel, header.platform, header.policies, header.rules)
    if settings:
        console.print(f"rules set: {', '.join(f'{rule}={value}' for rule, value in settings.items())}")
    print_verdict(console, outcome)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The object of --json: of `run` and of `check` alike."""
    header = outcome.header
    return {**as_json(outcome), "settings": settings_of(header.kernel, header.platform, header.policies, header.rules)}


class Narrator:
    """Prints each event at the moment at which it happens, for slow motion."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def feed(self, event: Event) -> None:
        """Say one event, unless nobody would miss it."""
        if not is_noise(event.point):
            head = f"{duration(event.time):>12}  {local_name(event.actor):<16}"
            self._console.print(Text.assemble((head, "cyan"), f" {event.point.say()}"), soft_wrap=True)


async def slow_motion(run: Run, pace: float) -> RunResult:
    """Play with `pace` real seconds for each microsecond of virtual time; the history is the same."""
    with run.writer:
        run.begin()
        began = time.monotonic()

        def pause(now: int) -> float:
            return max(began + now / 1000 * pace - time.monotonic(), 0)

        # One delivery a slice: the next one must not come before its time.
        await run.timed.arun(slice_events=1, pause=pause)
        return run.end()


def _in_event_loop(work: Coroutine[Any, Any, RunResult]) -> RunResult:
    """On uvloop, where it exists."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)
