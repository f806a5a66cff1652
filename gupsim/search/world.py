"""The explored driver: any of the deliveries that are possible now may come next."""

from __future__ import annotations

from collections.abc import Hashable

from gupsim.engine.errors import LimitReached
from gupsim.engine.port import ActorPort
from gupsim.engine.world import World
from gupsim.protocol.message import Tracepoint
from gupsim.search.core import ExploredCore, Observer, Observers
from gupsim.search.names import Names
from gupsim.search.recorder import SearchRecorder


class ExploredWorld(World[ExploredCore]):
    """Actors and a set of deliveries under way, of which a schedule chooses.

    Filled like a `TimedWorld`: `add`, `post`, `on_tracepoint`. Latencies, transit times and the times of `post` do
    not constrain the order; what one context sends to one actor arrives in the order sent.

    names: of the search to which this world belongs. seed: of the actors' random streams. recorder: of footprints.
    """

    def __init__(self, names: Names | None = None, *, seed: int = 0, recorder: SearchRecorder | None = None) -> None:
        self.recorder = recorder or SearchRecorder()
        super().__init__(ExploredCore(names if names is not None else Names(), self.recorder, seed=seed))

    @property
    def events(self) -> int:
        """Events since `begin`."""
        return self.core.count

    def settle(self, limit: int = 1_000_000) -> None:
        """Deliver all that is under way, oldest first, and take that for granted: no schedule changes it.

        For what is over before the threads start (boot, mount), and for a look at the world after the end.
        """
        self.seal()
        core = self.core
        core.begin(past=True)
        for _ in range(limit):
            if not core.pending:
                break
            core.step(next(iter(core.pending)))
        else:
            raise LimitReached(f"still not settled after {limit} deliveries")
        core.rest()

    def relate(self, observer: Observer) -> None:
        """Let the order of tracepoints count although no actor looks at it, because a checker does.

        A checker that compares tracepoints of several actors would otherwise see one order of them where an
        equivalent execution has another. `observer` names what a tracepoint is about and how it touches it.
        """

        def observers(port: ActorPort, tracepoint: Tracepoint) -> tuple[tuple[Hashable, int], ...]:
            seen = observer(port, tracepoint)
            return (seen,) if seen is not None else ()

        self.core.observer = observers

    def relate_all(self, observers: Observers) -> None:
        """As `relate`, where a tracepoint may be about several things."""
        self.core.observer = observers
