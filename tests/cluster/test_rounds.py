"""The acceptance test of the design: however the actors are placed, the merged trace is that of one process."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gupsim.cluster.errors import ConfigError, Divergence, TooFast
from gupsim.cluster.local import run_local
from gupsim.cluster.lookahead import UNBOUNDED, Hosts, least_latency
from gupsim.cluster.node_world import NodeWorld
from gupsim.cluster.rounds import Rounds
from gupsim.engine.links import LinkSpeed
from gupsim.protocol.node import Frame
from tests.cluster.worlds import TYPES, Ball, Decoding, Gambler, look, one_process, population


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    actors=st.integers(2, 14),
    balls=st.integers(1, 5),
    hops=st.integers(0, 20),
    base=st.integers(1, 9),
    spread=st.integers(0, 6),
    nodes=st.integers(1, 4),
    data=st.data(),
)
def test_every_placement_gives_the_trace_of_one_process(  # noqa: PLR0917 - drawn by hypothesis
    seed: int, actors: int, balls: int, hops: int, base: int, spread: int, nodes: int, data: st.DataObject
) -> None:
    names = tuple(sorted(f"h{number % 4}/g/{number}" for number in range(actors)))
    speeds = (LinkSpeed("g/1", "*", base=base + 2), LinkSpeed("*", "*", base=base, spread=spread))
    populate = population(seed, actors, balls, hops)
    digest, events, head = one_process(populate, seed, speeds, look(names))
    where = {name: data.draw(st.integers(0, nodes - 1), label=name) for name in names}
    order = Random(data.draw(st.integers(0, 1000), label="order"))
    got = run_local(
        head,
        populate,
        where.__getitem__,
        nodes,
        seed=seed,
        speeds=speeds,
        types=TYPES,
        merge=Decoding,
        shuffle=order,
        observe=look(names),
    )
    assert got.sha256 == digest
    assert got.deliveries == events == sum(got.events_per_node)


def test_the_order_in_which_frames_arrive_changes_nothing() -> None:
    names = tuple(sorted(f"h{number % 4}/g/{number}" for number in range(12)))
    speeds = (LinkSpeed("*", "*", base=1, spread=2),)
    populate = population(5, 12, 6, 30)
    digest, _, head = one_process(populate, 5, speeds, look(names))
    found = {
        run_local(
            head, populate, lambda name: int(name.rpartition("/")[2]) % 3, 3, seed=5, speeds=speeds, types=TYPES,
            merge=Decoding, shuffle=Random(order), observe=look(names),
        ).sha256
        for order in range(4)
    }  # fmt: skip
    assert found == {digest}


def test_idle_time_is_jumped() -> None:
    speeds = (LinkSpeed("g/0", "g/1", base=1_000_000), LinkSpeed("*", "*", base=40))
    populate = population(1, 2, 1, 3)
    digest, _, head = one_process(populate, 1, speeds, look(()))
    got = run_local(
        head, populate, lambda name: int(name[-1]), 2, seed=1, speeds=speeds, types=TYPES, merge=Decoding,
        observe=look(()),
    )  # fmt: skip
    assert got.sha256 == digest
    assert got.windows < 60 < got.time // got.lookahead


def test_a_message_that_is_too_fast_for_the_window_is_an_error_and_no_other_history() -> None:
    head = one_process(population(1, 4, 2, 9), 1, (), look(()))[2]
    with pytest.raises(TooFast, match=r"h\d/g/\d sends to h\d/g/\d on another node.*belong on one node"):
        run_local(
            head, population(1, 4, 2, 9), lambda name: int(name[-1]) % 2, 2, seed=1, types=TYPES, merge=Decoding,
            may_talk=lambda one, other: False,
        )  # fmt: skip


def test_a_peer_in_another_window_is_a_divergence() -> None:
    side = Rounds(_world(0), 1)
    for round_, start in ((1, -1), (0, 5)):
        with pytest.raises(Divergence, match="node 1 is in round"):
            side.take({1: (Frame(round_, start, -1, b"", None, []), b"")})


def test_the_rolling_hash_tells_two_histories_apart_in_the_window_where_they_part() -> None:
    one, other = Rounds(_world(0), 40), Rounds(_world(0), 40)
    quiet = Frame(0, -1, 7, b"", None, [])
    louder = Frame(0, -1, 7, b"", None, [(9, 0, 1, 1, Ball(0), -1, False, "", -1, 0)])
    one.take({1: (quiet, b"quiet")})
    other.take({1: (louder, b"louder")})
    assert one.chain != other.chain


def test_the_lookahead_is_the_least_latency_between_nodes_and_never_zero() -> None:
    speeds = (LinkSpeed("fabric", "fabric", base=2000), LinkSpeed("*", "*", base=40))
    names = ("h0/mm", "h0/fabric", "h1/mm", "h1/fabric")
    place = {"h0/mm": 0, "h0/fabric": 0, "h1/mm": 1, "h1/fabric": 1}.__getitem__
    assert least_latency(names, place, speeds) == 40
    assert least_latency(names, place, speeds, Hosts()) == 2000
    assert least_latency(names, place, speeds, Hosts(("h0/mm",))) == 40
    assert least_latency(names, lambda name: 0, speeds) == UNBOUNDED
    with pytest.raises((ConfigError, ValueError)):
        least_latency(names, place, (LinkSpeed("*", "*", base=0),))


def _world(me: int) -> NodeWorld:
    world = NodeWorld(me=me, nodes=2, node_of=lambda name: int(name[-1]))
    for name in ("h0/g/0", "h0/g/1"):
        world.add(name, Gambler, others=("h0/g/0", "h0/g/1"))
    world.seal()
    return world
