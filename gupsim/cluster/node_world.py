"""The world as one node sees it: every address, but only its own actors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, TypeVar, cast

from gupsim.actors.base.actor import Actor
from gupsim.cluster.errors import ClusterError, TooFast
from gupsim.cluster.records import NodeRecords
from gupsim.engine.core import ROOT, Item
from gupsim.engine.fence import fence
from gupsim.engine.links import LinkSpeed
from gupsim.engine.timed import TimedWorld
from gupsim.protocol.message import Message
from gupsim.protocol.node import NEVER

A = TypeVar("A", bound=Actor)


class NodeWorld(TimedWorld):
    """A timed engine whose messages for other nodes' actors go to an outbox.

    Ranks, names, links and random streams are those of the whole world, so that nothing depends on the placement.
    Within a node messages travel by reference; between nodes as MessagePack.

    me: index of this node. node_of: index of the node of an address. nodes: how many there are.
    """

    def __init__(
        self,
        *,
        me: int,
        nodes: int,
        node_of: Callable[[str], int],
        seed: int = 0,
        speeds: Sequence[LinkSpeed] = (),
        codec: object = None,
    ) -> None:
        super().__init__(seed=seed, speeds=speeds)
        self.me = me
        self.speeds = tuple(speeds)
        self.queue: list[Item] = []
        self.outbox: list[list[Item]] = [[] for _ in range(nodes)]
        self.homes: list[int] = []
        """Node of each rank."""
        self.horizon = 0
        """End of the window that is being played (ns): nothing for another node may be due before."""
        self.records = NodeRecords(self.core)
        self._node_of = node_of
        self.core.on_delivery = self.records.delivery
        self.core.on_tracepoint = self.records.tracepoint

    def add(self, address: str, kind: Callable[..., A], *args: Any, **options: Any) -> A:
        """Create the actor if it lives here; its address exists in any case.

        The result is the actor only where it lives; nobody looks at it elsewhere.
        """
        if self._node_of(address) == self.me:
            return super().add(address, kind, *args, **options)
        self.core.port(address)
        return cast(A, None)

    def seal(self) -> None:
        """Give every address its rank, and know where it lives."""
        if not self.homes:
            super().seal()
            self.homes = [self._node_of(port.address) for port in self.core.ports]
            self.core.push = self._pushing()

    def post(self, dst: str, message: Message, at: int = 0, context: str = "") -> None:
        """A first message. Every node posts all of them, which numbers them alike; only dst's node keeps it."""
        self.seal()
        self.core.post(dst, message, max(at, self.core.now), context)

    def play(self, horizon: int, limit: int | None = None) -> None:
        """Deliver everything that is due before `horizon` (ns). Messages for other nodes wait in the outbox.

        limit: at most so many deliveries; for a node without peers, which alone may stop anywhere.
        """
        self.horizon = horizon
        queue, deliver = self.queue, self.core.deliver
        events = self.events
        stop = -1 if limit is None else events + limit
        with fence(self.core.running):
            try:
                while queue and queue[0][0] < horizon and events != stop:
                    if deliver(heappop(queue)):
                        events += 1
            finally:
                self.events = events

    def earliest(self) -> int:
        """When the next thing happens that this node knows of, counting what it is about to send; NEVER if none."""
        times = [box[0][0] for box in (self.queue,) if box]
        times.extend(min(item[0] for item in box) for box in self.outbox if box)
        return min(times, default=NEVER)

    def take_outbox(self, node: int) -> list[Item]:
        """What is to be sent to a node, and an empty outbox for it."""
        items, self.outbox[node] = self.outbox[node], []
        return items

    def arrive(self, items: Sequence[Item], sender: int) -> None:
        """Messages from another node. ClusterError if one of them cannot come from there."""
        homes, me = self.homes, self.me
        count = len(homes)
        for item in items:
            due, dst, src = item[0], item[1], item[2]
            if not (0 <= dst < count and 0 <= src < count and homes[dst] == me and homes[src] == sender):
                raise ClusterError(f"a message from rank {src} to rank {dst} does not belong between these two nodes")
            if due < self.horizon:
                raise TooFast(f"a message for {self.core.name_of(dst)} came after its time, {due} ns")
            heappush(self.queue, item)

    def run(self, *, until: int | None = None, limit: int | None = None) -> bool:
        """A node plays windows; it cannot run on its own."""
        raise ClusterError("a node's world is run by its windows")

    def _pushing(self) -> Callable[[Item], None]:
        """What takes each message: a closure, because it is called once for each event."""
        homes, me, queue, outbox = self.homes, self.me, self.queue, self.outbox

        def push(item: Item) -> None:
            home = homes[item[1]]
            if home == me:
                heappush(queue, item)
            elif item[2] != ROOT:
                if item[0] < self.horizon:
                    raise self._too_fast(item)
                outbox[home].append(item)

        return push

    def _too_fast(self, item: Item) -> TooFast:
        name = self.core.name_of
        return TooFast(
            f"{name(item[2])} sends to {name(item[1])} on another node, due at {item[0]} ns, but the window goes to"
            f" {self.horizon} ns: actors that talk this fast belong on one node"
        )
