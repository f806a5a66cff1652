"""MessagePack for messages and envelopes, with limits; every bad frame gives one FrameError."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, Union

import msgspec

from gupsim.protocol.address import AddressError, check_address
from gupsim.protocol.envelope import PROTOCOL_VERSION, Envelope
from gupsim.protocol.message import Message

T = TypeVar("T")

MAX_FRAME = 1 << 20
"""Bytes in one frame; a page of data is 4 KiB, so this leaves room for batches."""


class FrameError(ValueError):
    """A frame that is cut off, too large, of an unknown tag or of a wrong type. Nothing was taken from it."""


class Codec:
    """Encodes and decodes the messages of one world.

    types: every message class that may appear; two classes of one tag are refused.
    """

    def __init__(self, types: Iterable[type[Message]], max_frame: int = MAX_FRAME) -> None:
        self.max_frame = max_frame
        self.types: dict[str, type[Message]] = {}
        for cls in types:
            tag = str(cls.__struct_config__.tag)
            if self.types.setdefault(tag, cls) is not cls:
                raise ValueError(f"two message classes are tagged {tag!r}: {cls} and {self.types[tag]}")
        union: Any = Union[tuple(self.types.values())]  # noqa: UP007 - the types are known at run time only
        self._encoder = msgspec.msgpack.Encoder()
        self._body: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(union)
        self._envelope = msgspec.msgpack.Decoder(Envelope)

    def encode(self, message: Message) -> bytes:
        """The frame of one message; FrameError if it exceeds the limit."""
        return self._limited(self._encoder.encode(message))

    def decode(self, frame: bytes) -> Message:
        """The message in `frame`; FrameError for anything else."""
        return self._guarded(self._body, frame)

    def encode_envelope(self, envelope: Envelope) -> bytes:
        """The frame of an envelope, its body already encoded; FrameError if it exceeds the limit."""
        return self._limited(self._encoder.encode(envelope))

    def decode_envelope(self, frame: bytes) -> tuple[Envelope, Message]:
        """Envelope and message in `frame`; FrameError also for a foreign version or a malformed address."""
        envelope = self._guarded(self._envelope, frame)
        if envelope.version != PROTOCOL_VERSION:
            raise FrameError(f"protocol version {envelope.version}: this end speaks {PROTOCOL_VERSION}")
        try:
            check_address(envelope.src)
            check_address(envelope.dst)
        except AddressError as error:
            raise FrameError(str(error)) from None
        return envelope, self._guarded(self._body, bytes(envelope.body))

    def _limited(self, frame: bytes) -> bytes:
        if len(frame) > self.max_frame:
            raise FrameError(f"frame of {len(frame)} bytes: at most {self.max_frame} are allowed")
        return frame

    def _guarded(self, decoder: msgspec.msgpack.Decoder[T], frame: bytes) -> T:
        self._limited(frame)
        try:
            return decoder.decode(frame)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise FrameError(f"not a frame of this protocol: {error}") from None
