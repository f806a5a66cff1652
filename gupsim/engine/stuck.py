"""Who still waits when nothing is left to happen, and for what."""

from __future__ import annotations

from protocol.engine import Stuck

from gupsim.engine.core import Core
from gupsim.engine.port import ActorPort


def stuck_contexts(core: Core) -> list[tuple[ActorPort, Stuck]]:
    """The contexts that nothing will wake, one entry for each place where one waits.

    A context that only waits for the answer of another place where it waits itself is listed once, at the
    innermost place: that is where a kernel's hung-task report would show it.
    """
    tasks = list(core.waiting_tasks())
    outer = {(task.item[2], task.item[3]) for task in tasks if task.item[6]}
    found = []
    for task in tasks:
        port = task.port
        if (port.rank, task.token) in outer:
            continue
        awaits = port.reasons.get(task.token, "an answer that nobody will give")
        found.append((port, Stuck(context=task.context, handler=task.handler, awaits=awaits, since=task.since)))
    return found
