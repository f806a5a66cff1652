"""What a checker found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gupsim.trace.records import Event


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must not happen in a sound kernel, and did.

    kind: as in the table of architecture.md, "data-loss". time_ns: virtual time at which it was seen.
    message: one line in kernel terms. actors: addresses of those who took part. pfn: the frame, or None.
    event: the tracepoint at which it was seen, None if that was the end of the history.
    chain: what led to it, oldest first: the story of the page, the context or the locks concerned.
    """

    kind: str
    time_ns: int
    message: str
    actors: tuple[str, ...]
    pfn: int | None = None
    event: Event | None = None
    chain: tuple[Event, ...] = ()


AT_END: Final = -1
"""In place of the number of an event: the end of the history."""


def by_event(violations: Iterable[Violation]) -> dict[int, list[Violation]]:
    """By the number of the event at which each was seen, or AT_END."""
    found: dict[int, list[Violation]] = {}
    for one in violations:
        found.setdefault(AT_END if one.event is None else one.event.index, []).append(one)
    return found


def violation(kind: str, event: Event, message: str, *actors: str, pfn: int | None = None) -> Violation:
    """A violation that was seen at `event`, whose actor took part; further `actors` are added once each."""
    names = dict.fromkeys((event.actor, *actors))
    return Violation(kind=kind, time_ns=event.time, message=message, actors=tuple(names), pfn=pfn, event=event)
