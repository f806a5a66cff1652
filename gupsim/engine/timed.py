"""The timed driver: one history, in the total order (time, destination, source, sequence number)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush

from gupsim.actors.base.footprint import Recorder
from gupsim.engine.core import Core, Item
from gupsim.engine.errors import LimitReached
from gupsim.engine.fence import fence
from gupsim.engine.links import Links, LinkSpeed
from gupsim.engine.stuck import stuck_contexts
from gupsim.engine.wire import wire_of
from gupsim.engine.world import World
from gupsim.protocol.codec import Codec


class TimedWorld(World[Core]):
    """Actors, virtual time and a heap of messages under way.

    seed: of all latencies and all actors' random streams.
    speeds: latencies; the first rule that matches a link counts.
    codec: if given, every message crosses its link as MessagePack; without it, by reference (messages are
        immutable, so nobody can tell; a test holds that the trace is the same).
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        speeds: Sequence[LinkSpeed] = (),
        codec: Codec | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._heap: list[Item] = []
        self._links = Links(seed, speeds)
        wire = wire_of(codec) if codec is not None else None
        super().__init__(
            Core(partial(heappush, self._heap), self._links.route, seed=seed, recorder=recorder, wire=wire)
        )
        self.events = 0

    def _complete(self) -> None:
        self._links.names.extend(port.address for port in self.core.ports)

    def run(self, *, until: int | None = None, limit: int | None = None) -> bool:
        """Deliver until nothing is under way; True if that was reached.

        until: stop before the first delivery later than this virtual time (ns).
        limit: stop after so many deliveries more.
        """
        self.seal()
        heap, deliver = self._heap, self.core.deliver
        stop = -1 if limit is None else self.events + limit
        events = self.events
        with fence(self.core.running):
            try:
                # Two loops, because the test of `until` costs 3 % of PHOLD.
                if until is None:
                    while heap and events != stop:
                        if deliver(heappop(heap)):
                            events += 1
                else:
                    while heap and events != stop and heap[0][0] <= until:
                        if deliver(heappop(heap)):
                            events += 1
            finally:
                self.events = events
        # A timer that nobody needs any more is nothing under way.
        while heap and self.core.is_late(heap[0]):
            heappop(heap)
        return not heap

    def run_all(self, limit: int) -> None:
        """Run to the end; LimitReached if that takes more than `limit` deliveries."""
        if not self.run(limit=limit):
            raise LimitReached(f"still running after {limit} deliveries, at {self.core.now} ns of virtual time")

    async def arun(
        self, *, until: int | None = None, slice_events: int = 20_000, pause: Callable[[int], float] | None = None
    ) -> None:
        """As `run`, from within a host event loop (asyncio or uvloop), which gets a turn between slices.

        pause: given the virtual time, the real seconds to wait before the next slice (slow motion).
        """
        while not self.run(until=until, limit=slice_events):
            if until is not None and self._heap and self._heap[0][0] > until:
                return
            await asyncio.sleep(pause(self.core.now) if pause else 0)

    def report_stuck(self) -> int:
        """Trace every context that waits although nothing is under way; returns how many."""
        if self._heap:
            return 0
        stuck = stuck_contexts(self.core)
        for port, tracepoint in stuck:
            self.core.trace(port, tracepoint)
        return len(stuck)
