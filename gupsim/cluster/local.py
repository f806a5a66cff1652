"""A whole cluster in one process, without sockets: the reference for tests and the floor for benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random

import msgspec

from gupsim.cluster.lookahead import MayTalk, anybody, least_latency
from gupsim.cluster.merge import Merge
from gupsim.cluster.node_world import NodeWorld
from gupsim.cluster.plan import Plan, build_part, lookahead_of
from gupsim.cluster.rounds import DONE, Rounds
from gupsim.engine.links import LinkSpeed
from gupsim.engine.timed import TimedWorld
from gupsim.outcomes.evidence import decided_of
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.message import Message
from gupsim.protocol.node import Frame, FrameCodec
from gupsim.trace import Header


class LocalRun(msgspec.Struct, frozen=True):
    """What came of it. sha256: of the merged trace; windows: how many; frames_bytes: of all frames together."""

    sha256: str
    windows: int
    rounds: int
    deliveries: int
    time: int
    lookahead: int
    events_per_node: tuple[int, ...]
    frame_bytes: int


def run_local(
    header: Header,
    populate: Callable[[TimedWorld], Callable[[], None]],
    node_of: Callable[[str], int],
    nodes: int,
    *,
    seed: int = 0,
    speeds: Sequence[LinkSpeed] = (),
    types: Iterable[type[Message]] = ALL_MESSAGES,
    may_talk: MayTalk = anybody,
    merge: Callable[[Header, int], Merge] = Merge,
    shuffle: Random | None = None,
    observe: Callable[[TimedWorld], None] | None = None,
) -> LocalRun:
    """Run a world on `nodes` nodes that exchange encoded frames.

    populate: adds the actors to an engine and returns what posts the first messages. shuffle: frames reach the nodes
    in a random order. observe: posts what looks at the world once nothing happens any more.
    """
    sides: list[Rounds] = []
    lookahead = 0
    for me in range(nodes):
        world = NodeWorld(me=me, nodes=nodes, node_of=node_of, seed=seed, speeds=speeds)
        start = populate(world)
        world.seal()
        if me == 0:
            addresses = [port.address for port in world.core.ports]
            lookahead = least_latency(addresses, node_of, speeds, may_talk)
        start()
        sides.append(Rounds(world, lookahead, observe=_observer(observe, world)))
    return _exchange(sides, merge(header, nodes), FrameCodec(types), shuffle)


def run_plan(plan: Plan) -> LocalRun:
    """Run a scenario as its plan says."""
    sides: list[Rounds] = []
    plans = []
    for me in range(len(plan.placement.nodes)):
        part = build_part(plan, me)
        plans.append(part.world.plan)
        world = part.world
        world.boot()
        world.start()
        sides.append(Rounds(part.node, lookahead_of(plan, part), finish=world.finish, observe=world.observe))
    merged = Merge(part.header, len(sides))
    decided = (rule for each in plans for rule in decided_of(each.rules))
    return _exchange(sides, merged, FrameCodec(ALL_MESSAGES), None, decided=decided)


def _exchange(
    sides: list[Rounds], merged: Merge, codec: FrameCodec, shuffle: Random | None, *, decided: Iterable[str] = ()
) -> LocalRun:
    merged.begin()
    size = 0
    while sides[0].phase != DONE:
        sent: list[tuple[int, int, bytes]] = []
        for sender, side in enumerate(sides):
            sent += [(to, sender, data) for to, data in side.frames().items()]
        order = list(range(len(sides)))
        if shuffle is not None:
            shuffle.shuffle(sent)
            shuffle.shuffle(order)
        inbox: list[dict[int, tuple[Frame, bytes]]] = [{} for _ in sides]
        for to, sender, data in sent:
            size += len(data)
            inbox[to][sender] = (codec.decode(data), data)
        for node in order:
            played = sides[node].take(inbox[node])
            merged.add(node, played.round, [played])
        merged.advance()
    time = max(side.world.core.now for side in sides)
    for side in sides:
        side.world.close()
    return LocalRun(
        sha256=merged.end(time, frozenset(decided)),
        windows=sides[0].windows,
        rounds=sides[0].round,
        deliveries=merged.deliveries,
        time=time,
        lookahead=sides[0].lookahead,
        events_per_node=tuple(side.world.events for side in sides),
        frame_bytes=size,
    )


def _observer(observe: Callable[[TimedWorld], None] | None, world: NodeWorld) -> Callable[[], None] | None:
    return (lambda: observe(world)) if observe is not None else None
