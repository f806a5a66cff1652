"""pin-leak: references for DMA that outlive whoever was to give them back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gupsim.checkers.ledger import Ledger
from gupsim.checkers.names import host_of, without_host
from gupsim.checkers.orders import Orders
from gupsim.checkers.routing import Model
from gupsim.checkers.violation import Violation
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.process import ProcessExit, ProcessForked
from gupsim.trace.records import Event


class Registration:
    """What a driver holds for an owner. over: why nobody will give it back any more, "" as long as somebody may."""

    __slots__ = ("driver", "event", "handle", "host", "over", "owner", "pfns")

    def __init__(self, event: Event) -> None:
        point: Registered = event.point
        self.event = event
        self.host = host_of(event.actor)
        self.driver = without_host(event, point.driver)
        self.handle = point.handle
        self.owner = point.owner
        self.pfns = point.pfns
        self.over = ""


class PinLeaks:
    """Compares at the end what the ledger says that a driver holds with its registrations.

    Not before: a driver reports the release while it drops page after page, an exit closes device after device. A
    registration whose owner lives may be held at the end; that is a metric (`pins_held_at_end`), no leak. Nor are
    references of a call that never came back a leak: who is stuck is the business of deadlock. What a call that
    obtained nothing has not given back is one.
    """

    kind: ClassVar[str] = "pin-leak"
    reads: ClassVar[tuple[type[Tracepoint], ...]] = (Registered, Released, ProcessForked, ProcessExit, PagesPinned)
    relates: ClassVar[Orders] = {}
    models: ClassVar[tuple[type[Model], ...]] = (Ledger,)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._open: dict[tuple[str, str, int], Registration] = {}
        self._sharers: dict[tuple[str, str, str], set[str]] = {}
        """(host, driver, owner) -> processes that have the owner's file open, if fork made them several."""
        self._nothing: dict[tuple[str, str], PagesPinned] = {}
        """By host and holder, the last call, if it obtained nothing."""
        self._ended: list[Registration] = []
        """Those that still had references when they ended."""

    def feed(self, event: Event) -> Iterable[Violation]:
        """Take the next event."""
        point = event.point
        kind = type(point)
        if kind is Registered:
            made = Registration(event)
            self._open[made.host, made.driver, made.handle] = made
        elif kind is Released:
            key = (host_of(event.actor), without_host(event, point.driver), point.handle)
            registration = self._open.pop(key, None)
            if registration is not None:
                self._end(registration, f"the driver released registration {point.handle} of {point.owner}")
        elif kind is PagesPinned:
            caller = (host_of(event.actor), without_host(event, point.holder))
            self._nothing.pop(caller, None)
            if point.result <= 0 and point.holder:
                self._nothing[caller] = point
        elif kind is ProcessForked:
            self._fork(event, point)
        elif kind is ProcessExit:
            self._exit(event, point)
        return ()

    def finish(self, end_time: int) -> Iterable[Violation]:
        """What is left although its registration is over."""
        told: set[tuple[str, str, int]] = set()
        for registration in self._ended:
            for pfn in self._counted(registration):
                holder, left = self._left(registration, pfn)
                place = (registration.host, holder, pfn)
                if left <= 0 or place in told:
                    continue
                told.add(place)
                call = "pin" if self._ledger.of((registration.host, pfn)).pins else "reference"
                yield Violation(
                    kind=self.kind,
                    time_ns=end_time,
                    message=f"{holder} still holds {left} {call}(s) of page {pfn}, but {registration.over}",
                    actors=(registration.event.actor,),
                    pfn=pfn,
                )

        yield from self._kept_by_failed_calls(end_time)

    def _kept_by_failed_calls(self, end_time: int) -> Iterable[Violation]:
        for (host, pfn), holders in self._ledger.pages.items() if self._nothing else ():
            for holder in dict.fromkeys(name for name, _ in holders.gup):
                call = self._nothing.get((host, holder))
                left = holders.of(holder)
                if call is not None and left > 0:
                    what = f"{left} {'pin' if holders.pins else 'reference'}(s) of page {pfn}"
                    yield Violation(
                        kind=self.kind,
                        time_ns=end_time,
                        message=f"{holder} still holds {what}, but its call returned {call.result}",
                        actors=(f"{host}/{holder.partition('#')[0]}",),
                        pfn=pfn,
                    )

    def _left(self, registration: Registration, pfn: int) -> tuple[str, int]:
        """Holder and number of the references of an ended registration. A driver holds them in the name of the
        registration, "driver/nic#3", or in its own; then those of its living registrations do not count."""
        holders = self._ledger.of((registration.host, pfn))
        named = f"{registration.driver}#{registration.handle}"
        left = holders.of(named)
        if left:
            return named, left
        living = sum(
            sum(first <= pfn < first + count for first, count in open_.pfns.runs)
            for open_ in self._open.values()
            if (open_.host, open_.driver) == (registration.host, registration.driver)
        )
        return registration.driver, holders.of(registration.driver) - living

    def _fork(self, event: Event, point: ProcessForked) -> None:
        """The child has every file open that its parent has."""
        host = host_of(event.actor)
        for driver in point.drivers:
            self._sharers.setdefault((host, driver, point.parent), {point.parent})
            for (place, name, _), processes in self._sharers.items():
                if (place, name) == (host, driver) and point.parent in processes:
                    processes.add(point.child)

    def _exit(self, event: Event, point: ProcessExit) -> None:
        host = host_of(event.actor)
        for processes in self._sharers.values():
            processes.discard(point.owner)
        for key, registration in list(self._open.items()):
            # Without a fork its owner alone has the file open.
            sharers = self._sharers.get((host, registration.driver, registration.owner))
            gone = registration.owner == point.owner if sharers is None else not sharers
            if registration.host == host and gone:
                # The device may be closed just after: then the ledger is empty at the end, and nothing is reported.
                del self._open[key]
                self._end(registration, f"process {point.owner}, for which it took them, is gone")

    def _end(self, registration: Registration, over: str) -> None:
        registration.over = over
        if any(self._left(registration, pfn)[1] > 0 for pfn in self._counted(registration)):
            self._ended.append(registration)

    def _counted(self, registration: Registration) -> list[int]:
        """The pages of a registration on which somebody has references; those of a folio are counted on its first."""
        pages, known = registration.pfns, self._ledger.pages
        if len(pages) <= len(known):
            return [pfn for pfn in dict.fromkeys(pages) if (registration.host, pfn) in known]
        return [pfn for host, pfn in known if host == registration.host and pages.holds(pfn)]
