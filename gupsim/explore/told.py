"""What `gupsim explore` says: for people and as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from gupsim.checkers import KINDS
from gupsim.explore.goals import Expected, Outcome
from gupsim.explore.litmus import table, table_json, test_name
from gupsim.explore.session import Session
from gupsim.explore.tally import Tally
from gupsim.report.verdict import WIDTH
from gupsim.report.wrap import wrapped

_JOINED = "\u00a0"
_STYLES = {True: "green", False: "red", None: "yellow"}
_MARKS = {True: "as expected", False: "NOT AS EXPECTED", None: "undecided"}


def print_head(console: Console, session: Session) -> None:
    """Which scenario."""
    console.print(Text.assemble((session.loaded.scenario.title, "bold"), f"  ({session.loaded.file})"), soft_wrap=True)


def print_outcome(console: Console, outcome: Outcome) -> None:
    """One kernel: each expectation, what else was found, and how far the search came."""
    tally = outcome.tally
    console.print()
    console.print(Text.assemble((outcome.goal.kernel.title(), "bold"), f": {_how_far(tally)}"))
    for expected in outcome.expected:
        mark = f"[{_MARKS[expected.held]}]".replace(" ", _JOINED)
        _print(console, Text.assemble("  ", (_sentence(expected, tally), _STYLES[expected.held]), f"  {mark}"), 6)
        _print_found(console, outcome, expected.kind)
    mentioned = {expected.kind for expected in outcome.expected}
    for kind in sorted(set(tally.found) - mentioned):
        count = tally.found[kind]
        said = f"  {kind} found after {_number(count.executions_until_found)}; the file says nothing of it"
        _print(console, Text(said, _STYLES[False] if outcome.goal.open or kind == "actor-failed" else ""), 6)
        _print_found(console, outcome, kind)
    if outcome.goal.open and not tally.found and tally.complete:
        said = f"no interleaving of {_number(tally.traces or tally.executions, 'trace')} shows a violation"
        proved = not outcome.vacuous
        _print(console, Text(f"  {'proved' if proved else 'vacuous'}: {said}", _STYLES[proved or None]), 6)
    _print_gaps(console, outcome)
    if tally.promise and not tally.complete and tally.strategy not in ("dpor", "dfs"):
        _print(console, Text(f"  {tally.promise}"), 4)


def _print(console: Console, text: Text, indent: int) -> None:
    """In lines as all other output has; a blank that is `_JOINED` is none to break at."""
    for line in wrapped(text, min(console.width, WIDTH), indent):
        shown = Text(line.plain.replace(_JOINED, " "), line.style, spans=line.spans)
        shown.rstrip()
        console.print(shown, soft_wrap=True)


def print_end(console: Console, session: Session) -> None:
    """The last line."""
    total = len(session.goals)
    verdicts = [outcome.verdict for outcome in session.outcomes]
    held = sum(outcome.held is True for outcome in session.outcomes)
    vacuous = verdicts.count("vacuous")
    failed = sum(outcome.held is False for outcome in session.outcomes) - vacuous
    undecided = total - held - failed - vacuous
    parts = [f"{held} of {total} kernels as expected"]
    parts += [f"{failed} not"] if failed else []
    parts += [f"{vacuous} vacuous"] if vacuous else []
    parts += [f"{undecided} undecided"] if undecided else []
    console.print()
    console.print(Text(", ".join(parts), _STYLES[session.held]))


def session_json(session: Session) -> dict[str, Any]:
    """The object of --json. With one kernel, `kernel`, `platform` and `policies` name it; with several,
    see `searches`."""
    outcomes = session.outcomes
    single = outcomes[0].goal.kernel if len(session.goals) == 1 and outcomes else None
    tallies = [outcome.tally for outcome in outcomes]
    return {
        "scenario": session.loaded.scenario.title,
        "file": session.loaded.file,
        "digest": session.loaded.digest,
        "kernel": single.era if single else None,
        "platform": single.platform if single else None,
        "policies": list(single.policies) if single else None,
        "strategy": session.strategy,
        "verdict": session.verdict,
        "complete": len(outcomes) == len(session.goals) and all(tally.complete for tally in tallies),
        **{name: sum(getattr(tally, name) for tally in tallies) for name in _COUNTS},
        **({"outcomes": tables} if (tables := _tables(session)) else {}),
        "violations": [found for outcome in outcomes for found in _violations(outcome)],
        "expectations": [msgspec.to_builtins(expected) for outcome in outcomes for expected in outcome.expected],
        "wall_s": round(sum(tally.wall_s for tally in tallies), 3),
        "searches": [_search_json(outcome) for outcome in outcomes],
    }


_COUNTS = ("executions", "traces", "redundant", "blocked", "events")


def print_outcomes(console: Console, session: Session) -> None:
    """The table of outcomes of each kernel, as herd7 would print it; nothing else is to be read off it."""
    name = test_name(session.loaded.file)
    for outcome in session.outcomes:
        console.print()
        for line in table(name, outcome):
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def _tables(session: Session) -> list[dict[str, Any]]:
    name = test_name(session.loaded.file)
    return [table_json(name, outcome) for outcome in session.outcomes] if session.states else []


def _search_json(outcome: Outcome) -> dict[str, Any]:
    tally, chosen = outcome.tally, outcome.goal.kernel
    return {
        "kernel": chosen.era,
        "platform": chosen.platform,
        "policies": list(chosen.policies),
        "settings": dict(chosen.settings),
        "verdict": outcome.verdict,
        "complete": tally.complete,
        "why": tally.why,
        **{name: getattr(tally, name) for name in _COUNTS},
        "depth": tally.depth,
        "promise": tally.promise,
        "rests_on": _rests_on(outcome),
        "wall_s": round(tally.wall_s, 3),
    }


def _rests_on(outcome: Outcome) -> dict[str, Any]:
    """What was tried, and what was not."""
    evidence = outcome.tally.outcomes.evidence
    return {
        "steps_that_succeeded": len(evidence.succeeded),
        "threads_that_ended": len(evidence.ended),
        "vacuous": outcome.vacuous,
        "reason": outcome.goal.reason,
        "gaps": [msgspec.to_builtins(gap) for gap in outcome.gaps],
    }


def _violations(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {
            "kernel": outcome.goal.kernel.title(),
            "kind": seen.kind,
            "message": seen.message,
            "replay": outcome.replays.get(seen.kind),
            "executions_until_found": seen.executions_until_found,
            "executions": seen.executions,
        }
        for _, seen in sorted(outcome.tally.found.items())
        if seen.kind in KINDS or seen.kind == "actor-failed"
    ]


def _print_gaps(console: Console, outcome: Outcome) -> None:
    """What the proof does not rest on."""
    for gap in outcome.gaps:
        _print(console, Text(f"    {gap.says}", "yellow" if gap.vacuous and not outcome.goal.reason else ""), 8)
    if outcome.goal.reason and any(gap.vacuous for gap in outcome.gaps):
        _print(console, Text(f"    allowed by the file: {outcome.goal.reason}"), 8)


def _print_found(console: Console, outcome: Outcome, kind: str) -> None:
    seen = outcome.tally.found.get(kind)
    if seen is None:
        return
    if kind in KINDS:
        _print(console, Text(f"    {seen.message}"), 8)
    replay = outcome.replays.get(kind)
    again = f"gupsim replay {replay}" if replay else f"a schedule of {len(seen.schedule)} events"
    console.print(Text(f"    {again}"), soft_wrap=True)


def _sentence(expected: Expected, tally: Tally) -> str:
    if expected.verdict == "found":
        until = _number(tally.found[expected.kind].executions_until_found)
        return f"{expected.kind} is reachable: found after {until}"
    if expected.verdict == "vacuous":
        seen = _number(tally.traces, "trace") if tally.traces else _number(tally.executions)
        return f"{expected.kind} is unreachable, but the proof is vacuous: no interleaving of {seen} tried it"
    if expected.verdict == "proved":
        seen = _number(tally.traces, "trace") if tally.traces else _number(tally.executions)
        return f"{expected.kind} is unreachable: proved, no interleaving of {seen}"
    return f"{expected.kind} should be {expected.expect}: not found in {_number(tally.executions)}"


def _how_far(tally: Tally) -> str:
    far = _number(tally.traces, "trace") if tally.traces else _number(tally.executions)
    return f"{far} in {tally.wall_s:.1f} s, {'complete' if tally.complete else tally.why or 'not begun'}"


def _number(count: int, unit: str = "execution") -> str:
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
