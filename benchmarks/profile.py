"""What is in the way: the functions in which a benchmark spends its time."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Final

from rich.table import Table

from benchmarks import ask_reply, phold
from benchmarks.contest import Turn

TOP: Final = 12

UNITS: Final = 20_000

SUBJECTS: Final[dict[str, Callable[[], Turn]]] = {
    "PHOLD, by reference": phold.by_reference,
    "PHOLD, MessagePack on each hop": phold.with_codec,
    "PHOLD, traced": phold.traced,
    "ask/reply, nested": lambda: ask_reply.ours(ask_reply.NestedAsker),
}


def profiles() -> list[Table]:
    """One table for each subject, the most expensive functions first.

    cProfile adds its own cost to each call, so the shares are a hint where to look and no measurement.
    """
    return [_profile(name, make()) for name, make in SUBJECTS.items()]


def _profile(name: str, turn: Turn) -> Table:
    turn(UNITS)
    profile = cProfile.Profile()
    profile.enable()
    units = turn(UNITS)
    profile.disable()
    stats = pstats.Stats(profile)
    drawn = Table(title=f"{name}: {units:,} units", title_justify="left")
    drawn.add_column("function")
    for heading in ("calls each", "own time", "with callees"):
        drawn.add_column(heading, justify="right")
    entries = sorted(stats.stats.items(), key=lambda entry: -entry[1][2])  # type: ignore[attr-defined]
    total = sum(entry[1][2] for entry in entries)
    for (path, line, function), (_, calls, own, whole, _) in entries[:TOP]:
        where = function if path == "~" else f"{path.rpartition('/')[2]}:{line} {function}"
        drawn.add_row(where.replace("[", r"\["), f"{calls / units:.2f}", f"{own / total:.1%}", f"{whole / total:.1%}")
    return drawn
