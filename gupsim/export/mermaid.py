"""A trace as a Mermaid sequence diagram, for a mail, a README or a merge request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from gupsim.checkers.story import frames_of, is_noise
from gupsim.checkers.violation import AT_END, Violation, by_event
from gupsim.protocol.address import host_of, local_name
from gupsim.trace.errors import TraceError
from gupsim.trace.reader import TraceReader
from gupsim.trace.records import Delivery, Event
from gupsim.whole import write_whole

_ENTITIES: Final = {
    "#": "#35;", ";": "#59;", "<": "#lt;", ">": "#gt;", "%": "#37;", "{": "#123;", "}": "#125;", '"': "#quot;",
    "\n": " ", "\r": " ",
}  # fmt: skip
"""What Mermaid would take for syntax: comments, directives, statement ends, HTML."""

_LONG: Final = 160
"""Characters of a note; more would make the diagram unreadable."""


_LONGEST: Final = 500
"""Of a violation: what this is all about is not cut away."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a trace to draw.

    page: only messages whose handling reported something about this frame. host: whose frame, "" for any host.
    start, end: virtual time in ns, both included; end -1: to the last event. arrows: at most so many messages.
    deliveries: only these, by (source address, seq), as `Causes.leading_to` finds them; empty: all.
    """

    page: int = -1
    host: str = ""
    start: int = 0
    end: int = -1
    arrows: int = 150
    deliveries: Collection[tuple[str, int]] = ()


def write_mermaid(
    trace: Path | str, out: Path | str, limits: Limits | None = None, violations: Iterable[Violation] = ()
) -> list[str]:
    """Convert a trace file; returns warnings. violations: of `check_file`; they are drawn whatever the limits say."""
    reader = TraceReader(trace)
    diagram = _Diagram(reader, limits or Limits(), violations)
    lines = list(_lines(diagram))
    try:
        write_whole(Path(out), ("\n".join(lines) + "\n").encode())
    except OSError as error:
        raise TraceError(str(out), -1, f"cannot be written: {error.strerror or error}") from None
    return [*reader.warnings(), *diagram.warnings()]


def mermaid_lines(reader: TraceReader, limits: Limits) -> Iterator[str]:
    """The lines of the diagram: participants in the order in which they first appear, arrows, notes."""
    return _lines(_Diagram(reader, limits, ()))


def _lines(diagram: _Diagram) -> Iterator[str]:
    body = list(diagram.body())
    single = len({host_of(address) for address in diagram.participants}) <= 1
    yield "sequenceDiagram"
    for address, alias in diagram.participants.items():
        yield f"    participant {alias} as {_escape(local_name(address) if single else address)}"
    if not diagram.participants:
        yield "    participant nobody"
        yield "    Note over nobody: nothing in this trace matches the limits"
    yield from body


class _Diagram:
    def __init__(self, reader: TraceReader, limits: Limits, violations: Iterable[Violation]) -> None:
        self._found = by_event(violations)
        self.participants: dict[str, str] = {}
        self._reader = reader
        self._limits = limits
        self._arrows = 0
        self._hidden = 0
        self._last = ""

    def body(self) -> Iterator[str]:
        """Arrows and notes. A message is drawn once what its handling reported is known: the page decides."""
        pending: Delivery | None = None
        notes: list[Event] = []
        for record in self._reader.records():
            if isinstance(record, Delivery):
                yield from self._drawn(pending, notes)
                pending, notes = record, []
            else:
                notes.append(record)
        yield from self._drawn(pending, notes)
        yield from self._marked(AT_END)
        if self._hidden and self._last:
            first = next(iter(self.participants.values()))
            over = first if first == self._last else f"{first},{self._last}"
            yield f"    Note over {over}: cut here: {self._hidden} more messages are not shown"

    def warnings(self) -> list[str]:
        """What is not in the diagram."""
        return [f"{self._hidden} more messages are not shown (--arrows)"] if self._hidden else []

    def _marked(self, index: int) -> Iterator[str]:
        for found in self._found.get(index, ()):
            where = self._alias(found.actors[0] if found.actors else "violation")
            yield f"    Note over {where}: VIOLATION {_escape(f'{found.kind}: {found.message}', _LONGEST)}"

    def _drawn(self, delivery: Delivery | None, notes: list[Event]) -> Iterator[str]:
        yield from self._within_limits(delivery, notes)
        for event in notes:
            yield from self._marked(event.index)

    def _within_limits(self, delivery: Delivery | None, notes: list[Event]) -> Iterator[str]:
        if delivery is None or not self._wanted(delivery, notes):
            return
        if self._arrows >= self._limits.arrows:
            self._hidden += bool(delivery.type)
            return
        target = self._reader.name_of(delivery.dst)
        if delivery.type and delivery.src >= 0 and delivery.src != delivery.dst:
            self._arrows += 1
            source = self._alias(self._reader.name_of(delivery.src))
            arrow = "->>" if delivery.reply_to < 0 else "-->>"
            self._last = self._alias(target)
            yield f"    {source}{arrow}{self._last}: {_escape(delivery.type)}"
        for event in notes:
            if not is_noise(event.point) and self._about(event):
                self._last = self._alias(event.actor)
                yield f"    Note over {self._last}: {_escape(event.point.say())}"

    def _wanted(self, delivery: Delivery, notes: list[Event]) -> bool:
        limits = self._limits
        if delivery.time < limits.start or 0 <= limits.end < delivery.time:
            return False
        if limits.deliveries and (self._reader.name_of(delivery.src), delivery.seq) not in limits.deliveries:
            return False
        return limits.page < 0 or any(self._about(event) for event in notes)

    def _about(self, event: Event) -> bool:
        limits = self._limits
        if limits.page < 0:
            return True
        return limits.page in frames_of(event) and limits.host in ("", host_of(event.actor))

    def _alias(self, address: str) -> str:
        # An alias of letters and digits: an address may be a keyword of Mermaid, or hold a dash.
        return self.participants.setdefault(address, f"a{len(self.participants)}")


def _escape(text: str, longest: int = _LONG) -> str:
    short = text if len(text) <= longest else text[: longest - 3] + "..."
    escaped = "".join(_ENTITIES.get(character, character) for character in short)
    # A lone "end" closes a block, whatever it was meant to be.
    return escaped.replace("end", "#101;nd") if escaped.strip().lower() == "end" else escaped
