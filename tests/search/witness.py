"""A checker that compares tracepoints of several actors."""

from __future__ import annotations

from gupsim.actors.base.footprint import COMMUTE, READ
from gupsim.engine.port import ActorPort
from gupsim.protocol.message import Tracepoint


class Point(Tracepoint, frozen=True, tag="test:point"):
    """A checker reads this: what it is about, how it touches that, and who says it."""

    about: int
    how: int
    name: str


class Witness:
    """A checker over the tracepoints of all machines: what it makes of them depends on their order.

    values: one for each thing that points are about. seen: what the readers saw.
    """

    def __init__(self) -> None:
        self.values = [1, 1]
        self.seen: list[tuple[str, int]] = []

    def read(self, _: ActorPort, point: Tracepoint) -> None:
        if not isinstance(point, Point):
            return
        if point.how == READ:
            self.seen.append((point.name, self.values[point.about]))
        elif point.how == COMMUTE:
            self.values[point.about] += 10
        else:
            self.values[point.about] = self.values[point.about] * 3 + len(point.name)


def related(_: ActorPort, point: Tracepoint) -> tuple[int, int] | None:
    """What the witness looks at."""
    return (point.about, point.how) if isinstance(point, Point) else None
