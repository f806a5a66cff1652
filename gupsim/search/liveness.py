"""Contexts that wait although nothing is left to happen: deadlocks and lost wake-ups."""

from __future__ import annotations

from gupsim.engine.stuck import stuck_contexts
from gupsim.protocol.engine import LockContended, LockGranted, Stuck
from gupsim.search.core import ExploredCore
from gupsim.search.execution import Finding

Place = tuple[str, str]
"""(address, name) of a lock."""


def stuck(core: ExploredCore) -> list[Finding]:
    """A finding if, at quiescence, somebody waits: who for what, and whether in a circle.

    It says the same for all equivalent executions. So it names who holds a lock, not who stands before whom in its
    queue: readers may queue in any order.
    """
    waits = [(port.address, wait) for port, wait in stuck_contexts(core)]
    if not waits:
        return []
    holders = _holders(core)
    lines = sorted({_line(address, wait, holders) for address, wait in waits})
    circle = _in_a_circle({(wait.context, address, wait.awaits) for address, wait in waits}, holders)
    what = "contexts wait for each other" if circle else "nobody is left to wake them"
    return [Finding("deadlock", f"{what}: {'; '.join(lines)}")]


def _holders(core: ExploredCore) -> dict[Place, list[str]]:
    """Who holds each lock for which somebody waits: as long as somebody does, every change is reported."""
    holders: dict[Place, list[str]] = {}
    for address, point in core.contention:
        held = holders.setdefault((address, point.lock), [])
        if isinstance(point, LockContended):
            held[:] = point.holders
        elif isinstance(point, LockGranted):
            held.append(point.holder)
        elif point.holder in held:
            held.remove(point.holder)
    return holders


def _line(address: str, wait: Stuck, holders: dict[Place, list[str]]) -> str:
    held = sorted(set(holders.get((address, wait.awaits), ())))
    by = f", which {' and '.join(held)} hold{'s' if len(held) == 1 else ''}" if held else ""
    return f"{wait.context} waits for ever in {wait.handler} of {address} for {wait.awaits}{by}"


def _in_a_circle(waits: set[tuple[str, str, str]], holders: dict[Place, list[str]]) -> bool:
    """True if some contexts wait for what others of them hold."""
    after: dict[str, set[str]] = {}
    for context, address, awaits in waits:
        after.setdefault(context, set()).update(holders.get((address, awaits), ()))
    # Whoever waits for nobody who waits is not in a circle: what is left when all such are gone is.
    while free := [context for context in after if not after[context] & after.keys()]:
        for context in free:
            del after[context]
    return bool(after)
