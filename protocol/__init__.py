"""What actors say to each other, and how it travels. One module of messages per subsystem."""

from protocol.catalog import ALL_MESSAGES, ALL_TRACEPOINTS
from protocol.codec import MAX_FRAME, Codec, FrameError
from protocol.envelope import PROTOCOL_VERSION, Envelope
from protocol.message import Message, Request, Tracepoint

__all__ = [
    "ALL_MESSAGES",
    "ALL_TRACEPOINTS",
    "MAX_FRAME",
    "PROTOCOL_VERSION",
    "Codec",
    "Envelope",
    "FrameError",
    "Message",
    "Request",
    "Tracepoint",
]
