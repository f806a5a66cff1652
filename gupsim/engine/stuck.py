"""Who still waits when nothing is left to happen, and for what."""

from __future__ import annotations

from gupsim.engine.core import Core
from gupsim.engine.port import ActorPort
from gupsim.engine.task import Part
from gupsim.protocol.engine import Stuck


def stuck_contexts(core: Core) -> list[tuple[ActorPort, Stuck]]:
    """The contexts that nothing will wake, one entry for each place where one waits.

    A context that only waits for the answer of another place where it waits itself is listed once, at the
    innermost place: that is where a kernel's hung-task report would show it.
    """
    tasks = list(core.waiting_tasks())
    # Requests whose answer waits for something itself, by their asker's (rank, token); a join stands for its parts.
    outer = set()
    for task in tasks:
        if task.item[6]:
            asker, token = task.item[2], task.item[3]
            waiting = core.ports[asker].waiting.get(token)
            outer.add((asker, waiting.join.token if isinstance(waiting, Part) else token))
    found = []
    for task in tasks:
        port = task.port
        if (port.rank, task.token) in outer:
            continue
        lost = core.lost.get((port.rank, task.token), "an answer that nobody will give")
        awaits = port.reasons.get(task.token, lost)
        found.append((port, Stuck(context=task.context, handler=task.handler, awaits=awaits, since=task.since)))
    return found
