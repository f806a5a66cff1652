"""Counts what happened: a reader of the tracepoints like the checkers, without an opinion."""

from __future__ import annotations

from collections import Counter
from typing import Final

from gupsim.checkers.content import Content
from gupsim.checkers.holds import Holds
from gupsim.checkers.ledger import Ledger
from gupsim.checkers.names import frame_key
from gupsim.checkers.pin_incoherent import PinIncoherent
from gupsim.checkers.routing import routes
from gupsim.checkers.torn_writeback import TornWriteback
from gupsim.protocol.director import DIRECTOR
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.engine import Stuck
from gupsim.protocol.fs import FsyncEnd, SetPageDirtyDone
from gupsim.protocol.kernel import KernelBug
from gupsim.protocol.memmap import MaybePinnedAsked
from gupsim.protocol.message import Tracepoint
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.observer import VmstatSeen
from gupsim.protocol.reclaim import ReleaseBuffersDone, ShrinkOutcome
from gupsim.trace.records import Event

_COUNTED: Final = {
    "faults": "mm:fault",
    "page_mkwrites": "fs:page_mkwrite",
    "tlb_flushes": "tlb:flush",
    "writeback_passes": "writeback:pass",
    "pages_written_back": "writeback:start",
    "pages_bounced": "writeback:bounce",
    "pages_skipped": "writeback:skip",
    "blocks_read": "block:read",
    "blocks_written": "block:write",
    "dma_operations": "dma:start",
    "dma_chunks": "dma:access",
    "buffers_released": "fs:buffers_released",
    "dirty_discarded": "fs:discard_dirty",
    "lock_waits": "lock:contended",
    "kernel_warnings": "kernel:warn",
    "kernel_bugs": "kernel:bug",
}
"""Metrics that are the number of one tracepoint."""


class Metrics:
    """Subscribe `feed`, then read `values`.

    vmstat: counters of the last observer:vmstat, by name. by_name: tracepoints of each name.
    """

    def __init__(self) -> None:
        self.vmstat: dict[str, int] = {}
        self._kinds: Counter[type[Tracepoint]] = Counter()
        self._extra: Counter[str] = Counter()
        self._first_bug: int | None = None
        self._ledger = Ledger()
        content, holds = Content(), Holds()
        self._torn = TornWriteback(content, holds)
        self._coherence = PinIncoherent()
        self._routes = routes(content, holds, self._ledger, self._torn, self._coherence)
        self._registered: dict[tuple[str, str, int], int] = {}

    def feed(self, event: Event) -> None:
        """Take the next event."""
        point = event.point
        kind = type(point)
        self._kinds[kind] += 1
        for feed in self._routes.get(kind, ()):
            feed(event)
        if kind is PagesPinned:
            self._pinned(point)
        elif kind is MaybePinnedAsked:
            pins = self._ledger.of(frame_key(event, point.pfn)).pins
            self._extra["false_positive_pins"] += bool(point.answer and not pins)
        elif kind is Registered:
            self._registered[event.actor, point.driver, point.handle] = len(point.pfns)
        elif kind is Released:
            self._registered.pop((event.actor, point.driver, point.handle), None)
        elif kind is ReleaseBuffersDone:
            # The one number of the LWN story: how often reclaim met a page that somebody was still using.
            seen = self._ledger.of(frame_key(event, point.pfn)).gup
            self._extra["buffers_stripped_in_use"] += bool(point.ok and seen)
        elif kind is SetPageDirtyDone:
            self._extra["dirtied_without_buffers"] += not point.buffers
        elif kind is ShrinkOutcome:
            self._extra["pages_reclaimed" if point.outcome == "freed" else "pages_kept_by_reclaim"] += 1
        elif kind is FsyncEnd:
            self._extra["fsyncs_failed" if point.error else "fsyncs"] += 1
        elif kind is KernelBug:
            self._first_bug = event.time if self._first_bug is None else self._first_bug
        elif kind is Stuck:
            self._extra["script_gates_unmet"] += event.actor == DIRECTOR
        elif kind is VmstatSeen:
            self.vmstat = dict(point.counters)

    @property
    def by_name(self) -> dict[str, int]:
        """Tracepoints of each name, in alphabetical order."""
        return dict(sorted((str(kind.__struct_config__.tag), count) for kind, count in self._kinds.items()))

    def values(self) -> dict[str, int | None]:
        """All metrics, always the same ones in the same order."""
        names = self.by_name
        counted: dict[str, int | None] = {"tracepoints": sum(names.values())}
        counted.update((metric, names.get(tracepoint, 0)) for metric, tracepoint in _COUNTED.items())
        for metric in (
            "pin_calls",
            "pin_calls_failed",
            "pages_pinned",
            "false_positive_pins",
            "buffers_stripped_in_use",
            "dirtied_without_buffers",
            "pages_reclaimed",
            "pages_kept_by_reclaim",
            "fsyncs",
            "fsyncs_failed",
            "script_gates_unmet",
        ):
            counted[metric] = self._extra[metric]
        counted["torn_blocks"] = self._torn.blocks
        counted["pins_moved_by_user"] = self._coherence.user_caused
        counted["pins_held_at_end"] = sum(self._registered.values())
        counted["first_bug_ns"] = self._first_bug
        return counted

    def _pinned(self, point: PagesPinned) -> None:
        if point.result < 0:
            self._extra["pin_calls_failed"] += 1
        else:
            self._extra["pin_calls"] += 1
            self._extra["pages_pinned"] += len(point.pfns)
