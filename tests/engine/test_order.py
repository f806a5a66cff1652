"""The total order of a timed run, its links and its ends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.engine import EngineError, LimitReached, LinkSpeed, TimedWorld
from gupsim.protocol.address import AddressError
from tests.engine.programs import FIXED, Answer, Go, Log, Note, Plain, Question, Script, Service, echo

NAMES = ("h0/a", "h0/b", "h1/a", "h1/b")

sends = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, 5)), max_size=30)


def world_of(plan: list[tuple[str, str, int]], names: tuple[str, ...] = NAMES) -> tuple[TimedWorld, Log]:
    """Each actor sends its part of the plan (source, destination, delay) at once."""
    world = TimedWorld()
    for name in names:
        own = [(dst, delay) for src, dst, delay in plan if src == name]

        def body(actor: Plain, own: list[tuple[str, int]] = own) -> None:
            for number, (dst, delay) in enumerate(own):
                actor.send(f"{dst}/sink", Note(number), delay)

        world.add(name, Plain, body)
        world.add(f"{name}/sink", Script)
    log = Log(world)
    for name in names:
        world.post(name, Go())
    return world, log


@given(plan=sends)
def test_deliveries_come_in_the_order_of_time_destination_source_and_number(plan: list[tuple[str, str, int]]) -> None:
    world, log = world_of(plan)
    world.run()
    assert [line[:4] for line in log.lines] == sorted(line[:4] for line in log.lines)


@given(plan=sends, names=st.permutations(NAMES))
def test_the_order_in_which_actors_were_added_changes_nothing(
    plan: list[tuple[str, str, int]], names: list[str]
) -> None:
    world, log = world_of(plan)
    world.run()
    other, other_log = world_of(plan, tuple(names))
    other.run()
    # First messages come from outside in the order of posting, which is the caller's.
    assert [line for line in log.lines if line[2]] == [line for line in other_log.lines if line[2]]


def test_at_one_moment_the_destination_decides_then_the_source_then_the_number() -> None:
    _, log = (pair := world_of([("h1/b", "h0/b", 1), ("h0/a", "h0/b", 1), ("h0/a", "h0/b", 1), ("h1/a", "h0/a", 1)]))
    pair[0].run()
    assert [line[1:4] for line in log.lines if line[2]] == [
        ("h0/a/sink", "h1/a", 1),
        ("h0/b/sink", "h0/a", 1),
        ("h0/b/sink", "h0/a", 2),
        ("h0/b/sink", "h1/b", 1),
    ]


@given(base=st.integers(1, 100), spread=st.integers(0, 1000), pauses=st.lists(st.integers(0, 50), max_size=50))
def test_a_link_delivers_in_the_order_of_sending(base: int, spread: int, pauses: list[int]) -> None:
    async def body(actor: Script) -> None:
        for number, pause in enumerate(pauses):
            await actor.sleep(pause)
            actor.send("h0/sink", Note(number))

    world = TimedWorld(speeds=[LinkSpeed("*", "*", base, spread)])
    world.add("h0/source", Script, body)
    sink = world.add("h0/sink", Script)
    world.post("h0/source", Go())
    world.run()
    assert [number for _, number in sink.notes] == list(range(len(pauses)))


@given(base=st.integers(1, 10**9), spread=st.integers(0, 10**9), seed=st.integers(0, 10**9))
def test_a_message_takes_between_the_base_and_the_base_plus_spread(base: int, spread: int, seed: int) -> None:
    world = TimedWorld(seed=seed, speeds=[LinkSpeed("*", "*", base, spread)])
    world.add("h0/source", Plain, lambda actor: actor.send("h0/sink", Note(1)))
    sink = world.add("h0/sink", Script)
    world.post("h0/source", Go())
    world.run()
    assert base <= sink.notes[0][0] <= base + spread


def test_a_link_uses_its_whole_spread() -> None:
    async def body(actor: Script) -> None:
        for _ in range(1000):
            actor.send("h0/sink", Note(actor.now))
            await actor.sleep(100)

    world = TimedWorld(speeds=[LinkSpeed("*", "*", 10, 3)])
    world.add("h0/source", Script, body)
    sink = world.add("h0/sink", Script)
    world.post("h0/source", Go())
    world.run()
    assert {arrived - sent for arrived, sent in sink.notes} == {10, 11, 12, 13}


def test_the_first_rule_that_matches_a_link_counts() -> None:
    world = TimedWorld(speeds=[LinkSpeed("a", "sink*", 5), LinkSpeed("*", "*", 7), LinkSpeed("b", "*", 9)])
    sinks = {}
    for name in ("a", "b"):
        world.add(f"h0/{name}", Plain, lambda actor: actor.send(f"{actor.address.replace('/', '/sink-')}", Note(1)))
        sinks[name] = world.add(f"h0/sink-{name}", Script)
    world.post("h0/a", Go())
    world.post("h0/b", Go())
    world.run()
    assert [sinks[name].notes[0][0] for name in ("a", "b")] == [5, 7]


@pytest.mark.parametrize(("base", "spread"), [(0, 0), (-1, 5), (1, -1)])
def test_a_link_without_latency_is_refused(base: int, spread: int) -> None:
    with pytest.raises(ValueError, match="latency"):
        TimedWorld(speeds=[LinkSpeed("*", "*", base, spread)])


def test_other_seeds_give_other_latencies() -> None:
    def arrivals(seed: int) -> list[tuple[int, int]]:
        world = TimedWorld(seed=seed)
        world.add("h0/source", Plain, lambda actor: [actor.send("h0/sink", Note(n)) for n in range(20)] and None)
        sink = world.add("h0/sink", Script)
        world.post("h0/source", Go())
        world.run()
        return sink.notes

    assert arrivals(1) == arrivals(1)
    assert arrivals(1) != arrivals(2)


def test_a_first_message_comes_at_its_time_and_never_in_the_past() -> None:
    world = TimedWorld()
    sink = world.add("h0/sink", Script)
    world.post("h0/sink", Note(1), at=500)
    world.run()
    world.post("h0/sink", Note(2), at=100)
    world.run()
    assert sink.notes == [(500, 1), (500, 2)]


def test_a_limit_stops_after_so_many_deliveries_and_the_next_run_goes_on() -> None:
    world = TimedWorld()
    sink = world.add("h0/sink", Script)
    for number in range(5):
        world.post("h0/sink", Note(number), at=number)
    assert not world.run(limit=2)
    assert [number for _, number in sink.notes] == [0, 1]
    assert world.run(limit=3)
    assert [number for _, number in sink.notes] == [0, 1, 2, 3, 4]


def test_until_stops_before_the_first_later_delivery() -> None:
    world = TimedWorld()
    sink = world.add("h0/sink", Script)
    for at in (10, 20, 21):
        world.post("h0/sink", Note(at), at=at)
    assert not world.run(until=20)
    assert [number for _, number in sink.notes] == [10, 20]
    assert world.now == 20
    assert world.run(until=21)


def test_a_run_in_slices_is_the_same_as_a_run_at_once() -> None:
    plan = [(src, dst, delay) for src, dst in itertools.product(NAMES, NAMES) for delay in (1, 2, 3)]
    world, log = world_of(plan)
    world.run()
    sliced, sliced_log = world_of(plan)
    while not sliced.run(limit=1):
        sliced.run(until=sliced.now)
    assert sliced_log.lines == log.lines
    assert sliced.events == world.events


def test_an_event_is_one_delivery() -> None:
    world = TimedWorld(speeds=FIXED)

    async def body(actor: Script) -> None:
        await actor.ask("h0/service", Question(1))
        await actor.sleep(5)

    world.add("h0/script", Script, body)
    world.add("h0/service", Service, echo)
    log = Log(world)
    world.post("h0/script", Go())
    world.run()
    assert [line[4] for line in log.lines] == [Go(), Question(1), Answer(1), None]
    assert world.events == 4


def test_a_run_that_does_not_end_is_stopped_and_says_so() -> None:
    world = TimedWorld()
    world.add("h0/a", Plain, lambda actor: actor.send("h0/a", Go()))
    world.post("h0/a", Go())
    with pytest.raises(LimitReached, match="still running after 100 deliveries"):
        world.run_all(100)


def test_a_message_to_oneself_comes_later() -> None:
    seen: list[int] = []

    def body(actor: Plain) -> None:
        seen.append(actor.now)
        if len(seen) < 3:
            actor.send("h0/a", Go(), 7)

    world = TimedWorld()
    world.add("h0/a", Plain, body)
    world.post("h0/a", Go())
    world.run()
    assert seen == [0, 7, 14]


def test_two_actors_at_one_address_are_refused() -> None:
    world = TimedWorld()
    world.add("h0/a", Script)
    with pytest.raises(EngineError, match="two actors at h0/a"):
        world.add("h0/a", Script)


def test_an_actor_at_a_malformed_address_is_refused() -> None:
    with pytest.raises(AddressError):
        TimedWorld().add("Not an address", Script)


def test_an_actor_cannot_be_added_to_a_running_world() -> None:
    world = TimedWorld()
    world.add("h0/a", Script)
    world.post("h0/a", Go())
    with pytest.raises(EngineError, match="h0/b: the world is sealed"):
        world.add("h0/b", Script)


def test_an_actors_random_stream_depends_on_seed_and_address_alone() -> None:
    def draw(seed: int, address: str, *others: str) -> float:
        world = TimedWorld(seed=seed)
        drawn: list[float] = []
        for other in others:
            world.add(other, Plain, lambda actor: actor.random.random() and None)
        world.add(address, Plain, lambda actor: drawn.append(actor.random.random()))
        for name in (*others, address):
            world.post(name, Go())
        world.run()
        return drawn[0]

    assert draw(1, "h0/b") == draw(1, "h0/b", "h0/a", "h0/c")
    assert draw(1, "h0/b") != draw(2, "h0/b")
    assert draw(1, "h0/b") != draw(1, "h0/c")
