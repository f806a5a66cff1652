"""The reduction is optimal: exactly one execution for each trace, on programs whose number of traces is known."""

from __future__ import annotations

from math import comb, factorial
from typing import Any

import pytest

from gupsim.search import Dfs, Dpor, Program, Report, search
from gupsim.search import programs as p

SMALL: list[tuple[str, Program[Any], int]] = [
    *((f"readers({n})", p.readers(n), 2**n) for n in (2, 3, 4, 5)),
    *((f"writers({n})", p.writers(n), factorial(n)) for n in (2, 3, 4, 5)),
    *((f"writers and reader({n})", p.writers_and_reader(n), factorial(n + 1)) for n in (2, 3, 4)),
    *((f"lastzero({n})", p.lastzero(n), traces) for n, traces in ((1, 2), (2, 5), (3, 12))),
    *((f"store buffers({n})", p.store_buffer_ring(n), 2**n - 1) for n in (2, 3)),
    *(
        (f"rmw({n}, {k})", p.rmw(n, k), factorial(n * k) // factorial(k) ** n)
        for n, k in ((2, 2), (2, 3), (3, 1), (3, 2))
    ),
    ("increments(2)", p.increments(2), 4),
    ("increments(3)", p.increments(3), 36),
    ("popl14", p.popl14(), 5),
    *((f"mailbox of {n} writes", p.mailbox_rw(0, n), factorial(n)) for n in (3, 4, 5)),
    *((f"mailbox of {n} for different fields", p.mailbox_independent(n), 1) for n in (2, 5)),
    *(
        (f"mailbox of {r} reads, {w} writes", p.mailbox_rw(r, w), factorial(w) * (w + 1) ** r)
        for r, w in ((3, 1), (2, 2), (3, 2), (1, 3))
    ),
    *((f"grid({a}, {k})", p.grid(a, k), factorial(k) ** a) for a, k in ((2, 2), (3, 2), (2, 3))),
    *((f"fifo({k}, {m})", p.fifo(k, m), comb(k + m, k)) for k, m in ((2, 2), (3, 2), (3, 3))),
    *((f"pingers({n})", p.pingers(n), factorial(n)) for n in (2, 3, 4)),
    *((f"chain({n}, {k})", p.chain(n, k), factorial(k) ** n) for n, k in ((2, 2), (3, 2), (4, 2), (2, 3))),
    *((f"shootdown({c})", p.shootdown(c), 3 * factorial(c)) for c in (1, 2, 3)),
    *((f"{n} additions", p.adders(n), 1) for n in (2, 5)),
    ("4 additions, 1 reader", p.adders(4, reads=1), 2**4),
    ("4 additions, 1 test", p.adders(4, tests=1), 2**4),
    ("3 additions, 2 tests", p.adders(3, tests=2), 2 * 3**3),
    ("(A,B) and (B,A)", p.writes_in_order((0, 1), (1, 0)), 3),
    ("(A,B) twice", p.writes_in_order((0, 1), (0, 1)), 4),
]
LARGE: list[tuple[str, Program[Any], int]] = [
    ("readers(8)", p.readers(8), 256),
    ("lastzero(4)", p.lastzero(4), 28),
    ("lastzero(5)", p.lastzero(5), 64),
    ("lastzero(8)", p.lastzero(8), 704),
    ("store buffers(6)", p.store_buffer_ring(6), 63),
    ("rmw(3, 3)", p.rmw(3, 3), 1680),
    ("grid(3, 3)", p.grid(3, 3), 216),
    ("fifo(4, 4)", p.fifo(4, 4), 70),
    ("pingers(5)", p.pingers(5), 120),
    ("chain(3, 3)", p.chain(3, 3), 216),
    ("chain(4, 3)", p.chain(4, 3), 1296),
    ("shootdown(4)", p.shootdown(4), 72),
    ("5 additions, 1 reader", p.adders(5, reads=1), 32),
]
INTERLEAVINGS = [
    ("shootdown(1)", p.shootdown(1), 12),
    ("shootdown(2)", p.shootdown(2), 123),
    ("shootdown(3)", p.shootdown(3), 2790),
    ("pingers(4)", p.pingers(4), 2520),
]


def exact(program: Program[Any], traces: int) -> Report:
    report = search(program, Dpor())
    assert report.complete
    assert (report.executions, report.traces, report.redundant, report.blocked) == (traces, traces, 0, 0)
    return report


@pytest.mark.parametrize(("name", "program", "traces"), SMALL, ids=[case[0] for case in SMALL])
def test_a_small_program_takes_one_execution_for_each_trace_that_brute_force_finds(
    name: str, program: Program[Any], traces: int
) -> None:
    states: set[object] = set()
    everything = search(program, Dfs(traces=True), each=lambda execution: states.add(execution.state))
    assert everything.complete
    assert everything.traces == traces
    reduced: set[object] = set()
    assert search(program, Dpor(), each=lambda execution: reduced.add(execution.state)).executions == traces
    assert reduced == states
    exact(program, traces)


@pytest.mark.parametrize(("name", "program", "traces"), LARGE, ids=[case[0] for case in LARGE])
def test_a_larger_program_takes_as_many_executions_as_its_formula_says(
    name: str, program: Program[Any], traces: int
) -> None:
    exact(program, traces)


@pytest.mark.parametrize(("name", "program", "orders"), INTERLEAVINGS, ids=[case[0] for case in INTERLEAVINGS])
def test_the_number_of_interleavings_without_reduction_is_the_known_one(
    name: str, program: Program[Any], orders: int
) -> None:
    assert search(program, Dfs()).executions == orders
