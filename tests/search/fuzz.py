"""The differential fuzzer: ``python -m tests.search.fuzz --minutes N --seed S``.

Each random program is searched with the reduction and in full; where that would take too long, with the reduction
and with a reduction in which nothing commutes. A difference ends it with the program, which the printed seed repeats.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random

from tests.search.compare import compare_with_all, compare_with_plain
from tests.search.random_programs import program, random_spec


class Tally:
    """What was compared so far."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.full = self.single = self.interleavings = self.traces = 0
        self.plain = self.plain_executions = self.commuting = self.large = 0

    def compare(self, number: int, limit: int) -> None:
        """One more program. AssertionError if the searches differ."""
        spec = random_spec(Random(f"{self.seed}/{number}").randrange)
        try:
            outcome = compare_with_all(program(spec), limit)
            if outcome is not None:
                self.full += 1
                self.single += outcome.second == 1
                self.interleavings += outcome.first
                self.traces += outcome.second
                return
            outcome = compare_with_plain(program(spec), 400)
        except BaseException:
            print(f"\nprogram {number} of seed {self.seed}: {spec}", file=sys.stderr)
            raise
        if outcome is None:
            self.large += 1
        else:
            self.plain += 1
            self.plain_executions += outcome.first
            self.commuting += outcome.second

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.full} programs agree with all their interleavings ({self.interleavings}"
            f" interleavings, {self.traces} traces; {self.single} programs have a single trace); {self.plain} larger"
            f" ones agree with the search in which nothing commutes ({self.plain_executions} executions,"
            f" {self.commuting} with commuting); {self.large} too large"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one program to compare")
    parser.add_argument("--limit", type=int, default=1_500, help="interleavings above which not all are tried")
    options = parser.parse_args()
    tally = Tally(options.seed)
    if options.only:
        tally.compare(options.only, options.limit)
    else:
        number = 0
        now = said = time.monotonic()
        end = now + 60 * options.minutes
        while now < end:
            number += 1
            tally.compare(number, options.limit)
            now = time.monotonic()
            if now - said > 60:
                said = now
                print(tally, file=sys.stderr, flush=True)
    print(tally)
    return 0


if __name__ == "__main__":
    sys.exit(main())
