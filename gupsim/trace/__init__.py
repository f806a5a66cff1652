"""The trace of a run: what is in it, writing it, reading it, and passing it on while it happens."""

from gupsim.trace.causes import Causes, cause_chain
from gupsim.trace.encoding import encode_batch, encode_record
from gupsim.trace.errors import TraceCut, TraceError
from gupsim.trace.live import EventReader, LiveEvents
from gupsim.trace.reader import TraceReader
from gupsim.trace.records import TRACE_VERSION, Delivery, End, Event, Header, Point
from gupsim.trace.writer import TraceWriter

__all__ = [
    "TRACE_VERSION",
    "Causes",
    "Delivery",
    "End",
    "Event",
    "EventReader",
    "Header",
    "LiveEvents",
    "Point",
    "TraceCut",
    "TraceError",
    "TraceReader",
    "TraceWriter",
    "cause_chain",
    "encode_batch",
    "encode_record",
]
