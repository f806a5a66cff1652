"""A timeline that fits in 100 columns: one lane per actor, one row per tracepoint, violations where they happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from gupsim.checkers.story import frames_of, is_noise
from gupsim.checkers.violation import Violation
from gupsim.protocol.address import host_of, local_name
from gupsim.protocol.engine import LockContended, Stuck
from gupsim.report.clock import Clock
from gupsim.report.symbols import Symbol, symbol_of
from gupsim.report.wrap import wrapped
from gupsim.trace.records import Event

WIDTH = 100
LANES = 14
"""Lanes at most; in larger worlds the least busy actors share the last one."""

ROWS = 400
"""Rows at most; of a longer history what has nothing to do with the violations is left out first."""

_GAP = 20
"""Events left out at one place from which on it is marked there."""

_KEPT = 50_000
"""Events kept in memory; of a longer history the first half and the last half of that."""

_ORDER: Final = (
    "process", "cpu", "mm", "memmap", "memory", "fs", "flusher", "reclaim", "khugepaged", "block", "driver",
    "dma",
)  # fmt: skip
"""Lanes from user space down to the devices, as in worked-examples.md; others follow by name."""

_OTHERS: Final = "(others)"


class Timeline:
    """Subscribe `feed`, then `print` it.

    everything: also show what is noise in most stories: lookups, lock grants, loads.
    """

    def __init__(self, *, everything: bool = False) -> None:
        self._everything = everything
        self._first: list[Event] = []
        self._last: list[Event] = []
        self._dropped = 0

    def feed(self, event: Event) -> None:
        """Take the next event."""
        if not self._everything and is_noise(event.point) and not isinstance(event.point, (LockContended, Stuck)):
            return
        if len(self._first) < _KEPT // 2:
            self._first.append(event)
            return
        self._last.append(event)
        if len(self._last) >= _KEPT:
            # The newest half stays; cutting now and then costs less than a deque that is indexed later.
            self._dropped += len(self._last) - _KEPT // 2
            del self._last[: -_KEPT // 2]

    def print(self, console: Console, violations: Sequence[Violation] = ()) -> None:
        """Print it, in ASCII if the output cannot show Unicode."""
        unicode = console.encoding.lower().startswith("utf")
        for line in self.lines(violations, min(console.width, WIDTH), unicode=unicode):
            console.print(line, soft_wrap=True, highlight=False)

    def lines(
        self, violations: Sequence[Violation] = (), width: int = WIDTH, *, unicode: bool = True, rows: int = ROWS
    ) -> Iterator[Text]:
        """Header with the lanes, rows, legend."""
        events = [*self._first, *self._last]
        if not events:
            yield Text("nothing was reported: the timeline is empty")
            return
        shown, gaps = _choose(events, violations, rows)
        if self._dropped:
            gaps[shown[-1].index + 1] = gaps.get(shown[-1].index + 1, 0) + self._dropped
        yield from _Drawing(shown, gaps, violations, width, unicode=unicode).lines()


def _of_violations(violations: Sequence[Violation], rows: int) -> tuple[set[int], set[tuple[str, int]]]:
    """Events of the chains, and pages, of as many violations as there is room for."""
    told: set[int] = set()
    pages: set[tuple[str, int]] = set()
    for found in violations:
        if len(told) + len(found.chain) > rows:
            break
        told.update(event.index for event in found.chain)
        if found.pfn is not None:
            pages.add((host_of(found.actors[0]), found.pfn))
    return told, pages


def _choose(events: list[Event], violations: Sequence[Violation], rows: int) -> tuple[list[Event], dict[int, int]]:
    """The events to show, and how many are left out before the event of each index."""
    wanted = events
    if len(events) > rows:
        told, pages = _of_violations(violations, rows)
        near = [
            event
            for event in events
            if event.index in told or any((host_of(event.actor), pfn) in pages for pfn in frames_of(event))
        ]
        wanted = near or events
        if len(wanted) > rows:
            excess = [event for event in wanted if event.index not in told]
            keep = max(rows - len(told), 0)
            middle = {event.index for event in excess[keep // 2 : len(excess) - (keep - keep // 2)]}
            wanted = [event for event in wanted if event.index not in middle]
    gaps: dict[int, int] = {}
    shown = {event.index for event in wanted}
    skipped = 0
    for event in events:
        if event.index in shown:
            if skipped:
                gaps[event.index] = skipped
            skipped = 0
        else:
            skipped += 1
    if skipped:
        gaps[events[-1].index + 1] = skipped
    return wanted, gaps


class _Drawing:
    """The lines of one timeline."""

    def __init__(
        self,
        events: list[Event],
        gaps: dict[int, int],
        violations: Sequence[Violation],
        width: int,
        *,
        unicode: bool,
    ) -> None:
        self._events = events
        self._gaps = gaps
        self._violations = violations
        self._width = width
        self._unicode = unicode
        self._bar = "│" if unicode else "|"
        self._lanes = _lanes(events, violations)
        self._names = {address: lane for lane, address in enumerate(self._lanes)}
        last = max(events[-1].time, *(found.time_ns for found in violations), 0)
        self._clock = Clock(last)
        self._times = len(self._clock(last)) + 2
        self._used: dict[Symbol, None] = {}

    def lines(self) -> Iterator[Text]:
        yield from self._header()
        waiting = list(self._violations)
        time = -1
        for event in self._events:
            if (gap := self._gaps.get(event.index, 0)) >= _GAP:
                yield self._remark(f"{gap} events are not shown")
            yield from self._row(event, show_time=event.time != time)
            time = event.time
            while waiting and waiting[0].event is not None and waiting[0].event.index <= event.index:
                yield from self._violation(waiting.pop(0), show_time=False)
        for found in waiting:
            yield from self._violation(found, show_time=True)
        if left_out := sum(self._gaps.values()):
            yield Text()
            yield Text(f"{len(self._events)} of {len(self._events) + left_out} events are shown", "yellow")
        yield from self._legend()

    def _header(self) -> Iterator[Text]:
        single = len({host_of(address) for address in self._lanes if address != _OTHERS}) == 1
        for lane, address in enumerate(self._lanes):
            label = "time" if lane == len(self._lanes) - 1 else ""
            name = local_name(address) if single and address != _OTHERS else address
            bars = f"{self._bar} " * lane
            yield Text.assemble((f"{label:>{self._times}} ", "dim"), (bars, "dim"), (name, "bold cyan"))

    def _row(self, event: Event, *, show_time: bool) -> Iterator[Text]:
        symbol = symbol_of(event.point)
        style = {Symbol.VIOLATION: "bold red", Symbol.WARNING: "yellow"}.get(symbol, "")
        yield from self._draw(event.time if show_time else -1, event.actor, symbol, event.point.say(), style)

    def _violation(self, found: Violation, *, show_time: bool) -> Iterator[Text]:
        time = found.time_ns if show_time else -1
        said = found.event is not None and found.message == found.event.point.say()
        text = f"VIOLATION {found.kind}" + ("" if said else f": {found.message}")
        yield from self._draw(time, found.actors[0], Symbol.VIOLATION, text, "bold red")

    def _draw(self, time: int, actor: str, symbol: Symbol, text: str, style: str) -> Iterator[Text]:
        self._used[symbol] = None
        mine = self._names.get(actor, len(self._lanes) - 1)
        moment = self._clock(time) if time >= 0 else ""
        head = Text(f"{moment:>{self._times}} ", "dim")
        below = Text(" " * (self._times + 1))
        for lane in range(len(self._lanes)):
            mark = symbol.draw(unicode=self._unicode) if lane == mine else self._bar
            head.append(f"{mark} ", (style or "bold") if lane == mine else "dim")
            below.append(f"{self._bar} ", "dim")
        room = self._width - len(head.plain) - 1
        for number, line in enumerate(wrapped(Text(text, style), room, 2)):
            yield (below if number else head) + Text(" ") + line

    def _remark(self, text: str) -> Text:
        mark = ":" if not self._unicode else "┊"
        return Text(" " * (self._times + 1) + f"{mark} " * len(self._lanes) + f" ({text})", "dim")

    def _legend(self) -> Iterator[Text]:
        yield Text()
        line = ""
        for symbol in Symbol:
            if symbol in self._used:
                mark = f"{symbol.draw(unicode=self._unicode)} {symbol.legend}"
                if line and len(line) + 3 + len(mark) > self._width:
                    yield Text(line, "dim")
                    line = ""
                line += f"   {mark}" if line else mark
        yield Text(line, "dim")


def _lanes(events: Iterable[Event], violations: Sequence[Violation]) -> list[str]:
    """Addresses from left to right; the busiest ones if there are too many, and those of the violations always."""
    busy = Counter(event.actor for event in events)
    for found in violations:
        busy[found.actors[0]] += 1_000_000
    ranked = sorted(busy, key=lambda address: (-busy[address], address))
    chosen = sorted(ranked[: LANES - 1] if len(ranked) > LANES else ranked, key=_place)
    return [*chosen, _OTHERS] if len(ranked) > LANES else chosen


def _place(address: str) -> tuple[str, int, str]:
    kind = local_name(address).partition("/")[0]
    return host_of(address), _ORDER.index(kind) if kind in _ORDER else len(_ORDER), address
