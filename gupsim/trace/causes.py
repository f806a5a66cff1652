"""Which messages led to a delivery: the chain of causes back to the outside world."""

from __future__ import annotations

from pathlib import Path

from gupsim.trace.reader import TraceReader
from gupsim.trace.records import Delivery, Event


class Causes:
    """All deliveries of a trace by name, for walking back from an event.

    A message is named (source address, seq). Keeps every delivery in memory: about 200 bytes each.
    """

    def __init__(self, reader: TraceReader) -> None:
        self.header = reader.header
        self.events: list[Event] = []
        self._by_name: dict[tuple[str, int], Delivery] = {}
        for record in reader.records():
            if isinstance(record, Delivery):
                self._by_name[reader.name_of(record.src), record.seq] = record
            else:
                self.events.append(record)
        self.warnings = reader.warnings()

    def __len__(self) -> int:
        return len(self._by_name)

    def leading_to(self, delivery: tuple[str, int], limit: int = 200) -> list[Delivery]:
        """The delivery itself and what caused it, oldest first; at most the last `limit` of them."""
        chain: list[Delivery] = []
        name = delivery
        while len(chain) < limit and (record := self._by_name.get(name)) is not None:
            chain.append(record)
            cause = record.cause_src
            name = (self.header.actors[cause] if cause >= 0 else "", record.cause_seq)
        return chain[::-1]


def cause_chain(path: Path | str, delivery: tuple[str, int], limit: int = 200) -> list[Delivery]:
    """Read a trace file and return the messages that led to `delivery`, oldest first."""
    return Causes(TraceReader(path)).leading_to(delivery, limit)
