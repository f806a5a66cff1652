"""The search without reduction: all interleavings, in one process. The reference, for small programs."""

from __future__ import annotations

import time
from collections.abc import Callable

from gupsim.explore.conduct import Interrupted, Limits
from gupsim.explore.seen import looker
from gupsim.explore.subject import Subject, program_of
from gupsim.explore.tally import Seen, Tally, enough
from gupsim.search.dfs import Dfs
from gupsim.search.runs import Runs


def conduct_dfs(
    subject: Subject,
    limits: Limits,
    *,
    check: Callable[[], None],
    progress: Callable[[Tally], None],
    wanted: list[str],
) -> Tally:
    """As `conduct`. Interrupted brings the tally along: there is nothing to go on from."""
    strategy = Dfs()
    runs = Runs(program_of(subject))
    tally = Tally("dfs", promise=strategy.promise())
    began = time.monotonic()
    look = looker(subject)
    for execution in strategy.executions(runs):
        look(execution, tally.outcomes)
        tally.executions += 1
        tally.events += len(execution.schedule)
        tally.depth = max(tally.depth, len(execution.schedule))
        tally.cut += execution.cut
        for violation in {violation.kind: violation for violation in reversed(execution.violations)}.values():
            before = tally.found.get(violation.kind)
            tally.found[violation.kind] = Seen(
                violation.kind,
                before.message if before else violation.message,
                before.actors if before else tuple(getattr(violation, "actors", ())),
                before.schedule if before else tuple(runs.names.path(mid) for mid in execution.schedule),
                before.executions_until_found if before else tally.executions,
                before.executions + 1 if before else 1,
            )
        tally.wall_s = time.monotonic() - began
        if tally.executions % 16 == 0:
            progress(tally)
        try:
            check()
        except KeyboardInterrupt:
            tally.why = "interrupted"
            raise Interrupted(tally) from None
        out_of_time = limits.seconds is not None and tally.wall_s >= limits.seconds
        if enough(wanted, tally.found):
            tally.why = "stopped at what was found"
        elif out_of_time or (limits.executions is not None and tally.executions >= limits.executions):
            tally.why = limits.say()
        if tally.why:
            return tally
    tally.complete = not tally.cut
    tally.why = "" if tally.complete else f"{tally.cut} executions were cut off"
    return tally
