"""What a trace file holds: a header, then deliveries and tracepoints in the total order, then an end mark.

The file is a plain MessagePack stream; any `msgpack.Unpacker` reads it with no schema. Records are arrays whose
first element is their kind: "header", "d" (delivery), "t" (tracepoint), "end".
"""

from __future__ import annotations

from typing import Any

import msgspec

TRACE_VERSION = 2


class Header(msgspec.Struct, frozen=True, array_like=True, tag="header", tag_field="kind"):
    """version: TRACE_VERSION. actors: addresses by rank; other records name actors by rank.
    scenario: its title or file name; digest: SHA-256 of its canonical form; source: the scenario itself, as in its
    file (JSON-like); kernel, policies, rules, platform: what was in force; seed."""

    version: int
    scenario: str
    digest: str
    source: dict[str, Any]
    kernel: str
    policies: tuple[str, ...]
    rules: dict[str, str]
    seed: int
    actors: tuple[str, ...]
    platform: str = "x86"
    """The last field, because traces that were written before there were platforms end without it."""


class Delivery(msgspec.Struct, frozen=True, array_like=True, tag="d", tag_field="kind", gc=False):
    """One event: message (src, seq) reached dst at `time` ns.

    type: class name of the message; "" when a lock was granted, a timer ended or a join completed. reply_to: -1, or
    the seq at dst that it answers. context: kernel context, "" if the event has one of its own.
    cause: the delivery (cause_src, cause_seq) in which the message was sent; cause_src -1 is the outside world."""

    time: int
    src: int
    dst: int
    seq: int
    type: str
    reply_to: int
    context: str
    cause_src: int
    cause_seq: int


class Point(msgspec.Struct, frozen=True, array_like=True, tag="t", tag_field="kind"):
    """A tracepoint that `actor` emitted while it handled delivery (src, seq), in `context`.

    body: the tracepoint as a map; its key "tp" is the name."""

    time: int
    actor: int
    src: int
    seq: int
    context: str
    body: msgspec.Raw


class End(msgspec.Struct, frozen=True, array_like=True, tag="end", tag_field="kind"):
    """The trace is whole. time: of the last event; events: deliveries. decided: rules that decided something."""

    time: int
    events: int
    decided: tuple[str, ...] = ()
    """The last field, because traces that were written before anybody looked end without it."""


class Event(msgspec.Struct, frozen=True):
    """A tracepoint as checkers and reports see it, live or from a file.

    index: position among the tracepoints of the trace. actor: address. delivery: (source address, seq) of the
    event in which it was emitted. point: the typed tracepoint."""

    index: int
    time: int
    actor: str
    delivery: tuple[str, int]
    context: str
    point: Any
