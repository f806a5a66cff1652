"""The end of the last window: who still waits, seen over all nodes."""

from __future__ import annotations

from collections.abc import Sequence

from gupsim.cluster.node_world import NodeWorld
from gupsim.engine.task import Part
from gupsim.protocol.engine import Stuck
from gupsim.protocol.node import Awaited, Closing, Lost


def closing_of(world: NodeWorld) -> Closing:
    """What the other nodes must know of this one."""
    core = world.core
    awaited = tuple(Awaited(task.item[2], task.item[3]) for task in core.waiting_tasks() if task.item[6])
    lost = tuple(Lost(rank, token, why) for (rank, token), why in sorted(core.lost.items()))
    current = core.current
    # `current` may be another node's last delivery, of an earlier closing; its owner reports it as well.
    return Closing(current[0], current[1], current[2], current[3], current[7], awaited, lost)


def set_clock(world: NodeWorld, closings: Sequence[Closing]) -> None:
    """Let this node know the last event of the world, wherever it happened: what is said and posted now comes after it.

    closings: of all nodes.
    """
    last = max(closings, key=lambda closing: (closing.time, closing.dst))
    world.core.current = (last.time, last.dst, last.src, last.seq, None, -1, False, last.context, -1, 0)
    # That may be before the end of the last window.
    world.horizon = 0


def report_stuck(world: NodeWorld, closings: Sequence[Closing]) -> int:
    """Trace every context of this node that nothing will wake; returns how many.

    The same as gupsim.engine.stuck.stuck_contexts and TimedWorld.report_stuck do in one process. closings: of all
    nodes; the clock was set by them.
    """
    core = world.core
    lost = {(entry.rank, entry.token): entry.why for closing in closings for entry in closing.lost}
    outer = set()
    for closing in closings:
        for entry in closing.awaited:
            if entry.rank < 0 or world.homes[entry.rank] != world.me:
                continue
            waiting = core.ports[entry.rank].waiting.get(entry.token)
            outer.add((entry.rank, waiting.join.token if isinstance(waiting, Part) else entry.token))
    found = []
    for task in core.waiting_tasks():
        port = task.port
        if (port.rank, task.token) not in outer:
            why = lost.get((port.rank, task.token), "an answer that nobody will give")
            awaits = port.reasons.get(task.token, why)
            found.append((port, Stuck(context=task.context, handler=task.handler, awaits=awaits, since=task.since)))
    for port, tracepoint in found:
        core.trace(port, tracepoint)
    return len(found)
