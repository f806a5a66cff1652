"""An interleaving for people."""

from __future__ import annotations

from typing import Final

from gupsim.testing.player import History

FIRST: Final = 40
LAST: Final = 20
"""Events that are shown of a history that is too long to read."""


def tell(history: History) -> str:
    """A line for each event, numbered; a line in the margin wherever one context interrupts another."""
    events = history.events
    contexts = max((len(event.context) for event in events), default=0)
    actors = max((len(event.actor) for event in events), default=0)
    whats = max((len(event.what) for event in events), default=0)
    lines = []
    before = ""
    for number, event in enumerate(events, start=1):
        if FIRST < number <= len(events) - LAST:
            if number == FIRST + 1:
                lines.append(f"       ... {len(events) - FIRST - LAST:,} events ...")
            before = event.context
            continue
        switched = event.context != before
        interrupted = bool(before) and switched and event.open
        if interrupted:
            lines.append(f"       --- {before} could go on, but ---")
        who = event.context if switched else ""
        line = f"{number:5}  {who:{contexts}}  at {event.actor:{actors}}  {event.what:{whats}}  {event.touches}"
        lines.append(line.rstrip())
        before = event.context
    lines.append(
        f"{len(events)} events, {counted(history.switches, 'context switch', 'es')},"
        f" {counted(history.interruptions, 'interruption')}"
    )
    return "\n".join(lines)


def counted(number: int, noun: str, plural: str = "s") -> str:
    """ "1 event", "2 events"."""
    return f"{number} {noun}{'' if number == 1 else plural}"
