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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one program to compare")
    parser.add_argument("--limit", type=int, default=1_500, help="interleavings above which not all are tried")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    number = full = single = traces = interleavings = plain = plain_traces = commuting = large = 0
    while time.monotonic() < end:
        number += 1
        if options.only:
            number = options.only
        spec = random_spec(Random(f"{options.seed}/{number}").randrange)
        try:
            outcome = compare_with_all(program(spec), options.limit)
            if outcome is not None:
                full += 1
                single += outcome.second == 1
                interleavings += outcome.first
                traces += outcome.second
            else:
                outcome = compare_with_plain(program(spec), 400)
                plain += outcome is not None
                large += outcome is None
                if outcome is not None:
                    plain_traces += outcome.first
                    commuting += outcome.second
        except BaseException:
            print(f"\nprogram {number} of seed {options.seed}: {spec}", file=sys.stderr)
            raise
        if options.only:
            break
    print(
        f"seed {options.seed}: {full} programs agree with all their interleavings ({interleavings} interleavings,"
        f" {traces} traces; {single} programs have a single trace); {plain} larger ones agree with the search in which"
        f" nothing commutes ({plain_traces} executions, {commuting} with commuting); {large} too large"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
