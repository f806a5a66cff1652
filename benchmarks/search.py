"""The search: executions in a second, time to verdict, and what the reduction gives."""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from msgspec.structs import replace

from benchmarks import search_peers, search_workers
from benchmarks.contest import Contest, Ratio, cpu_clock
from benchmarks.search_programs import race, shootdown
from benchmarks.table import Row, compared, measured, skipped
from gupsim.search import Dfs, Dpor, Program, Report, Runs, programs, search

SCENARIO: Final = "S01"
ERA: Final = "v4.20"
PATIENCE: Final = 60.0
"""Seconds of CPU that S01 gets; the verdict is reported if it takes less."""

CLIENTS, ASKS = 5, 14
"""Of the world that is only executed again and again: 6 actors, 145 deliveries."""

PEER_LIMIT: Final = 400
"""Executions of a peer: some take a minute for what takes us ten milliseconds."""

OURS: Final = "gupsim"
ACTORS: Final = "actors on a fresh asyncio loop"
LOOP: Final = "coroutines on a fresh asyncio loop"


def rows(rounds: int, *, short: bool) -> list[Row]:
    """All of them. short: smaller programs, and S01 for a few seconds only."""
    found: list[Row] = []
    for name, program in _programs(short=short).items():
        found += _rate(name, program, rounds)
    found += _scenario(seconds=3.0 if short else PATIENCE)
    found += [
        _reduction("shootdown(3)", shootdown(3)),
        _reduction("lastzero(3)", programs.lastzero(3)),
        _reduction("pingers(4)", programs.pingers(4)),
    ]
    found += _again(rounds, 50 if short else 200)
    found += _peers()
    found += search_workers.rows(short=short)
    found.append(_against_spin(4, 2 if short else 3))
    return found


def _programs(*, short: bool) -> dict[str, Program[Any]]:
    if short:
        return {
            "readers(7)": programs.readers(7),
            "lastzero(6)": programs.lastzero(6),
            "mailbox(5)": programs.writers(5),
            "chain(3,3)": programs.chain(3, 3),
            "shootdown(4)": shootdown(4),
        }
    return {
        "readers(10)": programs.readers(10),
        "lastzero(8)": programs.lastzero(8),
        "mailbox(6)": programs.writers(6),
        "chain(4,3)": programs.chain(4, 3),
        "shootdown(5)": shootdown(5),
    }


def _rate(name: str, program: Program[Any], rounds: int) -> list[Row]:
    """Executions in a second of CPU time, replays of the reduction counted as part of the time."""
    rates, verdicts = [], []
    report = search(program, Dpor())
    for _ in range(rounds):
        begin = cpu_clock()
        search(program, Dpor())
        verdicts.append(cpu_clock() - begin)
        rates.append(report.executions / verdicts[-1])
    what = f"{name}: {report.traces:,} traces of {report.depth} events"
    return [
        replace(measured(what, "executions/s", rates), target=2_000.0),
        measured(f"{name}, time to verdict", "ms", [1e3 * spent for spent in verdicts]),
    ]


def _scenario(seconds: float) -> list[Row]:
    """S01 under all its threads' interleavings, checkers included."""
    what = f"{SCENARIO} under {ERA}"
    try:
        from gupsim.explore.subject import scenario_program
    except ImportError as error:
        return [skipped(what, f"not there yet: {error}")]
    from gupsim.scenario.choices import kernel
    from gupsim.scenario.load import load

    runs = Runs(scenario_program(load(SCENARIO).scenario, kernel(ERA).rules))
    executions = events = 0
    begin = cpu_clock()
    for _ in Dpor().executions(runs):
        executions += 1
        events += len(runs.order)
        if cpu_clock() - begin > seconds:
            complete = False
            break
    else:
        complete = True
    spent = cpu_clock() - begin
    said = f"{what}: executions of {events / executions:.0f} events, at most {runs.depth}"
    rate = replace(measured(said, "executions/s", [executions / spent]), target=1_000.0)
    if complete:
        return [rate, measured(f"{what}, {executions:,} traces, time to verdict", "ms", [1e3 * spent])]
    return [rate, skipped(f"{what}, time to verdict", f"undecided after {seconds:g} s and {executions:,} traces")]


def _reduction(name: str, program: Program[Any]) -> Row:
    """How many interleavings stand behind one that is run."""
    reduced, every = search(program, Dpor()), search(program, Dfs())
    factor = every.executions / reduced.executions
    return measured(f"reduction, {name}: {every.executions:,} to {reduced.executions:,}", "x", [factor])


def _again(rounds: int, times: int) -> list[Row]:
    """Re-execution of one world, built from scratch each time, against the same messages on asyncio."""
    contest = Contest({OURS: _execute, ACTORS: _execute_actors, LOOP: _execute_by_hand}, rounds, times)
    what = f"re-execution of {CLIENTS * (1 + 2 * ASKS)} deliveries"
    by_hand = compared(what, LOOP, contest.ratio(OURS, LOOP), 0.0, contest.rate(OURS))
    return [
        compared(what, ACTORS, contest.ratio(OURS, ACTORS), 8.0, contest.rate(OURS)),
        replace(by_hand, target=None),
    ]


def _execute(times: int) -> int:
    runs = Runs(race(CLIENTS, ASKS))
    for _ in range(times):
        run = runs.open()
        pending = run.core.pending
        schedule = []
        while pending:
            mid = next(iter(pending))
            schedule.append(mid)
            runs.pass_by(run, mid)
        runs.end(run, schedule)
    return times


def _execute_actors(times: int) -> int:
    """Actors as asyncio has them: a mailbox and a task for each, and a task for each message, because an actor takes
    the next message while a handler waits."""
    for _ in range(times):
        asyncio.run(search_peers.actors(CLIENTS, ASKS))
    return times


def _execute_by_hand(times: int) -> int:
    """Not actors, but the least that does the same: one loop serves, a future for each answer."""
    for _ in range(times):
        asyncio.run(search_peers.by_hand(CLIENTS, ASKS))
    return times


def _peers() -> list[Row]:
    """Executions in a second against each peer, and how much sooner the verdict is there if both give one."""
    pairs: dict[str, tuple[Program[Any], list[search_peers.Body]]] = {
        "readers(5)": (programs.readers(5), search_peers.readers(5)),
        "lastzero(3)": (programs.lastzero(3), search_peers.lastzero(3)),
        "mailbox(4)": (programs.writers(4), search_peers.mailbox(4)),
        "chain(3,2)": (programs.chain(3, 2), search_peers.chain(3, 2)),
    }
    found = []
    for peer, explore in search_peers.PEERS.items():
        why = search_peers.why_not(peer)
        if why:
            found.append(skipped("executions/s on readers, lastzero, mailbox, chain", why, peer))
            continue
        for name, (program, bodies) in pairs.items():
            found += _against(peer, name, program, partial(explore, bodies, PEER_LIMIT))
    found.append(
        skipped("executions/s on shootdown and S01", "actors with messages: none of the peers has them", "all peers")
    )
    return found


def _against(peer: str, name: str, program: Program[Any], explore: Callable[[], tuple[int, bool]]) -> list[Row]:
    rates, verdicts = [], []
    rate = 0.0
    executions, complete = explore()  # imports
    report = search(program, Dpor())
    for _ in range(3):
        begin = cpu_clock()
        executions, complete = explore()
        theirs = cpu_clock() - begin
        # Ours takes a hundredth of that: repeated, so that the clock has something to measure.
        repeats = max(1, 200 // report.executions)
        begin = cpu_clock()
        for _ in range(repeats):
            report = search(program, Dpor())
        ours = (cpu_clock() - begin) / repeats
        rate = report.executions / ours
        rates.append(rate / (executions / theirs))
        verdicts.append(theirs / ours)
    what = f"{name}, executions/s"
    speed = compared(what, peer, Ratio(median(rates), min(rates), max(rates)), 10.0, rate)
    said = f"{name}, time to verdict: {report.executions} to {executions} executions"
    if not complete:
        return [speed, skipped(said, "the peer did not come to an end", peer)]
    return [speed, Row(what=said, against=peer, value=median(verdicts), least=min(verdicts), most=max(verdicts))]


def _against_spin(clients: int, times: int) -> Row:
    """The race of race.pml: CPU seconds of our search over those of SPIN's, compilation not counted."""
    what = f"race of {clients} clients x {times} requests"
    against = "SPIN with reduction"
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        return skipped(what, "spin or gcc is not installed", against)
    theirs = _spin(clients, times)
    begin = cpu_clock()
    report: Report = search(race(clients, times), Dpor())
    ours = cpu_clock() - begin
    share = 100 * theirs / ours
    # As a speed, so that more is better here as in all other rows: "within 40 times" is 2.5 %.
    said = f"{what}: {report.traces:,} orders, {ours:.1f} s to {theirs:.2f} s"
    target = 100 / 40 if times > 2 else None
    return Row(what=said, against=against, unit="%", value=share, least=share, most=share, target=target)


def _spin(clients: int, times: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(__file__).with_name("race.pml")
        command = ["spin", "-a", f"-DN={clients}", f"-DK={times}", str(model)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        command = ["gcc", "-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(["./pan", "-m10000", "-w24"], cwd=folder, check=True, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "errors: 0" not in done.stdout:
        raise RuntimeError(f"SPIN did not decide the race:\n{done.stdout}")
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
