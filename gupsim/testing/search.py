"""Runs a test's body under one interleaving after the other, until one fails or none is left."""

from __future__ import annotations

import msgspec

from gupsim.search.runs import Runs
from gupsim.testing.body import Body, program_of
from gupsim.testing.failure import InterleavingFailed, StaleToken, Undecided
from gupsim.testing.minimal import minimal
from gupsim.testing.player import History, leaving, play
from gupsim.testing.settings import Settings
from gupsim.testing.story import counted, tell
from gupsim.testing.strategies import strategy_of
from gupsim.testing.token import Token, digest_of, read
from gupsim.testing.unawaited import unawaited


class Proof(msgspec.Struct, frozen=True):
    """A test that held. complete: in every interleaving, not only in those that were tried."""

    strategy: str
    executions: int
    events: int
    complete: bool
    seed: int

    def say(self) -> str:
        """One line."""
        if self.complete:
            return f"proved: holds in every interleaving ({counted(self.executions, 'execution')} by {self.strategy})"
        return (
            f"held in {counted(self.executions, 'execution')} by {self.strategy}, seed {self.seed}; there may be others"
        )


def prove(body: Body, settings: Settings, *, name: str = "", command: str = "") -> Proof:
    """Run `body` under every interleaving; InterleavingFailed, Undecided or the proof.

    name: of the test, for its replay token. command: that replays it, up to the token.
    """
    __tracebackhide__ = True
    strategy = strategy_of(settings.strategy, settings.seed)
    executions = 0
    complete = strategy.exhaustive
    with unawaited() as forgotten:
        runs = Runs(program_of(body, settings, forgotten))
        for execution in strategy.executions(runs):
            if execution.violations:
                history = minimal(runs, list(execution.schedule))
                raise _failed(runs, history, name, command, f"after {counted(executions + 1, 'execution')}")
            if executions == settings.limit:
                complete = False
                break
            executions += 1
    if strategy.exhaustive and not complete:
        raise Undecided(
            f"undecided: no failure in {counted(executions, 'execution')}, and there are more. Raise the limit"
            " (limit=, --gupsim-limit), make the test smaller, or sample: strategy='random'"
        )
    return Proof(settings.strategy, executions, runs.events, complete, settings.seed)


def replay(body: Body, settings: Settings, token: str, *, name: str = "", command: str = "") -> Proof:
    """Run the one interleaving of a token; InterleavingFailed as then, StaleToken if something changed since."""
    __tracebackhide__ = True
    recorded = read(token)
    settings = msgspec.structs.replace(settings, seed=recorded.seed)
    with unawaited() as forgotten:
        runs = Runs(program_of(body, settings, forgotten))
        deviations = recorded.mids(runs.names)
        history = play(runs, leaving(deviations))
    for number, mid in sorted(deviations.items()):
        if number >= len(history.events) or history.events[number].mid != mid:
            raise StaleToken(
                f"the test or its actors changed since: event {number + 1} of the recording,"
                f" message {runs.names.text(mid)}, cannot come there now"
            )
    if history.digest() != recorded.events:
        raise StaleToken(
            "the test or its actors changed since: the schedule can be followed, but its events are others now:\n"
            + tell(history)
        )
    if history.execution.violations:
        raise _failed(runs, history, name, command, "replayed")
    return Proof("replay", 1, runs.events, complete=False, seed=recorded.seed)


def belongs(token: str, name: str) -> bool:
    """True if the token is one of test `name`."""
    return read(token).test == digest_of(name)


def _failed(runs: Runs, history: History, name: str, command: str, found: str) -> InterleavingFailed:
    seed = runs.program.seed
    paths = {number: runs.names.path(mid) for number, mid in history.deviations.items()}
    token = Token(digest_of(name), history.digest(), seed, paths).text()
    first = history.execution.violations[0]
    text = [f"{violation.kind}: {violation.message}" for violation in history.execution.violations]
    text += ["", f"The shortest interleaving found that shows it ({found}, seed {seed}):", tell(history)]
    text += ["", f"Replay it: {command}{token}"]
    failed = InterleavingFailed("\n".join(text), token, first.kind)
    failed.__cause__ = history.error
    return failed
