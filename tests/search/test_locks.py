"""Locks, sleepers, tokens and cancelled contexts: every order that is possible is found, each trace once."""

from __future__ import annotations

from typing import Any

import pytest

from gupsim.search import Dpor, Program, search
from tests.search.compare import Outcome, compare_with_all, compare_with_plain
from tests.search.contexts import Place, program


async def hold_a(place: Place) -> None:
    async with place.locks[0]:
        await place.sleep(1)
        place.cells[0] = 2 * place.cells[0] + 1


async def hold_a_again(place: Place) -> None:
    async with place.locks[0]:
        place.cells[0] = 2 * place.cells[0]


async def read_a(place: Place) -> None:
    async with place.locks[0].shared():
        place.cells.add(1, 1)
        await place.sleep(1)


async def try_a(place: Place) -> None:
    if place.locks[0].try_acquire():
        place.cells[0] = 7
        await place.sleep(1)
        place.locks[0].release()


async def try_to_read_a(place: Place) -> None:
    if place.locks[0].try_acquire(shared=True):
        place.cells[1] = 7
        place.locks[0].release()


async def look_at_a(place: Place) -> None:
    place.cells[1] = 1 + place.locks[0].held


async def cancel_one_that_waits_for_a(place: Place) -> None:
    handle = place.start(hold_a(place))
    await place.sleep(1)
    handle.cancel()
    place.cells[1] = 5


async def cancel_one_that_sleeps(place: Place) -> None:
    handle = place.start(sleep_until_woken(place))
    await place.sleep(1)
    place.cells[1] = 1 + handle.done
    handle.cancel()


async def sleep_until_woken(place: Place) -> None:
    while place.cells[0] == 0:
        await place.queue.sleep()
    place.cells[1] = 9


async def wake(place: Place) -> None:
    place.cells[0] = 1
    place.queue.wake_all()


async def die_with_a(place: Place) -> None:
    from gupsim.actors.base import ContextDied

    async with place.locks[0]:
        raise ContextDied


CASES = {
    "two holders": (hold_a, hold_a_again),
    "holder and readers": (hold_a, read_a, read_a),
    "readers and a holder who asks twice": (read_a, hold_a, read_a),
    "try": (hold_a, try_a),
    "two tries": (hold_a, try_a, try_to_read_a),
    "readers and a try to read": (read_a, try_to_read_a, hold_a_again),
    "readers and a try": (read_a, try_a, read_a),
    "a look": (hold_a, look_at_a),
    "a cancelled waiter": (hold_a, cancel_one_that_waits_for_a),
    "a cancelled waiter between others": (hold_a, cancel_one_that_waits_for_a, hold_a_again),
    "a cancelled waiter before a reader": (read_a, cancel_one_that_waits_for_a, read_a),
    "a sleeper": (sleep_until_woken, wake),
    "two sleepers": (sleep_until_woken, sleep_until_woken, wake),
    "a cancelled sleeper": (cancel_one_that_sleeps, wake),
    "a holder who dies": (die_with_a, hold_a, try_a),
}


def both_ways(searched: Program[Any]) -> Outcome:
    outcome = compare_with_all(searched, 20_000)
    assert outcome is not None
    assert compare_with_plain(searched, 2_000) is not None
    return outcome


@pytest.mark.parametrize("name", CASES)
def test_the_reduction_and_all_interleavings_agree_on(name: str) -> None:
    both_ways(program(*CASES[name]))


def test_readers_need_no_order_among_themselves() -> None:
    assert both_ways(program(read_a, read_a)).second == 1
    assert both_ways(program(read_a, read_a, hold_a_again)).second == 4


def test_a_release_needs_no_order_with_a_later_request() -> None:
    """Two holders: who asks first decides, and nothing else."""
    assert both_ways(program(hold_a, hold_a)).second == 2


def test_answers_gathered_together_need_no_order_among_themselves() -> None:
    from tests.search.contexts import Serve

    async def gather(place: Place) -> None:
        await place.ask_all([("p/1", Serve(1)), ("p/2", Serve(1)), ("p/3", Serve(1))])

    async def nothing(place: Place) -> None:
        await place.sleep(1)

    report = search(program(gather, nothing, places=4, start=[(0, 0)]), Dpor())
    assert report.executions == 1


def test_an_await_that_may_find_its_answer_there_already_races_with_it() -> None:
    from tests.search.contexts import Serve

    async def ask_then_work(place: Place) -> None:
        answer = place.ask("p/1", Serve(1))
        await place.sleep(1)
        place.cells[0] += 1
        await answer

    async def nothing(place: Place) -> None:
        place.cells[0] = 3

    outcome = both_ways(program(ask_then_work, nothing, places=2, start=[(0, 0)]))
    assert outcome.second == 2
