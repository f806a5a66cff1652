"""The result of a run for a person: what was run, whether it went wrong, and how it came to that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from gupsim.actors.rules import X86
from gupsim.checkers.violation import Violation
from gupsim.protocol.address import local_name
from gupsim.report.clock import Clock
from gupsim.report.outcome import Outcome
from gupsim.report.remarks import remarks
from gupsim.report.wrap import wrapped

WIDTH = 100
"""Columns, unless the terminal has fewer."""

_TOLD = 8
"""Violations that are told in full; of the others only the first line is printed, and beyond twice that the number."""


def print_verdict(console: Console, outcome: Outcome, *, stories: bool = True) -> None:
    """Print the outcome. stories: with the chain of events that led to each violation."""
    for line in verdict_lines(outcome, min(console.width, WIDTH), stories=stories):
        console.print(line, soft_wrap=True, highlight=False)


def verdict_lines(outcome: Outcome, width: int = WIDTH, *, stories: bool = True) -> Iterator[Text]:
    """The lines of the report, each at most `width` columns unless a single word is longer."""
    yield from _what_was_run(outcome, width)
    yield Text()
    yield from _verdict(outcome)
    clock = Clock(outcome.end_time)
    for number, found in enumerate(outcome.violations[: 2 * _TOLD], start=1):
        yield Text()
        yield from _violation(found, number, clock, width, stories=stories and number <= _TOLD)
    left = len(outcome.violations) - 2 * _TOLD
    if left > 0:
        yield Text(f"... and {left} more violations", "dim")
    for claim, shown in outcome.claims.items():
        yield from wrapped(Text(f"{'shows' if shown else 'does not show'}: {claim}"), width, 3)
    for note in outcome.notes:
        yield from wrapped(Text(f"note: {note}", "yellow"), width, 6)
    yield Text()
    yield from _results(outcome, width)
    yield from _numbers("metrics", outcome.metrics, width)
    yield from _numbers("vmstat", outcome.vmstat, width)
    if outcome.trace_sha256:
        yield Text.assemble(("trace    ", "bold"), f"sha256 {outcome.trace_sha256}")
    for warning in outcome.warnings:
        yield from wrapped(Text(f"warning: {warning}", "yellow"), width, 9)


def _what_was_run(outcome: Outcome, width: int) -> Iterator[Text]:
    header = outcome.header
    yield from wrapped(Text(header.scenario, "bold"), width, 0)
    kernel = header.kernel if header.platform == X86 else f"{header.kernel} on {header.platform}"
    policies = ", ".join(header.policies) or "none"
    clock = Clock(outcome.end_time)
    line = Text(
        f"kernel {kernel}, policies: {policies}, seed {header.seed};"
        f" {outcome.events} events, {clock(outcome.end_time)} of virtual time"
    )
    yield from wrapped(line, width, 2)


def _verdict(outcome: Outcome) -> Iterator[Text]:
    if not outcome.violations and outcome.cut:
        yield Text("verdict: undecided, no violation up to where the trace is cut off", "bold yellow")
        return
    if not outcome.violations:
        yield Text("verdict: ok, no violation", "bold green")
        return
    kinds = Counter(found.kind for found in outcome.violations)
    listed = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in kinds.items())
    yield Text(f"verdict: VIOLATION: {listed}", "bold red")


def _violation(found: Violation, number: int, clock: Clock, width: int, *, stories: bool) -> Iterator[Text]:
    title = Text.assemble(
        (f"{number}. {found.kind}", "bold red"), f" at {clock(found.time_ns)}: ", (found.message, "bold")
    )
    yield from wrapped(title, width, 3)
    if not stories or not found.chain:
        return
    yield Text("   how it came to that:", "dim")
    names = [_lane(event.actor, found) for event in found.chain]
    times = [clock(event.time) for event in found.chain]
    wide, far = max(map(len, names)), max(map(len, times))
    indent = 3 + far + 2 + wide + 2
    last = ""
    for event, name, time, remark in zip(found.chain, names, times, remarks(found.chain), strict=True):
        moment = "" if time == last else time
        last = time
        told = event is found.event
        head = Text.assemble(f"   {moment:>{far}}  ", (f"{name:<{wide}}  ", "cyan"))
        yield from wrapped(head + Text(event.point.say(), "bold red" if told else ""), width, indent)
        if remark:
            yield from wrapped(Text(" " * indent) + Text(f"=> {remark}", "yellow"), width, indent + 3)


def _lane(address: str, found: Violation) -> str:
    """Without the host if all of the story happens on one."""
    hosts = {event.actor.partition("/")[0] for event in found.chain}
    return address if len(hosts) > 1 else local_name(address)


def _results(outcome: Outcome, width: int) -> Iterator[Text]:
    if outcome.ended_with:
        told = ", ".join(f"{name} {value}" for name, value in outcome.ended_with.items())
        yield from wrapped(Text.assemble((f"{'outcome':<9}", "bold"), told), width, 9)


def _numbers(title: str, numbers: Mapping[str, int | None], width: int) -> Iterator[Text]:
    """A paragraph of the numbers that are not zero: few enough to be read."""
    told = [f"{name} {value}" for name, value in numbers.items() if value]
    if told:
        yield from wrapped(Text.assemble((f"{title:<9}", "bold"), ", ".join(told)), width, 9)
