"""`gupsim explore`: all histories of a scenario, and what they prove."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gupsim.cli.console import INTERRUPTED, OK, UNDECIDED, VIOLATION, refuse, say_json, stdout, warn
from gupsim.cli.file_kind import elsewhere
from gupsim.cli.interrupt import Interrupts
from gupsim.cli.options import JsonOption, KernelOption, PlatformOption, PolicyOption, SetOption, chosen_kernel
from gupsim.protocol.units import UnitError, nanoseconds
from gupsim.scenario.load import load
from gupsim.whole import try_folder

if TYPE_CHECKING:
    from gupsim.explore.conduct import Limits
    from gupsim.explore.pools import Pool
    from gupsim.explore.session import Session
    from gupsim.explore.tally import Seen
    from gupsim.scenario.choices import Kernel
    from gupsim.scenario.goals import Goal
    from gupsim.scenario.load import Loaded


def explore(
    scenario: Annotated[
        str, typer.Argument(help="S01, the name of a scenario file, or a path.", metavar="[SCENARIO]")
    ] = "",
    *,
    kernel: KernelOption = "",
    platform: PlatformOption = "",
    policy: PolicyOption = None,
    settings: SetOption = None,
    strategy: Annotated[
        str, typer.Option("--strategy", metavar="NAME", help="dpor, dfs, random, pos or pct.", show_default=True)
    ] = "dpor",
    limit: Annotated[
        str, typer.Option("--limit", metavar="N|TIME", help="For each kernel: 10000 executions, or a time, as 60s.")
    ] = "",
    workers: Annotated[int, typer.Option("--workers", "-w", metavar="N", min=1, max=1024, help="Processes.")] = 1,
    dask: Annotated[
        str, typer.Option("--dask", metavar="ADDRESS", help="Search on a Dask cluster, as tcp://host:8786.")
    ] = "",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="For replay and state files.")] = Path("replays"),
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="Search to the end and print all final outcomes, as herd7 does.")
    ] = False,
    reachable: Annotated[
        list[str] | None,
        typer.Option("--reachable", metavar="CLAIM", help="Expect this instead of what the file does. Repeatable."),
    ] = None,
    unreachable: Annotated[
        list[str] | None,
        typer.Option("--unreachable", metavar="CLAIM", help='As "again=ENOMEM & seen=0x22", "data-loss". Repeatable.'),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Of random strategies.")] = 0,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Search to the end, not to the first violation of each kind.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="STATE", help="Go on with a search that was stopped.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Search the interleavings of a scenario and check what its file expects of each kernel.

    Exit status 0 if all expectations hold, 1 if one does not or its proof is vacuous, 3 if the limit ended the search
    before that was known.
    """
    limits = _limits(limit)
    if workers > 1 and dask:
        refuse("explore: --workers and --dask: one or the other; a cluster has its own workers")
    session = _session(
        scenario,
        resume,
        chosen=(kernel, platform, policy, settings),
        strategy=strategy,
        seed=seed,
        keep_going=keep_going,
        outcomes=outcomes,
        claims=(tuple(reachable or ()), tuple(unreachable or ())),
    )
    # The engine and the actors take a quarter of a second to import: not before the input is known to be good.
    from gupsim.cli.explore_progress import ExploreProgress
    from gupsim.explore.errors import ExploreError, ExploreFailed
    from gupsim.explore.told import print_end, print_head, print_outcome, print_outcomes, session_json

    session.save_replay = _Replays(session, out)
    try:
        _try_out(out)
        pool = _pool(workers, dask)
        console = None if as_json else stdout()
        if console is not None:
            print_head(console, session)
            for done in session.outcomes:
                print_outcome(console, done)
        try:
            with Interrupts() as interrupts, ExploreProgress(session) as progress:
                progress.tell = None if console is None else lambda outcome: print_outcome(console, outcome)
                session.run(pool, limits, progress, interrupts.check)
        finally:
            pool.close()
        if pool.replaced:
            warn(f"worker processes died {pool.replaced} time(s); their work was done again")
        if session.gone:
            warn(f"explore: the search is not over: {session.gone}")
        hint = _save_state(session, out)
    except ExploreError as error:
        refuse(f"explore: {error}")
    except ExploreFailed as error:
        raise RuntimeError(f"the search failed: {error}") from error
    if console is None:
        say_json({**session_json(session), "state": hint})
    else:
        if session.states:
            print_outcomes(console, session)
        print_end(console, session)
        if hint:
            console.print(f"go on with: gupsim explore --resume {hint}", soft_wrap=True)
    if session.held is not None:
        return OK if session.held else VIOLATION
    return INTERRUPTED if session.interrupted else UNDECIDED


def _session(
    scenario: str,
    resume: Path | None,
    *,
    chosen: tuple[str, str, list[str] | None, list[str] | None],
    strategy: str,
    seed: int,
    keep_going: bool,
    outcomes: bool,
    claims: tuple[tuple[str, ...], tuple[str, ...]],
) -> Session:
    """What to search; BadInput if the options contradict each other."""
    if resume is not None:
        if scenario or any(chosen) or any(claims) or strategy != "dpor" or seed or keep_going or outcomes:
            refuse(
                "explore: --resume goes on with the search as it was; with --limit, --workers, --dask, --out, --json"
            )
        from gupsim.explore.errors import ExploreError
        from gupsim.explore.session import Session

        try:
            return Session.resumed(resume)
        except ExploreError as error:
            refuse(f"explore: --resume: {error}{elsewhere(resume, 'explore --resume')}")
    if not scenario:
        refuse("explore: name a scenario, as S01 ('gupsim scenarios' lists them)")
    from gupsim.explore.session import EXHAUSTIVE, STRATEGIES, Session
    from gupsim.scenario.goals import goal_of, goals_of

    if strategy not in STRATEGIES:
        from gupsim.scenario.errors import unknown

        refuse(f"explore: --strategy: {unknown('strategy', strategy, STRATEGIES)}")
    loaded = load(scenario)
    if loaded.scenario.workload is not None and strategy in EXHAUSTIVE:
        refuse(
            f"explore: {loaded.file} has a workload: it has too many interleavings to try all; sample them with"
            " --strategy random, pos or pct and a --limit"
        )
    if any(chosen) or not loaded.scenario.expectations:
        goals = [goal_of(loaded.scenario, chosen_kernel(loaded.scenario, *chosen))]
    else:
        goals = list(goals_of(loaded.scenario))
    if any(claims):
        goals = _claimed(loaded, goals, *claims)
    return Session(loaded, goals, strategy=strategy, seed=seed, keep_going=keep_going, states=outcomes)


def _claimed(loaded: Loaded, goals: list[Goal], reachable: tuple[str, ...], unreachable: tuple[str, ...]) -> list[Goal]:
    """The same kernels, with other expectations; BadInput for a claim about nothing."""
    from gupsim.explore.litmus import with_claims
    from gupsim.scenario.claims import ClaimError, check_claim, claim_of, claim_text
    from gupsim.scenario.errors import FieldError

    texts: list[list[str]] = []
    for option, given in (("--reachable", reachable), ("--unreachable", unreachable)):
        texts.append([])
        for text in given:
            try:
                claim = claim_of(text)
                check_claim(loaded.scenario, claim, ("claim", option))
            except ClaimError as error:
                refuse(f"explore: {option}: {error}")
            except FieldError as error:
                refuse(f"explore: {option}: {error.problem}")
            texts[-1].append(claim_text(claim))
    both = sorted(set(texts[0]) & set(texts[1]))
    if both:
        refuse(f"explore: {both[0]!r} is expected both reachable and unreachable")
    return [with_claims(goal, tuple(texts[0]), tuple(texts[1])) for goal in goals]


def _limits(text: str) -> Limits:
    from gupsim.explore.conduct import Limits

    if not text:
        return Limits()
    if re.fullmatch(r"[0-9_,]+", text):
        executions = int(re.sub("[_,]", "", text) or "0")
        if executions < 1:
            refuse("explore: --limit: at least 1 execution")
        return Limits(executions=executions)
    minutes = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(m|min|h)", text)
    try:
        seconds = (
            float(minutes[1]) * (3600 if minutes[2] == "h" else 60) if minutes is not None else nanoseconds(text) / 1e9
        )
    except UnitError:
        refuse(f"explore: --limit: {text!r} is neither a number of executions, as 10000, nor a time, as 60s or 5min")
    if seconds <= 0:
        refuse("explore: --limit: a time greater than 0")
    return Limits(seconds=seconds)


def _pool(workers: int, dask_address: str) -> Pool:
    from gupsim.explore.pools import Pool, dask, processes

    if dask_address:
        return Pool(lambda: dask(dask_address))
    return Pool(lambda: processes(workers))


def _save_state(session: Session, out: Path) -> str:
    """The state file of a search that was stopped, "" if there is nothing to go on with."""
    if not session.resumable:
        return ""
    from gupsim.explore.state import SUFFIX

    one = f".{_slug(session.goals[0].kernel.title())}" if len(session.goals) == 1 else ""
    path = out / f"{_slug(Path(session.loaded.file).stem)}{one}{SUFFIX}"
    session.save(path)
    return str(path)


def _try_out(out: Path) -> None:
    """BadInput if nothing can be written there: what a search of hours finds must not be lost for it."""
    try:
        if out.exists() and not out.is_dir():
            refuse(f"explore: --out: {out} is not a directory")
        try_folder(out)
    except OSError as error:
        refuse(f"explore: --out: {out} cannot be written to: {error.strerror or error}")


class _Replays:
    """Writes a replay file for each violation."""

    def __init__(self, session: Session, out: Path) -> None:
        self._session = session
        self._out = out

    def __call__(self, kernel: Kernel, seen: Seen) -> str:
        from gupsim.replay import SUFFIX, record, save

        session = self._session
        name = f"{_slug(Path(session.loaded.file).stem)}.{_slug(kernel.title())}.{_slug(seen.kind)[:80]}{SUFFIX}"
        recording = record(session.loaded, kernel, seen.schedule, seen, strategy=session.strategy, seed=session.seed)
        try:
            return str(save(recording, self._out / name))
        except OSError as error:
            # The search goes on: what it finds is printed.
            warn(f"explore: --out: {self._out / name} cannot be written: {error.strerror or error}")
            return ""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.=+-]", "", text)
