"""A replayed execution as a trace, for all that reads traces: check, export, other people's programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gupsim.replay.replaying import Replayed
from gupsim.run import header
from gupsim.trace.encoding import encode_record, encode_rows
from gupsim.trace.records import End
from gupsim.trace.writer import BATCH
from gupsim.whole import write_whole


def write_trace(replayed: Replayed, path: Path) -> None:
    """Write the trace file. Times are those of the events; where one comes earlier than an event before it (in a search
    any message may be the slow one), it has the time of that one. OSError."""
    case, history = replayed.case, replayed.history
    assert case.loaded is not None
    assert case.kernel is not None
    head = msgspec.structs.replace(header(case.loaded, case.kernel, case.seed), actors=history.addresses)
    rows = list(_rows(replayed))
    end = End(rows[-1][1] if rows else 0, len(history), ())
    batches = (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
    write_whole(path, b"".join([encode_record(head), *map(encode_rows, batches), encode_record(end)]))


def _rows(replayed: Replayed) -> Iterator[tuple[Any, ...]]:
    ranks = {address: rank for rank, address in enumerate(replayed.history.addresses)}
    now = 0
    for event in replayed.history.events:
        now = max(now, event.time)
        src, dst = ranks.get(event.src, -1), ranks[event.label.dst]
        seq, reply_to, context, cause_src, cause_seq = event.delivery
        yield "d", now, src, dst, seq, event.label.kind, reply_to, context, cause_src, cause_seq
        for point_context, address, point in event.points:
            yield "t", now, ranks[address], src, seq, point_context, point
