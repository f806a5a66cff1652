"""One `gupsim explore`: the searches for all goals of a scenario, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gupsim.explore import state as states
from gupsim.explore.conduct import BUDGET, DrawnSearch, Interrupted, Limits, TreeSearch, conduct
from gupsim.explore.errors import ExploreError, WorkersGone
from gupsim.explore.goals import Outcome
from gupsim.explore.interleavings import conduct_dfs
from gupsim.explore.pools import Pool
from gupsim.explore.subject import ScenarioSubject, subject_of
from gupsim.explore.tally import ANY, Seen, Tally, enough
from gupsim.outcomes.evidence import gaps
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import RULES, Kernel, kernel
from gupsim.scenario.goals import Goal
from gupsim.scenario.load import Loaded, load_form

EXHAUSTIVE = ("dpor", "dfs")
STRATEGIES = (*EXHAUSTIVE, "random", "pos", "pct")


class Watcher(Protocol):
    """Sees a session go on."""

    def begins(self, goal: Goal) -> None:
        """A search begins."""

    def goes_on(self, tally: Tally, finished: float) -> None:
        """Some executions more. finished: from 0 to 1; 0 if nobody can say."""

    def ends(self, outcome: Outcome) -> None:
        """A search is over."""


class Session:
    """What is to be searched, and what came of it so far.

    outcomes: of the goals that are over, and of the one that was stopped. interrupted: by Ctrl-C. gone: why nobody
    works any more, "" if somebody does. states: the outcomes of all executions are counted, and so none is left out.
    save_replay: writes a replay file and gives its name, "" for none.
    """

    def __init__(
        self,
        loaded: Loaded,
        goals: list[Goal],
        *,
        strategy: str = "dpor",
        seed: int = 0,
        keep_going: bool = False,
        states: bool = False,
        save_replay: Callable[[Kernel, Seen], str] | None = None,
    ) -> None:
        self.loaded = loaded
        self.goals = goals
        self.strategy = strategy
        self.seed = seed
        self.keep_going = keep_going
        self.states = states
        self.save_replay = save_replay
        self.interrupted = False
        self.gone = ""
        self._outcomes: dict[int, Outcome] = {}
        self._stopped: dict[int, TreeSearch | DrawnSearch] = {}

    def run(self, pool: Pool, limits: Limits, watcher: Watcher, check: Callable[[], None]) -> None:
        """All searches that are left. check: raises KeyboardInterrupt for Ctrl-C; then the rest stays undone."""
        for number, goal in enumerate(self.goals):
            if number in self._outcomes:
                continue
            watcher.begins(goal)
            search = self._stopped.pop(number, None)
            try:
                if self.strategy == "dfs":
                    tally = self._interleavings(goal, limits, watcher, check)
                else:
                    search = search or self._search(goal)
                    tally = self._in_parts(search, goal, pool, limits=limits, watcher=watcher, check=check)
            except Interrupted as stop:
                self.interrupted = True
                tally = search.tally if search is not None else stop.args[0]
            except WorkersGone as gone:
                assert search is not None  # dfs needs no workers
                self.gone = str(gone)
                tally = search.tally
            outcome = self._outcome(goal, tally, self._replays(goal, tally))
            self._outcomes[number] = outcome
            watcher.ends(outcome)
            if search is not None and self._unfinished(goal, tally):
                self._stopped[number] = search
            if self.interrupted or self.gone:
                return

    @property
    def outcomes(self) -> list[Outcome]:
        """Of the goals that were searched for, in their order."""
        return [outcome for _, outcome in sorted(self._outcomes.items())]

    @property
    def held(self) -> bool | None:
        """True if every goal was, False if one was not, None if that is not known of one."""
        held = [outcome.held for outcome in self.outcomes]
        if False in held:
            return False
        return None if None in held or len(held) < len(self.goals) else True

    @property
    def verdict(self) -> str:
        """In a word: "held", "failed", "vacuous" if nothing is wrong but proofs that prove nothing, "undecided"."""
        if self.held is None:
            return "undecided"
        wrong = {outcome.verdict for outcome in self.outcomes if outcome.held is False}
        return "held" if self.held else "vacuous" if wrong == {"vacuous"} else "failed"

    @property
    def resumable(self) -> bool:
        """True if a search was stopped in the middle: by Ctrl-C or by a limit."""
        return self.strategy != "dfs" and bool(self._stopped)

    def save(self, path: Path) -> None:
        """Write the state file. What is decided stays so; every other search goes on from where it was."""
        goals = [_stored(goal) for goal in self.goals]
        for number, outcome in self._outcomes.items():
            search = self._stopped.get(number)
            goals[number] = msgspec.structs.replace(
                goals[number],
                tally=outcome.tally,
                replays=outcome.replays,
                tree=states.stored(search) if isinstance(search, TreeSearch) else None,
                drawn=search.drawn if isinstance(search, DrawnSearch) else 0,
            )
        states.save(
            states.State(
                file=self.loaded.file,
                digest=self.loaded.digest,
                form=json.dumps(file_form(self.loaded.scenario), sort_keys=True),
                strategy=self.strategy,
                seed=self.seed,
                keep_going=self.keep_going,
                goals=goals,
                states=self.states,
            ),
            path,
        )

    @classmethod
    def resumed(cls, path: Path) -> Session:
        """A session that goes on where another one stopped; ExploreError if the file is no good."""
        state = states.load(path)
        try:
            form: dict[str, Any] = json.loads(state.form)
            loaded = msgspec.structs.replace(load_form(form, state.file), digest=state.digest)
            goals = [_goal(stored) for stored in state.goals]
        except ValueError as error:
            raise ExploreError(f"{path}: is damaged: {error}") from None
        if state.strategy not in STRATEGIES:
            raise ExploreError(f"{path}: is damaged: its parts do not fit together")
        session = cls(
            loaded,
            goals,
            strategy=state.strategy,
            seed=state.seed,
            keep_going=state.keep_going,
            states=state.states,
        )
        for number, (goal, stored) in enumerate(zip(goals, state.goals, strict=True)):
            if stored.tally is None:
                continue
            outcome = session._outcome(goal, stored.tally, stored.replays)
            if not session._unfinished(goal, stored.tally):
                session._outcomes[number] = outcome
                continue
            search = session._stopped[number] = session._search(goal)
            if isinstance(search, DrawnSearch):
                states.go_on_drawing(search, stored.drawn, stored.tally)
            elif stored.tree is not None:
                states.restore(search, stored.tree, stored.tally)
        return session

    def _outcome(self, goal: Goal, tally: Tally, replays: dict[str, str]) -> Outcome:
        evidence = tally.outcomes.evidence
        missing = gaps(self.loaded.scenario, goal.kernel, evidence) if tally.complete else []
        return Outcome(goal, tally, replays, tuple(missing))

    def _subject(self, goal: Goal) -> ScenarioSubject:
        return subject_of(self.loaded, goal.kernel, claims=goal.texts, states=self.states)

    def _wanted(self, goal: Goal) -> list[str]:
        """What the search may stop at: the first of each kind that counts; [] if it must go on to its end."""
        return [] if self.keep_going or self.states else [*goal.texts] or [ANY]

    def _search(self, goal: Goal) -> TreeSearch | DrawnSearch:
        subject = self._subject(goal)
        wanted = self._wanted(goal)
        if self.strategy == "dpor":
            return TreeSearch(subject, wanted)
        # One execution of a workload takes seconds.
        size = 1 if self.loaded.scenario.workload is not None else BUDGET
        return DrawnSearch(subject, wanted, self.strategy, self.seed, size)

    def _in_parts(
        self,
        search: TreeSearch | DrawnSearch,
        goal: Goal,
        pool: Pool,
        *,
        limits: Limits,
        watcher: Watcher,
        check: Callable[[], None],
    ) -> Tally:
        def progress(_: object) -> None:
            watcher.goes_on(search.tally, search.finished)

        wanted = self._wanted(goal)
        if isinstance(search, TreeSearch):
            return conduct(search, pool, limits, check=check, progress=progress, wanted=wanted)
        return conduct(search, pool, limits, check=check, progress=progress, wanted=wanted)

    def _interleavings(self, goal: Goal, limits: Limits, watcher: Watcher, check: Callable[[], None]) -> Tally:
        return conduct_dfs(
            self._subject(goal),
            limits,
            check=check,
            progress=lambda tally: watcher.goes_on(tally, 0.0),
            wanted=self._wanted(goal),
        )

    def _unfinished(self, goal: Goal, tally: Tally) -> bool:
        """True if there is more to find out."""
        return not tally.complete and not enough(self._wanted(goal), tally.found)

    def _replays(self, goal: Goal, tally: Tally) -> dict[str, str]:
        if self.save_replay is None:
            return {}
        files = {kind: self.save_replay(goal.kernel, seen) for kind, seen in sorted(tally.found.items())}
        return {kind: file for kind, file in files.items() if file}


def _stored(goal: Goal) -> states.StoredGoal:
    chosen = goal.kernel
    rules = {rule: str(getattr(chosen.rules, rule).value) for rule in RULES}
    return states.StoredGoal(
        chosen.era,
        chosen.policies,
        chosen.settings,
        rules,
        goal.reachable,
        goal.unreachable,
        platform=chosen.platform,
        reason=goal.reason,
    )


def _goal(stored: states.StoredGoal) -> Goal:
    # All rules are set one by one, and then called as they were chosen.
    rules = kernel(stored.era, (), stored.rules.items()).rules
    chosen = Kernel(stored.era, stored.policies, stored.settings, rules, stored.platform)
    return Goal(chosen, stored.reachable, stored.unreachable, stored.reason)
