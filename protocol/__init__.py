"""What actors say to each other, and how it travels. One module of messages per subsystem."""

if __name__ == "protocol":
    # A second copy of every class would look the same and be another one.
    raise ImportError("this is gupsim.protocol: import it by that name")

from gupsim.protocol.catalog import ALL_MESSAGES, ALL_TRACEPOINTS
from gupsim.protocol.codec import MAX_FRAME, Codec, FrameError
from gupsim.protocol.envelope import PROTOCOL_VERSION, Envelope
from gupsim.protocol.message import Message, Request, Tracepoint

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
