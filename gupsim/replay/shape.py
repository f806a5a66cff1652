"""Other orders of the same events: with as few switches between contexts as their dependences allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gupsim.replay.guide import Turn
from gupsim.replay.history import History


def smooth(history: History) -> list[int]:
    """The mids of an equivalent order in which a context goes on as long as it can.

    Where it cannot, that context is next whose events have waited longest. Greedy: not always the least.
    """
    count = len(history)
    contexts = _contexts(history)
    waiting = [history.before[number] for number in range(count)]
    left = (1 << count) - 1
    done = 0
    now = ""
    order: list[int] = []
    while left:
        ready = [number for number in _numbers(left) if not waiting[number] & ~done]
        same = [number for number in ready if contexts[number] == now]
        number = min(same or ready, key=lambda number: (len(contexts[number]) == 0, number))
        now = contexts[number]
        order.append(history.events[number].mid)
        done |= 1 << number
        left ^= 1 << number
    return order


def blocks(history: History) -> list[list[int]]:
    """The mids, cut wherever another context goes on."""
    cut: list[list[int]] = []
    now = None
    for event, context in zip(history.events, _contexts(history), strict=True):
        if context != now:
            cut.append([])
            now = context
        cut[-1].append(event.mid)
    return cut


def turns_of(history: History) -> list[Turn]:
    """The same as a wish for another world, in which messages have other names."""
    events = {event.mid: event for event in history.events}
    turns = []
    for part in blocks(history):
        labels = [events[mid].label for mid in part]
        context = next((label.context for label in labels if label.context), "")
        starts = next((label for label in labels if not label.context), None)
        turns.append(Turn(context, starts, labels[-1], labels.count(labels[-1])))
    return turns


def merges(history: History) -> Iterator[list[int]]:
    """Orders, wishes rather than schedules, in which two blocks of one context have become one: a block comes later,
    right before its successor, or earlier, right after its predecessor. The latest blocks are tried first."""
    parts = blocks(history)
    contexts = dict(zip(history.mids, _contexts(history), strict=True))
    owners = [contexts[part[0]] for part in parts]
    for at in range(len(parts) - 1, -1, -1):
        for other in _neighbours(owners, at):
            rest = [part for number, part in enumerate(parts) if number != at]
            place = other if other < at else other - 1
            where = place + 1 if other < at else place
            yield [mid for part in (*rest[:where], parts[at], *rest[where:]) for mid in part]
    for at in range(len(parts) - 2, -1, -1):
        swapped = [*parts[:at], parts[at + 1], parts[at], *parts[at + 2 :]]
        yield [mid for part in swapped for mid in part]


def _neighbours(owners: Sequence[str], at: int) -> Iterator[int]:
    for numbers in (range(at + 1, len(owners)), range(at - 1, -1, -1)):
        for other in numbers:
            if owners[other] == owners[at]:
                if abs(other - at) > 1:
                    yield other
                break


def _contexts(history: History) -> list[str]:
    """The context of each event; a first message counts as part of what it starts."""
    contexts = [event.label.context for event in history.events]
    for number in range(len(contexts) - 1, -1, -1):
        if not contexts[number]:
            below = f"{history.events[number].name}."
            later = range(number + 1, len(contexts))
            contexts[number] = next((contexts[n] for n in later if history.events[n].name.startswith(below)), "")
    return contexts


def _numbers(events: int) -> Iterator[int]:
    while events:
        low = events & -events
        yield low.bit_length() - 1
        events ^= low
