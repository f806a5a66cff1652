"""What a person gets to see of a replay: what was played, why it goes wrong, and how to play it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any, Final

from rich.text import Text

from gupsim.protocol.steps import word
from gupsim.replay.case import Case
from gupsim.replay.explain import Race, Side, Why, context_name
from gupsim.replay.history import History
from gupsim.replay.minimise import Minimised, Size
from gupsim.replay.replaying import Replayed
from gupsim.report.metrics import Metrics
from gupsim.report.outcome import Outcome
from gupsim.report.wrap import wrapped
from gupsim.run import header

_DIFFERENT: Final = 5
"""Lines of each side of a difference."""

_TURNS: Final = 24
"""Turns of contexts that are listed."""


def command(path: str, *options: str) -> str:
    """The line that replays a file."""
    return " ".join(("gupsim replay", shlex.quote(path), *options))


def outcome_of(replayed: Replayed) -> Outcome:
    """As `gupsim run` shows it."""
    case = replayed.case
    assert case.loaded is not None
    assert case.kernel is not None
    metrics = Metrics()
    for event in replayed.events:
        metrics.feed(event)
    return Outcome(
        header=header(case.loaded, case.kernel, case.seed),
        violations=replayed.violations,
        metrics=metrics.values(),
        vmstat=metrics.vmstat,
        events=len(replayed.history),
        end_time=replayed.history.end_time,
        warnings=tuple(warnings(replayed)),
    )


def warnings(replayed: Replayed) -> Iterator[str]:
    """What was not as recorded, and where that made itself felt."""
    yield from replayed.changes
    if replayed.left is not None:
        yield f"left the recording: {replayed.left}; from there on, the oldest message first"
    elif replayed.changes:
        yield "all the same it was followed to its end"
    if replayed.found is None:
        expected = replayed.recording.expected
        yield f"the recorded violation is not there: {expected.kind}: {expected.message}"


def about(replayed: Replayed, width: int) -> Iterator[Text]:
    """What was played: who found it, how large it is, what is left of its scenario, whose turn it was."""
    recording, history, case = replayed.recording, replayed.history, replayed.case
    found = f"found by {recording.strategy}, seed {recording.seed}; " if recording.strategy else ""
    yield from wrapped(Text(f"replay: {found}{size_in_words(size_of(case, history))}"), width, 8)
    if recording.scenario is not None and recording.scenario.kept:
        yield from wrapped(Text("  of its scenario this is left:"), width, 4)
        yield from steps_left(case, width)
    yield from wrapped(Text(f"  turns: {', '.join(turns(history))}", "dim"), width, 9)


def steps_left(case: Case, width: int) -> Iterator[Text]:
    """The threads and their steps, a line each."""
    if case.scenario is None:
        return
    for name, thread in case.scenario.threads.items():
        yield from wrapped(Text(f"    {name}: {', '.join(map(word, thread.steps))}"), width, 6)


def turns(history: History) -> list[str]:
    """Whose turn it is, one after the other."""
    names: list[str] = []
    for event in history.events:
        if event.label.context and (name := context_name(event)) not in names[-1:]:
            names.append(name)
    if len(names) > _TURNS:
        return [*names[: _TURNS // 2], f"... {len(names) - _TURNS} more ...", *names[-_TURNS // 2 :]]
    return names


def size_of(case: Case, history: History) -> Size:
    """How large an execution is."""
    return Size(*case.size, history.switches, len(history))


def size_in_words(size: Size) -> str:
    """ "3 threads, 6 steps, 10 context switches, 238 events"."""
    scenario = f"{_many(size.threads, 'thread')}, {_many(size.steps, 'step')}, " if size.threads else ""
    return f"{scenario}{_many(size.switches, 'context switch', 'es')}, {_many(size.events, 'event')}"


def shrunk(result: Minimised, width: int) -> Iterator[Text]:
    """What a minimisation came to."""
    line = f"minimised in {_many(result.executions, 'execution')}: from {size_in_words(result.before)}"
    yield from wrapped(Text(line), width, 2)
    yield from wrapped(Text(f"  to {size_in_words(result.after)}", "bold"), width, 2)
    if result.limited:
        yield Text(f"  it {result.limited}: a smaller one may exist", "yellow")


def why_lines(why: Why, width: int) -> Iterator[Text]:
    """The races that decide it, and the difference from the nearest execution that is fine."""
    if not why.races:
        some = "each of them" if why.tried > 1 else "it"
        line = f"turning round one race at a time ({_many(why.tried, 'race')}, {some} still ends in the violation)"
        yield from wrapped(Text(f"why: no single race decides it; {line}" if why.tried else _RACELESS), width, 5)
        return
    yield Text("why: it takes this order; the other way round, it does not happen:", "bold")
    for number, race in enumerate(why.races, start=1):
        yield from _race(race, number, width)
    if why.fine is None:
        return
    clean = "nothing goes wrong" if not why.fine.violations else "this violation does not show"
    differs = ", and then differs:" if why.only_wrong or why.only_fine else "; else the same is told, in another order"
    yield from wrapped(Text(f"   the nearest execution in which {clean} turns race 1 round{differs}", "dim"), width, 3)
    for lines, mark, style in ((why.only_wrong[-_DIFFERENT:], "-", "red"), (why.only_fine[:_DIFFERENT], "+", "green")):
        for line in lines:
            yield from wrapped(Text(f"   {mark} {line}", style), width, 7)


_RACELESS: Final = "why: no race decides it: every interleaving of these steps ends so"


def _race(race: Race, number: int, width: int) -> Iterator[Text]:
    yield from wrapped(Text.assemble((f"{number}. over ", ""), (", ".join(race.objects), "bold")), width, 3)
    yield from _side("first", race.first, width)
    yield from _side("then", race.second, width)


def _side(when: str, side: Side, width: int) -> Iterator[Text]:
    head = Text.assemble(f"   {when:<5} ", (side.context, "cyan"), f" (event {side.number}): ")
    yield from wrapped(head + Text(side.what), width, 9)


def as_json(replayed: Replayed, why: Why | None, result: Minimised | None, file: str) -> dict[str, Any]:
    """The object of ``gupsim replay --json``."""
    recording, case = replayed.recording, replayed.case
    assert case.loaded is not None
    assert case.kernel is not None
    size = size_of(case, replayed.history)
    return {
        "scenario": case.loaded.scenario.title,
        "file": case.loaded.file,
        "kernel": case.kernel.era,
        "platform": case.kernel.platform,
        "policies": list(case.kernel.policies),
        "settings": dict(case.kernel.settings),
        "strategy": recording.strategy,
        "seed": recording.seed,
        "verdict": "violation" if replayed.violations else "ok",
        "violations": [
            {"kind": found.kind, "time_ns": found.time_ns, "message": found.message, "actors": list(found.actors)}
            for found in replayed.violations
        ],
        "expected": {"kind": recording.expected.kind, "message": recording.expected.message},
        "reproduced": replayed.found is not None,
        "changes": list(replayed.changes),
        "left_at": replayed.left.number if replayed.left is not None else None,
        **_sizes(size),
        "minimised": None
        if result is None
        else {"before": _sizes(result.before), "executions": result.executions, "limited": result.limited},
        "why": None if why is None else _why(why),
        "replay": command(file),
    }


def _why(why: Why) -> dict[str, Any]:
    return {
        "races": [
            {"objects": list(race.objects), "first": race.first._asdict(), "then": race.second._asdict()}
            for race in why.races
        ],
        "only_wrong": list(why.only_wrong),
        "only_fine": list(why.only_fine),
        "tried": why.tried,
        "limited": why.limited,
    }


def _sizes(size: Size) -> dict[str, int]:
    return {"threads": size.threads, "steps": size.steps, "switches": size.switches, "events": size.events}


def _many(count: int, noun: str, plural: str = "s") -> str:
    return f"{count} {noun}{'' if count == 1 else plural}"
