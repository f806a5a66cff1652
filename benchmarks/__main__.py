"""python -m benchmarks: gupsim beside its peers, in ratios that another machine can repeat."""

from __future__ import annotations

import argparse
import sys

import msgspec
from rich.console import Console

from benchmarks import ask_reply, kernel, phold, search
from benchmarks.profile import profiles
from benchmarks.table import Row, table

MIN_ROUNDS = 5
SLACK = 0.8
"""Part of a target that --gate demands: on a busy machine a median of five rounds is off by as much."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help=f"at least {MIN_ROUNDS}; default: 9")
    parser.add_argument("--short", action="store_true", help="small portions and 5 rounds: a minute's look")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--gate", action="store_true", help="fail if a median is more than 20 %% below its target")
    parser.add_argument("--profile", action="store_true", help="show where the time goes instead")
    options = parser.parse_args()
    if options.rounds < MIN_ROUNDS:
        parser.error(f"--rounds {options.rounds}: a median of fewer than {MIN_ROUNDS} says nothing")
    if options.profile and options.json:
        parser.error("--profile is for people: it has no --json form")
    return options


def _rows(rounds: int, *, short: bool) -> list[Row]:
    status = Console(stderr=True)
    found: list[Row] = []
    with status.status("PHOLD"):
        found += phold.rows(rounds, short=short)
    with status.status("ask/reply"):
        found += ask_reply.rows(rounds, short=short)
    with status.status("kernel"):
        found += [kernel.workload(rounds), kernel.page_cost()]
    with status.status("search"):
        found += search.rows(rounds, short=short)
    return found


def main() -> int:
    """Print what was asked for; 1 if a gate was asked for and does not hold."""
    options = _options()
    # A pipe has no width of its own; the table needs so much.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if options.profile:
        for drawn in profiles():
            console.print(drawn)
        return 0
    rows = _rows(MIN_ROUNDS if options.short else options.rounds, short=options.short)
    if options.json:
        report = [{**msgspec.structs.asdict(row), "verdict": row.verdict} for row in rows]
        sys.stdout.write(msgspec.json.encode({"rows": report}).decode() + "\n")
    else:
        console.print(table(rows))
    held = all(row.value is None or row.target is None or row.value >= SLACK * row.target for row in rows)
    return 1 if options.gate and not held else 0


if __name__ == "__main__":
    sys.exit(main())
