"""Running a program again and again under one schedule after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from gupsim.actors.base.footprint import Footprint
from gupsim.engine.fence import fence
from gupsim.search.access import Access
from gupsim.search.core import ExploredCore
from gupsim.search.execution import Execution, Finding, Violation
from gupsim.search.liveness import stuck
from gupsim.search.names import Names
from gupsim.search.order import Order, Told
from gupsim.search.program import Program
from gupsim.search.recorder import SearchRecorder
from gupsim.search.traces import Traces
from gupsim.search.world import ExploredWorld

T = TypeVar("T")


class Run(Generic[T]):
    """One execution under way: the world, and what `build` returned."""

    __slots__ = ("built", "core", "world")

    def __init__(self, world: ExploredWorld, built: T) -> None:
        self.world = world
        self.core: ExploredCore = world.core
        self.built = built


class Runs:
    """All executions of one search share the names of messages, the order of events and its counters.

    Every execution starts from scratch: a world cannot be copied, but it is cheap to rebuild.

    order: the events of the execution that runs now, up to the point from which it is new.
    events: delivered in all, replays included. depth: most events in one execution. recorder: makes that of a world.
    """

    def __init__(self, program: Program[Any], recorder: Callable[[], SearchRecorder] = SearchRecorder) -> None:
        self.program = program
        self._recorder = recorder
        self.names = Names()
        self.order = Order()
        self.traces = Traces(self.order)
        self.events = 0
        self.depth = 0

    def share_names(self, other: Runs) -> None:
        """Call messages as another search of the same program does, so that traces can be compared."""
        self.names = other.names

    def open(self, prefix: Iterable[int] = ()) -> Run[Any]:
        """A new world in which the events of `prefix` have happened; nobody looked at what they touched."""
        program = self.program
        world = ExploredWorld(self.names, seed=program.seed, recorder=self._recorder())
        run = Run(world, program.build(world))
        world.seal()
        run.core.begin()
        step = run.core.step
        with fence(run.core.running):
            for mid in prefix:
                if run.core.pending or self.go_on(run):
                    step(mid)
        self.events += run.core.count
        return run

    def open_at(self, events: Iterable[int]) -> tuple[Run[Any], list[Told]]:
        """A new world in which these events have happened, and what was delivered for it.

        What touches nothing is delivered only where it leads to one of them: so it is the same world whichever
        execution showed these events first, and a search in parts goes on from it as one in a whole.
        """
        run = self.open()
        core = run.core
        pending, step = core.pending, core.step
        told: list[Told] = []
        with fence(core.running):
            for mid in events:
                while self.go_on(run) and mid not in pending:
                    quiet = core.on_the_way_to(mid)
                    told.append((quiet, step(quiet), True))
                told.append((mid, step(mid), False))
        self.events += len(told)
        return run, told

    def go_on(self, run: Run[Any]) -> bool:
        """True if something is left to happen, what the program posts last included."""
        core, then = run.core, self.program.then
        if not core.pending and then is not None:
            core.rest()
            then(run.world, run.built)
            core.begin()
        return bool(core.pending)

    def follow(self, run: Run[Any], mid: int) -> Access:
        """Deliver a message and take its event into `order`."""
        rank, hard, footprint, observed = self._look(run, mid)
        return self.order.add(mid, rank, hard, footprint, observed)

    def take(self, run: Run[Any], mid: int) -> Access | None:
        """As `follow`; but if it touches nothing, it is no event for `order`, and None comes back."""
        rank, hard, footprint, observed = self._look(run, mid)
        if footprint or observed:
            return self.order.add(mid, rank, hard, footprint, observed)
        self.order.pass_over(mid, hard)
        return None

    def _look(self, run: Run[Any], mid: int) -> tuple[int, int, Footprint, dict[Hashable, int]]:
        """Deliver a message: the rank of its actor, its hard predecessors, what it touched and what was seen of it."""
        core = run.core
        delivery = core.pending.get(mid)
        if delivery is None:
            raise core.not_pending(mid)
        recorder = run.world.recorder
        recorder.looking = True
        hard = core.step(mid)
        self.events += 1
        return delivery[0][1], hard, recorder.taken(), core.observed

    def pass_by(self, run: Run[Any], mid: int) -> None:
        """Deliver a message; nobody looks at what its event touches."""
        run.core.step(mid)
        self.events += 1

    def shrink(self, length: int) -> None:
        """Another branch is taken after `length` events."""
        self.order.shrink(length)
        self.traces.shrink(length)

    def rewind(self, deliveries: int) -> None:
        """Another branch is taken after so many deliveries."""
        self.order.rewind(deliveries)
        self.traces.shrink(len(self.order))

    def scripted(self) -> Execution | None:
        """The execution that the program's own guide chooses; None if it has none."""
        if self.program.first is None:
            return None
        guide = self.program.first()
        run = self.open()
        schedule: list[int] = []
        with fence(run.core.running):
            while run.core.count < self.program.max_events and (run.core.pending or self.go_on(run)):
                mid = guide.choose(run.core)
                if mid is None:
                    mid = next(iter(run.core.pending))
                schedule.append(mid)
                self.pass_by(run, mid)
        return self.end(run, schedule)

    def end(
        self,
        run: Run[Any],
        schedule: Iterable[int],
        *,
        length: int | None = None,
        trace: bool = False,
        blocked: bool = False,
    ) -> Execution:
        """Judge and close an execution in which nothing more is to happen.

        length: how many events it has, if not every delivery is one. trace: it is the one in `order`.
        """
        core, program = run.core, self.program
        cut = bool(core.pending) and not blocked
        self.depth = max(self.depth, core.count if length is None else length)
        violations: list[Violation] = [Finding("actor-failed", why) for why in sorted(map(str, core.failures))]
        state = None
        if cut:  # not a deadlock: something could still happen
            violations.append(Finding("starvation", f"still running after {core.count} events"))
        elif not blocked:
            if program.deadlocks and not violations:
                violations += stuck(core)
            core.rest()
            if program.check is not None:
                violations += program.check(run.world, run.built)
            if program.state is not None:
                state = program.state(run.world, run.built)
        run.world.close()
        core.scrap()
        return Execution(
            schedule=tuple(schedule),
            violations=tuple(violations),
            state=state,
            trace=self.traces.trace() if trace else None,
            cut=cut,
            blocked=blocked,
        )
