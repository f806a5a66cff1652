"""A trace for ui.perfetto.dev and chrome://tracing: Chrome's JSON trace-event format.

One process per host, one thread per actor. Handling a message is a short slice (a handler takes no virtual time, but
an arrow needs something to start from), a message is a flow arrow, a tracepoint an instant. What lasts is a slice of
its own: the steps of a scenario's threads, interrupts off, writeback, DMA in flight, fsync.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from gupsim.checkers.ledger import GUP_KINDS, Ledger
from gupsim.checkers.names import FrameKey, frame_key
from gupsim.checkers.violation import Violation
from gupsim.protocol.address import host_of, local_name
from gupsim.protocol.cpu import IrqOff, IrqOn
from gupsim.protocol.dma import DmaEnd, DmaStart
from gupsim.protocol.flusher import WritebackEnd, WritebackStart
from gupsim.protocol.fs import FsyncBegin, FsyncEnd
from gupsim.protocol.memmap import PageGet, PagePut
from gupsim.protocol.process import StepBegin, StepEnd
from gupsim.trace.errors import TraceError
from gupsim.trace.reader import TraceReader
from gupsim.trace.records import Delivery, Event
from gupsim.whole import written_whole

TraceEvent: TypeAlias = dict[str, Any]

_SHORT: Final = 10
"""Nanoseconds that handling a message is drawn as, unless the actor's next message comes sooner."""

_COUNTERS: Final = 200
"""Pages with counters of references: those that were first held for a device."""

_STEP_THREADS: Final = 1_000_000
"""First thread number for the threads of the scenario, beyond those of the actors."""


def write_perfetto(trace: Path | str, out: Path | str, violations: Iterable[Violation] = ()) -> list[str]:
    """Convert a trace file; returns warnings. violations: of `check_file`, marked across all threads."""
    held = _held_pages(trace)
    reader = TraceReader(trace)
    encode = msgspec.json.encode
    try:
        with written_whole(Path(out)) as file:
            file.write(b'{"displayTimeUnit":"ns","otherData":')
            file.write(encode({"scenario": reader.header.scenario, "kernel": reader.header.kernel}))
            file.write(b',"traceEvents":[\n')
            separator = b""
            for event in trace_events(reader, violations, held):
                file.write(separator + encode(event))
                separator = b",\n"
            file.write(b"\n]}\n")
    except OSError as error:
        raise TraceError(str(out), -1, f"cannot be written: {error.strerror or error}") from None
    return reader.warnings()


def trace_events(
    reader: TraceReader, violations: Iterable[Violation] = (), counters: Iterable[FrameKey] = ()
) -> Iterator[TraceEvent]:
    """The elements of "traceEvents". counters: (host, pfn) of the pages whose references are drawn."""
    drawing = _Drawing(reader, set(counters))
    yield from drawing.names()
    for record in reader.records():
        if isinstance(record, Delivery):
            yield from drawing.delivery(record)
        else:
            yield from drawing.tracepoint(record)
    yield from drawing.rest()
    for found in violations:
        yield drawing.violation(found)


def _held_pages(trace: Path | str) -> list[FrameKey]:
    """The pages that somebody took with get_user_pages or pin_user_pages, in order."""
    held: dict[FrameKey, None] = {}
    for event in TraceReader(trace).events():
        point = event.point
        if type(point) is PageGet and point.kind in GUP_KINDS and len(held) < _COUNTERS:
            held[frame_key(event, point.pfn)] = None
    return list(held)


class _Drawing:
    """Turns records into trace events. Times are microseconds there, with decimals."""

    def __init__(self, reader: TraceReader, counters: set[FrameKey]) -> None:
        self._reader = reader
        self._actors = reader.header.actors
        hosts = sorted({host_of(address) for address in self._actors})
        self._hosts = {host: number for number, host in enumerate(hosts, start=1)}
        self._ranks = {address: rank for rank, address in enumerate(self._actors)}
        self._counters = counters
        self._ledger = Ledger()
        self._handled: dict[tuple[int, int], int] = {}
        self._pending: dict[int, tuple[int, TraceEvent]] = {}
        self._open: dict[tuple[str, str], tuple[int, TraceEvent]] = {}
        self._threads: dict[tuple[str, str], int] = {}
        self._flows = 0

    def names(self) -> Iterator[TraceEvent]:
        for host, pid in self._hosts.items():
            yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": f"host {host}"}}
        for address in self._actors:
            yield {"ph": "M", "name": "thread_name", **self._at(address), "args": {"name": local_name(address)}}

    def delivery(self, record: Delivery) -> Iterator[TraceEvent]:
        self._handled[record.src, record.seq] = record.time
        yield from self._shown(record.dst, record.time)
        where = self._at(self._actors[record.dst])
        name = record.type or "(resumes)"
        source = self._reader.name_of(record.src) or "(outside)"
        args = {"from": source, "seq": record.seq, "context": record.context}
        slice_ = {"ph": "X", "name": name, "cat": "message", **where, "ts": record.time / 1000, "args": args}
        self._pending[record.dst] = (record.time, slice_)
        sent = self._handled.get((record.cause_src, record.cause_seq))
        if sent is None or record.src < 0 or record.src == record.dst:
            return
        self._flows += 1
        flow = {"name": name, "cat": "message", "id": self._flows}
        yield {"ph": "s", **flow, **self._at(self._actors[record.src]), "ts": sent / 1000}
        yield {"ph": "f", "bp": "e", **flow, **where, "ts": record.time / 1000}

    def tracepoint(self, event: Event) -> Iterator[TraceEvent]:
        point = event.point
        args = {"says": point.say(), "context": event.context, **msgspec.to_builtins(point)}
        yield {
            "ph": "i",
            "s": "t",
            "name": args.pop("tp"),
            "cat": "tracepoint",
            **self._at(event.actor),
            "ts": event.time / 1000,
            "args": args,
        }
        yield from self._lasting(event)
        if isinstance(point, (PageGet, PagePut)):
            self._ledger.feed(event)
            yield from self._count(event, point)

    def rest(self) -> Iterator[TraceEvent]:
        """What is still open at the end of the trace."""
        for rank in list(self._pending):
            yield from self._shown(rank, self._reader.time + _SHORT)
        for kind, name in list(self._open):
            yield from self._end(kind, name, self._reader.time, " (not over)")

    def violation(self, found: Violation) -> TraceEvent:
        where = self._at(found.actors[0])
        args = {"message": found.message, "actors": list(found.actors)}
        ts = found.time_ns / 1000
        return {
            "ph": "i",
            "s": "g",
            "name": f"VIOLATION {found.kind}",
            "cat": "violation",
            **where,
            "ts": ts,
            "args": args,
        }

    def _at(self, address: str) -> TraceEvent:
        return {"pid": self._hosts.get(host_of(address), 0), "tid": self._ranks.get(address, -1) + 1}

    def _shown(self, rank: int, until: int) -> Iterator[TraceEvent]:
        """The slice of the last message of an actor, now that its length is known."""
        if rank in self._pending:
            start, slice_ = self._pending.pop(rank)
            # At least a nanosecond: an arrow ends in a slice, not in a point.
            slice_["dur"] = max(min(until - start, _SHORT), 1) / 1000
            yield slice_

    def _lasting(self, event: Event) -> Iterator[TraceEvent]:
        point = event.point
        host = host_of(event.actor)
        if isinstance(point, StepBegin):
            yield from self._begin_step(event, point)
        elif isinstance(point, StepEnd):
            yield from self._end("step", f"{event.actor} {point.thread}", event.time, f" -> {point.result}")
        elif isinstance(point, IrqOff):
            self._begin(event, "irq", event.actor, f"interrupts off: {point.why}", "X")
        elif isinstance(point, IrqOn):
            yield from self._end("irq", event.actor, event.time, "")
        elif isinstance(point, WritebackStart):
            self._begin(event, "writeback", f"{host} page {point.pfn}", f"writeback of page {point.pfn}", "b")
        elif isinstance(point, WritebackEnd):
            yield from self._end("writeback", f"{host} page {point.pfn}", event.time, "")
        elif isinstance(point, DmaStart):
            way = "into" if point.to_memory else "from"
            self._begin(event, "dma", f"{event.actor} {point.operation}", f"DMA {way} page {point.pfn}", "b")
        elif isinstance(point, DmaEnd):
            yield from self._end("dma", f"{event.actor} {point.operation}", event.time, "")
        elif isinstance(point, FsyncBegin):
            name = f"fsync of inode {point.ino}" if point.ino else "sync"
            self._begin(event, "fsync", f"{event.actor} {event.context} {point.ino}", name, "b")
        elif isinstance(point, FsyncEnd):
            yield from self._end(
                "fsync", f"{event.actor} {event.context} {point.ino}", event.time, f" -> {point.error}"
            )

    def _begin_step(self, event: Event, point: StepBegin) -> Iterator[TraceEvent]:
        thread = (event.actor, point.thread)
        tid = self._threads.get(thread)
        pid = self._at(event.actor)["pid"]
        if tid is None:
            tid = self._threads[thread] = _STEP_THREADS + len(self._threads)
            name = f"{local_name(event.actor)}: steps of {point.thread}"
            yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}
        self._begin(event, "step", f"{event.actor} {point.thread}", point.text, "X")
        self._open["step", f"{event.actor} {point.thread}"][1]["tid"] = tid

    def _begin(self, event: Event, kind: str, name: str, title: str, phase: str) -> None:
        where = self._at(event.actor)
        begun = {"ph": phase, "name": title, "cat": kind, **where, "ts": event.time / 1000}
        if phase == "b":
            # Nothing of one kind nests in itself under one name, so the name can serve as the id.
            begun["id"] = f"{kind} {name}"
        self._open[kind, name] = (event.time, begun)

    def _end(self, kind: str, name: str, time: int, result: str) -> Iterator[TraceEvent]:
        start, begun = self._open.pop((kind, name), (0, None))
        if begun is None:
            return
        begun["name"] += result
        if begun["ph"] == "X":
            yield {**begun, "dur": (time - start) / 1000}
        else:
            yield begun
            yield {**begun, "ph": "e", "ts": time / 1000}

    def _count(self, event: Event, point: PageGet | PagePut) -> Iterator[TraceEvent]:
        key = frame_key(event, point.pfn)
        if key not in self._counters:
            return
        held = self._ledger.of(key).gup
        values = {kind: sum(amount for (_, of), amount in held.items() if of == kind) for kind in GUP_KINDS}
        counter = {"ph": "C", "pid": self._at(event.actor)["pid"], "tid": 0, "ts": event.time / 1000}
        yield {**counter, "name": f"page {point.pfn} refcount", "args": {"references": point.refs}}
        yield {
            **counter,
            "name": f"page {point.pfn} pins",
            "args": {"FOLL_GET": values["gup"], "FOLL_PIN": values["pin"]},
        }
