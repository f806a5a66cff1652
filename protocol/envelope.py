"""The envelope in which a message crosses from one process to another."""

from __future__ import annotations

import msgspec

PROTOCOL_VERSION = 1


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A message under way.

    version: PROTOCOL_VERSION of the sender.
    src, dst: addresses of the two actors.
    seq: per-source sequence number; (src, seq) names the message in every process layout.
    sent, due: virtual time in nanoseconds of the sending and of the delivery.
    request: True if the sender waits for an answer, whose `reply_to` will be this `seq`.
    reply_to: the `seq` of the request that this message answers, or -1.
    context: the kernel context (thread, interrupt, device queue) on whose behalf it travels.
    cause: (src, seq) of the delivery that sent it: its causal parent; ("", 0) for a root.
    body: the MessagePack bytes of the message itself.
    """

    version: int
    src: str
    dst: str
    seq: int
    sent: int
    due: int
    request: bool
    reply_to: int
    context: str
    cause: tuple[str, int]
    body: msgspec.Raw
