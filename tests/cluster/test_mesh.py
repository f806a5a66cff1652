"""What a node makes of the frames of a peer that comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gupsim.cluster.errors import Divergence
from gupsim.cluster.mesh import Mesh
from gupsim.protocol.node import Frame, NodeAt, Resume, encode


class Wire:
    """A connection on which the peer resumes, and then says what it is given to say."""

    def __init__(self, *frames: bytes) -> None:
        self._said = [_binary(frame) for frame in frames]

    async def receive(self, timeout: float) -> aiohttp.WSMessage:
        return _binary(encode(Resume(-1)))

    async def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]:
        for message in self._said:
            yield message

    async def send_bytes(self, data: bytes) -> None:
        pass

    async def close(self) -> None:
        pass


class Codec:
    """The round is the first byte of a frame."""

    def decode(self, data: bytes) -> Frame:
        return Frame(data[0], 0, 0, b"", None, [])


def _binary(data: bytes) -> aiohttp.WSMessage:
    return aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, data, None)


def mesh() -> Mesh:
    nodes = [NodeAt("n0", "http://127.0.0.1:1"), NodeAt("n1", "http://127.0.0.1:2")]
    made: Any = Mesh(0, nodes, codec=Codec(), dialler=None, hello=None, patience=5)  # type: ignore[arg-type]
    made.links[1].have = -1
    return made


async def test_a_frame_that_comes_again_as_it_was_is_taken_once() -> None:
    node = mesh()
    await node.serve(1, Wire(b"\x00one", b"\x00one", b"\x01two"))
    assert (node.links[1].have, node.links[1].duplicates) == (1, 1)
    assert {number: data for number, (_, data) in node.links[1].inbox.items()} == {0: b"\x00one", 1: b"\x01two"}
    assert list(await node.gather(0)) == [1]


async def test_a_frame_that_comes_again_with_another_content_ends_the_run() -> None:
    node = mesh()
    await node.serve(1, Wire(b"\x00one"))
    await node.serve(1, Wire(b"\x00other"))
    with pytest.raises(Divergence, match="n1 sends another frame of round 0"):
        await node.gather(0)
