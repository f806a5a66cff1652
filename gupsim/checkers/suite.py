"""All checkers over one history, live or stored."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any, Final

from gupsim.checkers.checker import Checker
from gupsim.checkers.data_loss import DataLoss
from gupsim.checkers.deadlock import Deadlocks
from gupsim.checkers.dma_use_after_free import DmaUseAfterFree
from gupsim.checkers.forbidden_dma import ForbiddenDma
from gupsim.checkers.info_leak import InfoLeak
from gupsim.checkers.kernel_bug import KernelBugs
from gupsim.checkers.misidentified_pin import MisidentifiedPins
from gupsim.checkers.orders import Relates
from gupsim.checkers.pin_incoherent import PinIncoherent
from gupsim.checkers.pin_leak import PinLeaks
from gupsim.checkers.refcount import Refcounts
from gupsim.checkers.routing import Model, routes
from gupsim.checkers.stale_tlb import StaleTlb
from gupsim.checkers.starvation import Starvation
from gupsim.checkers.story import Stories
from gupsim.checkers.table_use_after_free import TableUseAfterFree
from gupsim.checkers.torn_entry import TornEntries
from gupsim.checkers.torn_writeback import TornWriteback
from gupsim.checkers.violation import Violation
from gupsim.protocol.message import Tracepoint
from gupsim.trace.reader import TraceReader
from gupsim.trace.records import Event, Header

ALL_CHECKERS: Final[tuple[type[Checker], ...]] = (
    KernelBugs,
    DataLoss,
    TornWriteback,
    InfoLeak,
    DmaUseAfterFree,
    ForbiddenDma,
    Refcounts,
    PinLeaks,
    MisidentifiedPins,
    PinIncoherent,
    TornEntries,
    TableUseAfterFree,
    StaleTlb,
    Deadlocks,
    Starvation,
)

SEARCH_KINDS: Final = ("deadlock", "starvation")
"""What a search reports by itself, without a checker."""

KINDS: Final[tuple[str, ...]] = tuple(dict.fromkeys([*(checker.kind for checker in ALL_CHECKERS), *SEARCH_KINDS]))
"""The kinds of violations that there are: what nobody here reports, nobody may expect."""


def relates(checkers: Iterable[type[Checker]] = ALL_CHECKERS) -> Relates:
    """The orders of tracepoints that these checkers look at and no actor knows of."""
    return Relates(checker.relates for checker in checkers)


class Suite:
    """Feeds each checker the tracepoints that it reads and tells the story of what it finds.

    `violations` grows while events come in; call `finish` once at the end. ``writer.subscribe(suite.feed)`` checks a
    live run.

    checkers: which kinds. stories: without them violations have no chain, and a search runs faster. beside: who reads
    the same events and reports nothing.
    """

    def __init__(
        self,
        checkers: Iterable[type[Checker]] = ALL_CHECKERS,
        *,
        stories: bool = True,
        beside: Iterable[Model] = (),
    ) -> None:
        self.violations: list[Violation] = []
        self._stories = Stories() if stories else None
        models: dict[type[Model], Model] = {}
        self.checkers = [_made(kind, models) for kind in checkers]
        self._routes: dict[type[Tracepoint], tuple[Callable[[Event], Any], ...]]
        self._routes = routes(*models.values(), *beside, *self.checkers)

    @property
    def reads(self) -> Container[type[Tracepoint]] | None:
        """The tracepoints that anybody here reads; None if that is all of them."""
        return self._routes if self._stories is None else None

    def feed(self, event: Event) -> None:
        """Take the next event."""
        if self._stories is not None:
            self._stories.feed(event)
        for feed in self._routes.get(type(event.point), ()):
            violations = feed(event)
            if violations:
                for found in violations:
                    self._add(found)

    def finish(self, end_time: int) -> list[Violation]:
        """The history ended at `end_time` (ns): all violations in the order in which they were seen."""
        for checker in self.checkers:
            for found in checker.finish(end_time):
                self._add(found)
        return self.violations

    def _add(self, found: Violation) -> None:
        self.violations.append(self._stories.tell(found) if self._stories is not None else found)


def _made(kind: type[Checker], models: dict[type[Model], Model]) -> Checker:
    """A checker, with the models that it shares with others."""
    needs: tuple[type[Model], ...] = getattr(kind, "models", ())
    for need in needs:
        if need not in models:
            models[need] = need()
    return kind(*[models[need] for need in needs])


def check_events(events: Iterable[Event], end_time: int | None = None) -> list[Violation]:
    """All violations of a history. end_time: in ns; None: the time of its last event."""
    suite = Suite()
    last = 0
    for event in events:
        last = event.time
        suite.feed(event)
    return suite.finish(last if end_time is None else end_time)


def check_file(path: Path | str) -> tuple[Header, list[Violation], list[str]]:
    """Header, violations and warnings of a trace file; TraceError if it is none.

    Of a file that is cut off, what is there is checked, and a warning says so; what only the end of a history shows
    (leaks, deadlocks) is left open."""
    reader = TraceReader(path)
    suite = Suite()
    for event in reader.events():
        suite.feed(event)
    if reader.end is not None:
        suite.finish(reader.end.time)
    return reader.header, suite.violations, reader.warnings()
