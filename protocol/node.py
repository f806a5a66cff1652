"""What the nodes of one run say to each other, and what they say to the process that coordinates them.

Everything is MessagePack of the structs below. A plain reader of MessagePack sees arrays whose first element names
their kind. Ranks are positions of addresses in the sorted table of the whole world, which every node has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Union

import msgspec

from gupsim.protocol.codec import FrameError
from gupsim.protocol.message import Message

NODE_PROTOCOL: Final = 1
"""Changes whenever a struct of this module does."""

MAX_NODE_FRAME: Final = 64 << 20
"""Bytes of one frame between nodes: a window of half a million messages."""

NEVER: Final = -1
"""Instead of a virtual time: nothing is under way."""

Parcel = tuple[int, int, int, int, Any, int, bool, str, int, int]
"""A message from one node to another, the engine's Item: due (ns), dst, src, seq, message, reply_to, wants, context,
cause_src, cause_seq. It holds what `protocol.Envelope` holds; ranks for addresses make it a third as long, and it is
decoded straight into the tuple that the receiver's heap wants."""


class Wire(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False, forbid_unknown_fields=True):
    """Base of all that travels between processes."""


class Awaited(Wire, frozen=True, tag="awaited"):
    """A request that is still being handled, by whom it was asked. rank, token: of the asker."""

    rank: int
    token: int


class Lost(Wire, frozen=True, tag="lost"):
    """A request that will never be answered, because its handler died. why: for the report."""

    rank: int
    token: int
    why: str


class Closing(Wire, frozen=True, tag="closing"):
    """Nothing is left to happen. What a node must know of the others to say who waits for ever.

    time, dst, src, seq, context: of this node's last delivery; dst is -1 if it had none.
    """

    time: int
    dst: int
    src: int
    seq: int
    context: str
    awaited: tuple[Awaited, ...]
    lost: tuple[Lost, ...]


class Frame(Wire, frozen=True, tag="frame"):
    """The one frame of a node for a peer in one round, sent even if it is empty.

    round: number of the exchange, from 0, without gaps. start: first virtual time of the window that the sender has
    just played (ns), NEVER before the first and if there was none. next: earliest time of anything that the sender has
    or has sent, NEVER if there is nothing. chain: the sender's rolling hash over all frames and records so far.
    closing: in the round after the last window only. items: messages for the receiver's actors.
    """

    round: int
    start: int
    next: int
    chain: bytes
    closing: Closing | None
    items: list[Parcel]


class NodeAt(Wire, frozen=True, tag="node"):
    """Where a node is reached. url: as http://10.0.0.1:7000."""

    name: str
    url: str


class Begin(Wire, frozen=True, tag="begin"):
    """From the coordinator: take part in a run, or go on with it.

    run: its id. index: of the receiver in `nodes`. world: what to build, see gupsim.cluster.plan. have: the last round
    whose records the coordinator holds, -1 for none. lookahead: ns. patience: seconds to wait for a peer.
    """

    run: str
    index: int
    nodes: tuple[NodeAt, ...]
    world: bytes
    lookahead: int
    have: int
    patience: float


class Part(Wire, frozen=True, tag="part"):
    """What one round gave at a node: see gupsim.cluster.records. records: an array, whose elements are never decoded
    on their way into the trace."""

    round: int
    deliveries: int
    places: bytes
    points: bytes
    records: msgspec.Raw


class Records(Wire, frozen=True, tag="records"):
    """From a node: the trace records of some rounds, encoded as arrays, in the order of this node.

    upto: all rounds up to this one are in here or came before. events: deliveries so far.
    waited: seconds for which this node has waited for others.
    """

    upto: int
    events: int
    waited: float
    parts: list[Part]


class Keep(Wire, frozen=True, tag="keep"):
    """From the coordinator: records up to this round are safe, forget them."""

    round: int


class Ended(Wire, frozen=True, tag="ended"):
    """From a node: the run is over here. events: its deliveries. time: of the last event of all nodes (ns). decided:
    rules that decided something at its actors."""

    rounds: int
    windows: int
    events: int
    time: int
    chain: bytes
    decided: tuple[str, ...] = ()


class Failed(Wire, frozen=True, tag="failed"):
    """From a node: it cannot go on. kind: "journal", "divergence", "actor", "peer", "refused". why: with the remedy."""

    kind: str
    why: str


class Stop(Wire, frozen=True, tag="stop"):
    """From the coordinator: leave this run. forget: the journal is not needed any more."""

    forget: bool


class Welcome(Wire, frozen=True, tag="welcome"):
    """The first message on a new connection, from the side that accepted it.

    proof: that it knows the shared secret, too. have: last round whose frame of the other side it holds.
    """

    proof: bytes
    have: int


class Resume(Wire, frozen=True, tag="resume"):
    """The second message between peers, from the side that dialled. have: as in Welcome."""

    have: int


ControlMessage = Begin | Records | Keep | Ended | Failed | Stop | Welcome | Resume

_encoder = msgspec.msgpack.Encoder()
_control: msgspec.msgpack.Decoder[ControlMessage] = msgspec.msgpack.Decoder(ControlMessage)
_REFUSED = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def encode(message: Wire) -> bytes:
    """The bytes of any struct of this module."""
    return _encoder.encode(message)


def decode_control(data: bytes) -> ControlMessage:
    """A message between coordinator and node, or of a connection's opening; FrameError for anything else."""
    try:
        return _control.decode(data)
    except _REFUSED as error:
        raise FrameError(f"not a message between nodes: {error}") from None


class FrameCodec:
    """Decodes the frames of one world. types: every message class that may travel in them."""

    def __init__(self, types: Iterable[type[Message]]) -> None:
        union: Any = Union[tuple(types)]  # noqa: UP007 - the types are known at run time only
        parcel: Any = tuple[int, int, int, int, union, int, bool, str, int, int]
        kind: Any = msgspec.defstruct(
            "Frame",
            [("round", int), ("start", int), ("next", int), ("chain", bytes), ("closing", Closing | None),
             ("items", list[parcel])],
            frozen=True, array_like=True, tag="frame", gc=False, forbid_unknown_fields=True,
        )  # fmt: skip
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kind)

    def decode(self, data: bytes) -> Frame:
        """FrameError for anything that is not a frame of this world."""
        try:
            read = self._decoder.decode(data)
        except _REFUSED as error:
            raise FrameError(f"not a frame between nodes: {error}") from None
        return Frame(read.round, read.start, read.next, read.chain, read.closing, read.items)
