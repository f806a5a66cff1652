"""Checkers, metrics and verdict over the merged trace: the same readers as of a run in one process."""

from __future__ import annotations

import msgspec

from gupsim.checkers import Suite
from gupsim.outcomes import WitnessReader, shown_by
from gupsim.protocol.director import DIRECTOR
from gupsim.protocol.engine import Stuck
from gupsim.report.metrics import Metrics
from gupsim.report.outcome import Outcome
from gupsim.trace import Header
from gupsim.trace.records import Event


class Judge:
    """Call `feed` with every event, then `outcome`."""

    def __init__(self) -> None:
        self.reader = WitnessReader()
        self.suite = Suite(beside=(self.reader,))
        self.metrics = Metrics()
        self._unmet: list[str] = []

    def feed(self, event: Event) -> None:
        """Take the next event."""
        self.suite.feed(event)
        self.metrics.feed(event)
        point = event.point
        if isinstance(point, Stuck) and event.actor == DIRECTOR:
            self._unmet.append(f"{point.context} still waits for {point.awaits}, which has not happened")

    def outcome(self, header: Header, events: int, end_time: int, sha256: str, decided: frozenset[str]) -> Outcome:
        """What the run came to. end_time: ns. decided: rules that decided something."""
        violations = tuple(self.suite.finish(end_time))
        shows = shown_by(header, self.reader.witness(decided), {found.kind for found in violations})
        return Outcome(
            header=header,
            violations=violations,
            metrics=self.metrics.values(),
            vmstat=self.metrics.vmstat,
            events=events,
            end_time=end_time,
            trace_sha256=sha256,
            warnings=tuple(self._unmet),
            results=shows.results,
            ended_with=shows.ended_with,
            claims=shows.claims,
            notes=shows.notes,
        )


class ClusterOutcome(msgspec.Struct, frozen=True):
    """An outcome and what it took. events_per_node: deliveries by node name; restarts: of nodes that had ended;
    lookahead: ns; waited: seconds that each node waited for others; replaced: reconnections of the coordinator."""

    outcome: Outcome
    nodes: tuple[str, ...]
    windows: int
    restarts: int
    events_per_node: dict[str, int]
    lookahead: int
    seconds: float
    waited: dict[str, float]
    trace: str
