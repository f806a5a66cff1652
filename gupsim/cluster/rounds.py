"""One node's side of a clustered run: windows and the frames between them. No input or output of its own.

A round is one exchange: every node gives every other node one frame, also an empty one. From the frames of a round each
node computes the same window [T, T + lookahead), T being the earliest time of anything anywhere, and plays it; what
happens in there cannot reach another node before its end. Idle time costs nothing: T jumps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from gupsim.cluster.closing import closing_of, report_stuck, set_clock
from gupsim.cluster.errors import Divergence
from gupsim.cluster.lookahead import UNBOUNDED
from gupsim.cluster.node_world import NodeWorld
from gupsim.protocol.codec import FrameError
from gupsim.protocol.node import MAX_NODE_FRAME, NEVER, Closing, Frame, Part

START: Final = b"gupsim rolling hash 1"

ALONE: Final = 20_000
"""Deliveries in a window of a node that has no peers."""

LONGEST: Final = 1_000_000
"""ns of the longest window: nodes that never talk still tell each other how far they are."""

RUNNING: Final = "running"
CLOSING: Final = "closing"
OBSERVING: Final = "observing"
DONE: Final = "done"

_encoder: Final = msgspec.msgpack.Encoder()


class Rounds:
    """The windows of one node.

    Call `frames` and send them; once the frames of all peers for the same round are there, call `take`; repeat until
    `phase` is DONE. The same frames taken in again give the same state: that is how a killed node comes back.

    world: sealed, its first messages posted. lookahead: ns. finish: called once when nothing is left to happen; posts
    what comes last, or returns False. observe: called once after that; what it posts is played, too.
    """

    def __init__(
        self,
        world: NodeWorld,
        lookahead: int,
        *,
        finish: Callable[[], bool] | None = None,
        observe: Callable[[], None] | None = None,
    ) -> None:
        self.world = world
        self.lookahead = min(lookahead, LONGEST)
        self.phase = RUNNING
        self.round = 0
        self.start = NEVER
        self.windows = 0
        self.stuck = 0
        self.chain = hashlib.sha256(START).digest()
        self._finish = finish
        self._observe = observe
        self._peers = [node for node in range(len(world.outbox)) if node != world.me]
        self._next = NEVER
        self._closing: Closing | None = None
        self._frames: dict[int, bytes] = {}
        self._prepare()

    @property
    def peers(self) -> list[int]:
        """Indices of the other nodes."""
        return self._peers

    def frames(self) -> Mapping[int, bytes]:
        """This node's frame of the current round for each peer."""
        return self._frames

    def take(self, frames: Mapping[int, tuple[Frame, bytes]]) -> Part:
        """All frames of the current round, decoded and as they came; plays the window that follows.

        Divergence if a peer is in another round or window: nothing is taken then.
        """
        me = self.world.me
        for peer in self.peers:
            frame = frames[peer][0]
            if frame.round != self.round or frame.start != self.start:
                raise Divergence(
                    f"node {peer} is in round {frame.round} with the window from {frame.start} ns, node {me} in round"
                    f" {self.round} with the window from {self.start} ns"
                )
        for peer in self.peers:
            self.world.arrive(frames[peer][0].items, peer)
        earliest = [time for time in (self._next, *(frames[peer][0].next for peer in self.peers)) if time != NEVER]
        if earliest:
            self._play(min(earliest))
        elif self.phase == RUNNING:
            self.phase = CLOSING
            self.start = NEVER
        elif self.phase == CLOSING:
            self._close([frames[peer][0].closing for peer in self.peers])
        else:
            self.phase = DONE
        taken = self.world.records.take()
        digest = hashlib.sha256(self.chain)
        for peer in self.peers:
            digest.update(frames[peer][1])
        digest.update(taken.records)
        self.chain = digest.digest()
        played = Part(self.round, taken.deliveries, taken.places, taken.points, msgspec.Raw(taken.records))
        self.round += 1
        self._prepare()
        return played

    def _play(self, start: int) -> None:
        self.windows += 1
        self.start = start
        if self.peers:
            self.world.play(start + self.lookahead)
        else:
            self.world.play(UNBOUNDED, ALONE)

    def _close(self, closings: list[Closing | None]) -> None:
        assert self._closing is not None
        everywhere = [self._closing]
        for closing in closings:
            if closing is None:
                raise Divergence(f"in round {self.round} node {self.world.me} has nothing left to do, but a peer has")
            everywhere.append(closing)
        self._closing = None
        set_clock(self.world, everywhere)
        finish, self._finish = self._finish, None
        if finish is not None and finish():
            self.phase = RUNNING
            return
        self.stuck = report_stuck(self.world, everywhere)
        self.phase = OBSERVING
        if self._observe is not None:
            self._observe()

    def _prepare(self) -> None:
        """Make the frames of the current round."""
        if self.phase == CLOSING:
            self._closing = closing_of(self.world)
        self._next = self.world.earliest()
        self._frames = {}
        for peer in self.peers:
            items = self.world.take_outbox(peer)
            frame = Frame(self.round, self.start, self._next, self.chain, self._closing, items)
            data = _encoder.encode(frame)
            if len(data) > MAX_NODE_FRAME:
                raise FrameError(
                    f"{len(items)} messages of one window take {len(data)} bytes: at most {MAX_NODE_FRAME} fit"
                )
            self._frames[peer] = data
