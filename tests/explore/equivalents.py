"""Every execution of a search against one that differs from it in the order of independent events only."""

from __future__ import annotations

from itertools import islice

from gupsim.explore.subject import program_of, subject_of
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.load import load
from gupsim.search import Dpor
from gupsim.search.runs import Runs
from gupsim.search.strict import latest_first


def kinds_in_both_orders(name: str, chosen: str, limit: int) -> set[str]:
    """Kinds of violations that the first `limit` executions of a scenario show. AssertionError if one of them does
    not show what its equivalent does. chosen: the kernel, as an expectation names it."""
    loaded = load(name)
    runs = Runs(program_of(subject_of(loaded, expected_kernel(loaded.scenario, chosen))))
    seen: set[str] = set()
    for execution in islice(Dpor().executions(runs), limit):
        swapped = runs.end(runs.open(latest_first(runs.order)), ())
        kinds = sorted(found.kind for found in execution.violations)
        assert kinds == sorted(found.kind for found in swapped.violations)
        seen.update(kinds)
    return seen
