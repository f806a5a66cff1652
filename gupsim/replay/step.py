"""Walking through an execution event by event: at a person's pace on a terminal, line by line otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from rich.text import Text

from gupsim.checkers.story import is_noise
from gupsim.replay.explain import Why, context_name
from gupsim.replay.history import Happening, History
from gupsim.report.clock import Clock
from gupsim.report.wrap import wrapped

HELP: Final = "Enter: next event; a number: so many; t: to the next other context; e: to the end; q: leave"


class Walk:
    """The lines of each event, in order. why: marks the events of the deciding races."""

    def __init__(self, history: History, why: Why | None, width: int) -> None:
        self._history = history
        self._width = width
        self._clock = Clock(history.end_time)
        self._marks: dict[int, str] = {}
        for race in why.races if why is not None else ():
            for side, other in ((race.first, race.second), (race.second, race.first)):
                self._marks.setdefault(side.number, f"races with event {other.number} over {', '.join(race.objects)}")

    def __iter__(self) -> Iterator[tuple[Happening, list[Text]]]:
        for number, event in enumerate(self._history.events, start=1):
            yield event, list(self._lines(number, event))

    def _lines(self, number: int, event: Happening) -> Iterator[Text]:
        count = len(self._history)
        kind, dst = event.label.kind or "wakes up", _local(event.label.dst)
        src = _local(event.src) if event.src else "start"
        path = f"{dst}: {kind}" if src == dst else f"{src} -> {dst}: {kind}"
        head = Text.assemble(
            (f"{number:>{len(str(count))}}/{count} {self._clock(event.time)} ", "dim"),
            (f"{context_name(event)}: ", "cyan"),
            path,
        )
        yield from wrapped(head, self._width, 8)
        for _, _, point in event.points:
            yield from wrapped(Text(f"      {point.say()}", "dim" if is_noise(point) else "bold"), self._width, 8)
        if mark := self._marks.get(number):
            yield from wrapped(Text(f"      => {mark}", "yellow"), self._width, 9)
        seen = self._history.at + 1 if self._history.at is not None else count
        if seen == number and (found := self._history.found) is not None:
            yield from wrapped(Text(f"      VIOLATION {found.kind}: {found.message}", "bold red"), self._width, 8)


def walk(steps: Walk, say: Callable[[Text], object], ask: Callable[[], str] | None) -> bool:
    """Say all events. ask: what the person wants after one, None to go through without asking. False if he left."""
    free = 0
    until_other = ""
    for event, lines in steps:
        other = event.label.context not in {"", until_other}
        if ask is not None and free <= 0 and (not until_other or other):
            until_other = ""
            free = 1
            wish = ask().strip().lower()
            while wish in {"?", "h", "help"}:
                say(Text(HELP, "dim"))
                wish = ask().strip().lower()
            if wish.startswith("q"):
                return False
            if wish.startswith("e"):
                ask = None
            elif wish.startswith("t"):
                until_other = event.label.context or " "
            elif wish.isdecimal():
                free = max(int(wish), 1)
        for line in lines:
            say(line)
        free -= 1
    return True


def _local(address: str) -> str:
    return address.partition("/")[2] or address
