"""Frames: what goes in comes out, and whatever else comes in is refused as one thing."""

from __future__ import annotations

import contextlib

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import MAX_FRAME, Codec, FrameError
from gupsim.protocol.envelope import PROTOCOL_VERSION, Envelope
from gupsim.protocol.memory import ReadMemory
from gupsim.protocol.message import Done, Flag, Message, Status
from tests.protocol.strategies import addresses, envelopes, messages

CODEC = Codec(ALL_MESSAGES)
HEADER = (PROTOCOL_VERSION, "h0/a", "h0/b", 1, 0, 40, False, -1, "", ("", 0))

any_class = pytest.mark.parametrize("cls", ALL_MESSAGES, ids=lambda cls: cls.__name__)
any_message = st.sampled_from(ALL_MESSAGES).flatmap(messages)
any_envelope = any_message.flatmap(lambda message: envelopes(CODEC.encode(message)))


def enveloped(body: bytes, *header: object) -> bytes:
    """The frame of an envelope that nobody checked."""
    return msgspec.msgpack.encode((*(header or HEADER), msgspec.Raw(body)))


@any_class
@settings(max_examples=20)
@given(data=st.data())
def test_every_message_comes_out_as_it_went_in(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(cls))
    back = CODEC.decode(CODEC.encode(message))
    assert back == message
    assert type(back) is cls


@any_class
@settings(max_examples=20)
@given(data=st.data())
def test_plain_msgpack_reads_every_message_without_a_schema(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(cls))
    tag, *fields = msgpack.unpackb(CODEC.encode(message))
    assert tag == cls.__name__
    assert len(fields) == len(cls.__struct_fields__)


@given(envelope=any_envelope)
def test_every_envelope_comes_out_as_it_went_in(envelope: Envelope) -> None:
    back, message = CODEC.decode_envelope(CODEC.encode_envelope(envelope))
    assert back == envelope
    assert message == CODEC.decode(bytes(envelope.body))


@given(envelope=any_envelope)
def test_plain_msgpack_reads_every_envelope_without_a_schema(envelope: Envelope) -> None:
    read = msgpack.unpackb(CODEC.encode_envelope(envelope))
    assert len(read) == len(Envelope.__struct_fields__)
    assert read[-1] == msgpack.unpackb(bytes(envelope.body))


@given(message=any_message, data=st.data())
def test_a_message_that_is_cut_off_is_refused(message: Message, data: st.DataObject) -> None:
    frame = CODEC.encode(message)
    with pytest.raises(FrameError):
        CODEC.decode(frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(envelope=any_envelope, data=st.data())
def test_an_envelope_that_is_cut_off_is_refused(envelope: Envelope, data: st.DataObject) -> None:
    frame = CODEC.encode_envelope(envelope)
    with pytest.raises(FrameError):
        CODEC.decode_envelope(frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(message=any_message, rest=st.binary(min_size=1))
def test_bytes_after_a_message_are_refused(message: Message, rest: bytes) -> None:
    with pytest.raises(FrameError):
        CODEC.decode(CODEC.encode(message) + rest)


@given(envelope=any_envelope, rest=st.binary(min_size=1))
def test_bytes_after_an_envelope_are_refused(envelope: Envelope, rest: bytes) -> None:
    with pytest.raises(FrameError):
        CODEC.decode_envelope(CODEC.encode_envelope(envelope) + rest)


@given(frame=st.binary())
def test_random_bytes_give_a_message_or_a_frame_error(frame: bytes) -> None:
    with contextlib.suppress(FrameError):
        assert isinstance(CODEC.decode(frame), Message)


@given(message=any_message, position=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_a_message_or_a_frame_error(message: Message, position: int, bit: int) -> None:
    frame = bytearray(CODEC.encode(message))
    frame[position % len(frame)] ^= 1 << bit
    with contextlib.suppress(FrameError):
        assert isinstance(CODEC.decode(bytes(frame)), Message)


@given(envelope=any_envelope, position=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_in_an_envelope_gives_a_message_or_a_frame_error(
    envelope: Envelope, position: int, bit: int
) -> None:
    frame = bytearray(CODEC.encode_envelope(envelope))
    frame[position % len(frame)] ^= 1 << bit
    with contextlib.suppress(FrameError):
        assert isinstance(CODEC.decode_envelope(bytes(frame))[1], Message)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="empty"),
        pytest.param(msgpack.packb(["NoSuchMessage"]), id="unknown tag"),
        pytest.param(msgpack.packb([7]), id="tag of a wrong type"),
        pytest.param(msgpack.packb([]), id="no tag"),
        pytest.param(msgpack.packb({"type": "Done"}), id="map instead of an array"),
        pytest.param(msgpack.packb("Done"), id="no array"),
        pytest.param(msgpack.packb(["Status", "EFAULT"]), id="field of a wrong type"),
        pytest.param(msgpack.packb(["Flag", 1]), id="number for a flag"),
        pytest.param(msgpack.packb(["Flag"]), id="field missing"),
        pytest.param(msgpack.packb(["Done", 1]), id="field too many"),
        pytest.param(msgpack.packb(["Status", 1 << 63]) + b"\0", id="trailing byte"),
        pytest.param(b"\x91" * 100_000, id="nested a hundred thousand deep"),
        pytest.param(b"\x81\xa1a" * 100_000, id="maps nested a hundred thousand deep"),
        pytest.param(b"\x92\xa4Flag" + b"\x91" * 100_000, id="nested deep inside a field"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="array of four thousand million"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="map of four thousand million"),
        pytest.param(b"\xdb\xff\xff\xff\xffDone", id="text of four gigabytes"),
        pytest.param(b"\xc6\xff\xff\xff\xff", id="four gigabytes of bytes"),
        pytest.param(b"\x91\xa4\xff\xfe\xfd\xfc", id="tag that is no UTF-8"),
        pytest.param(b"\x95\xaaReadMemory\x00\x00\x00\xa1\xff", id="text that is no UTF-8"),
        pytest.param(b"\xc1", id="byte that MessagePack never uses"),
    ],
)
def test_a_malformed_message_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameError):
        CODEC.decode(frame)
    with pytest.raises(FrameError):
        CODEC.decode_envelope(enveloped(frame))
    with pytest.raises(FrameError):
        CODEC.decode_envelope(frame)


def test_a_message_of_another_world_is_refused() -> None:
    with pytest.raises(FrameError):
        Codec([Done, Flag]).decode(CODEC.encode(Status()))


def test_a_frame_over_the_limit_is_refused_at_both_ends() -> None:
    small = Codec(ALL_MESSAGES, max_frame=64)
    message = ReadMemory(0, 0, 0, by="x" * 64)
    with pytest.raises(FrameError, match="at most 64"):
        small.encode(message)
    with pytest.raises(FrameError, match="at most 64"):
        small.decode(CODEC.encode(message))
    with pytest.raises(FrameError, match="at most 64"):
        small.decode_envelope(enveloped(CODEC.encode(message)))


def test_a_frame_of_exactly_the_limit_passes() -> None:
    frame = CODEC.encode(ReadMemory(0, 0, 0, by="x" * 64))
    assert Codec(ALL_MESSAGES, max_frame=len(frame)).decode(frame)


def test_more_than_a_page_of_data_in_one_message_is_refused() -> None:
    frame = msgpack.packb(["MemoryData", bytes(4097)])
    assert len(frame) < MAX_FRAME
    with pytest.raises(FrameError):
        CODEC.decode(frame)


def test_another_version_of_the_protocol_is_refused_and_named() -> None:
    frame = enveloped(CODEC.encode(Done()), PROTOCOL_VERSION + 1, *HEADER[1:])
    with pytest.raises(FrameError, match=f"version {PROTOCOL_VERSION + 1}"):
        CODEC.decode_envelope(frame)


@pytest.mark.parametrize("address", ["", "/", "H0/mm", "h0//mm", "h0/mm/", "h0/mm/a/b/c", "h 0", "a" * 121, "h0/mm\n"])
@pytest.mark.parametrize("field", [1, 2])
def test_a_malformed_address_is_refused(address: str, field: int) -> None:
    header = [*HEADER]
    header[field] = address
    with pytest.raises(FrameError):
        CODEC.decode_envelope(enveloped(CODEC.encode(Done()), *header))


@given(address=addresses)
def test_every_well_formed_address_passes(address: str) -> None:
    frame = enveloped(CODEC.encode(Done()), PROTOCOL_VERSION, address, address, *HEADER[3:])
    assert CODEC.decode_envelope(frame)[0].dst == address


def test_nothing_of_a_refused_frame_is_kept() -> None:
    with pytest.raises(FrameError):
        CODEC.decode(b"\x92\xa4Flag\xc0")
    assert CODEC.decode(CODEC.encode(Flag(True))) == Flag(True)
