"""An actor cannot reach for real time, real sleep, threads or unseeded randomness; everybody else can."""

# ruff: noqa: PLW0108 - looked up when called: the fence replaces them
from __future__ import annotations

import asyncio
import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from gupsim.engine import Refused, TimedWorld
from tests.engine.programs import Go, Plain, Script

FORBIDDEN = [
    pytest.param(lambda: time.time(), "time.time", "self.now", id="time.time"),
    pytest.param(lambda: time.time_ns(), "time.time_ns", "self.now", id="time.time_ns"),
    pytest.param(lambda: time.monotonic(), "time.monotonic", "self.now", id="time.monotonic"),
    pytest.param(lambda: time.perf_counter(), "time.perf_counter", "self.now", id="time.perf_counter"),
    pytest.param(lambda: time.process_time(), "time.process_time", "self.now", id="time.process_time"),
    pytest.param(lambda: time.sleep(0), "time.sleep", "self.sleep", id="time.sleep"),
    pytest.param(lambda: asyncio.sleep(0), "asyncio.sleep", "self.sleep", id="asyncio.sleep"),
    pytest.param(lambda: random.random(), "random.random", "self.random", id="random.random"),
    pytest.param(lambda: random.choice([1]), "random.choice", "self.random", id="random.choice"),
    pytest.param(lambda: random.shuffle([1]), "random.shuffle", "self.random", id="random.shuffle"),
    pytest.param(lambda: random.SystemRandom().random(), "random.SystemRandom", "self.random", id="SystemRandom"),
    pytest.param(lambda: secrets.randbelow(7), "random.SystemRandom", "self.random", id="secrets"),
    pytest.param(lambda: os.urandom(1), "os.urandom", "self.random", id="os.urandom"),
    pytest.param(lambda: uuid.uuid4(), "os.urandom", "self.random", id="uuid4"),
    pytest.param(lambda: threading.Thread(target=int).start(), "threading.Thread.start", "self.start", id="Thread"),
]

forbidden = pytest.mark.parametrize(("reach", "label", "instead"), FORBIDDEN)


def start(kind: type[Plain | Script], body: Callable[[Any], Any]) -> TimedWorld:
    world = TimedWorld()
    world.add("h0/reclaim", kind, body)
    world.post("h0/reclaim", Go())
    return world


@forbidden
def test_a_def_handler_is_refused_with_its_name_and_a_way_out(
    reach: Callable[[], Any], label: str, instead: str
) -> None:
    with pytest.raises(Refused, match=rf"h0/reclaim: an actor may not call {label}\(\); use {instead}"):
        start(Plain, lambda actor: reach()).run()


@forbidden
def test_an_async_handler_is_refused_with_its_name_and_a_way_out(
    reach: Callable[[], Any], label: str, instead: str
) -> None:
    async def body(actor: Script) -> None:
        await actor.sleep(1)
        reach()

    with pytest.raises(Refused, match=rf"h0/reclaim: an actor may not call {label}\(\); use {instead}"):
        start(Script, body).run()


@forbidden
async def test_a_handler_under_asyncio_is_refused_too(reach: Callable[[], Any], label: str, instead: str) -> None:
    with pytest.raises(Refused, match=label):
        await start(Plain, lambda actor: reach()).arun()


@forbidden
async def test_after_a_run_everything_works_as_ever(reach: Callable[[], Any], label: str, instead: str) -> None:
    start(Plain, lambda actor: None).run()
    result = reach()
    if asyncio.iscoroutine(result):
        await result


@forbidden
async def test_after_a_refusal_everything_works_as_ever(reach: Callable[[], Any], label: str, instead: str) -> None:
    with pytest.raises(Refused):
        start(Plain, lambda actor: reach()).run()
    result = reach()
    if asyncio.iscoroutine(result):
        await result


def test_other_threads_do_not_notice_a_run() -> None:
    inside, done = threading.Event(), threading.Event()
    seen: list[object] = []

    def other() -> None:
        inside.wait()
        seen.append((time.time(), random.random(), os.urandom(1)))
        started = threading.Thread(target=lambda: seen.append("thread"))
        started.start()
        started.join()
        done.set()

    def body(actor: Plain) -> None:
        inside.set()
        done.wait()

    thread = threading.Thread(target=other)
    thread.start()
    start(Plain, body).run()
    thread.join()
    assert seen[1:] == ["thread"]


def test_two_worlds_in_two_threads_each_have_their_fence() -> None:
    refused: list[str] = []

    def one(name: str) -> None:
        world = TimedWorld()
        world.add(f"{name}/reclaim", Plain, lambda actor: time.time())
        world.post(f"{name}/reclaim", Go())
        try:
            world.run()
        except Refused as error:
            refused.append(str(error).partition(":")[0])

    threads = [threading.Thread(target=one, args=(f"h{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refused) == [f"h{number}/reclaim" for number in range(4)]


def test_between_the_slices_of_an_async_run_the_host_may_look_at_its_clock() -> None:
    looked: list[float] = []

    def pause(now: int) -> float:
        looked.append(time.monotonic())
        return 0

    async def body(actor: Script) -> None:
        for _ in range(5):
            await actor.sleep(1)

    asyncio.run(start(Script, body).arun(slice_events=2, pause=pause))
    assert looked


def test_an_actors_own_seeded_stream_is_no_escape() -> None:
    drawn: list[float] = []
    start(Plain, lambda actor: drawn.append(actor.random.random())).run()
    assert drawn
