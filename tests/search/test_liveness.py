"""What never ends: deadlocks, lost wake-ups, endless runs, handlers that raise."""

from __future__ import annotations

from gupsim.search import Dpor, Found, Program, Report, search
from tests.search.contexts import Go, Place, program


async def a_then_b(place: Place) -> None:
    async with place.locks[0], place.locks[1]:
        place.cells[0] += 1


async def b_then_a(place: Place) -> None:
    async with place.locks[1], place.locks[0]:
        place.cells[0] += 1


def found(searched: Program[list[Place]]) -> tuple[Report, Found]:
    report = search(searched, Dpor())
    (kind,) = report.found
    return report, report.found[kind]


def test_locks_taken_in_opposite_orders_deadlock_in_some_executions_and_the_message_tells_who_holds_what() -> None:
    report, deadlock = found(program(a_then_b, b_then_a))
    assert report.complete
    assert 0 < deadlock.executions < report.executions
    assert deadlock.kind == "deadlock"
    assert deadlock.message == (
        "contexts wait for each other:"
        " thread 0 waits for ever in Place.go of p/0 for lock b, which thread 1 holds;"
        " thread 1 waits for ever in Place.go of p/0 for lock a, which thread 0 holds"
    )


def test_locks_taken_in_one_order_never_deadlock() -> None:
    report = search(program(a_then_b, a_then_b, a_then_b), Dpor())
    assert report.complete
    assert not report.found


def test_a_deadlock_that_a_program_may_have_is_no_violation() -> None:
    made = program(a_then_b, b_then_a)
    report = search(Program(made.build, deadlocks=False), Dpor())
    assert not report.found


def test_a_wake_up_before_the_sleep_is_lost() -> None:
    async def sleep_without_looking(place: Place) -> None:
        await place.queue.sleep()

    async def wake(place: Place) -> None:
        place.queue.wake_all()

    report, lost = found(program(sleep_without_looking, wake))
    assert (report.executions, lost.executions) == (2, 1)
    assert lost.message == "nobody is left to wake them: thread 0 waits for ever in Place.go of p/0 for queue"


def test_an_execution_that_does_not_end_is_cut_and_reported() -> None:
    async def again(place: Place) -> None:
        place.send("p/0", Go(0))

    made = program(again)
    report = search(Program(made.build, max_events=50), Dpor())
    assert not report.complete
    assert report.why == "executions were cut at 50 events"
    assert report.found["starvation"].message == "still running after 50 events"


def test_a_handler_that_raises_is_a_violation_and_the_others_go_on() -> None:
    async def divide(place: Place) -> None:
        place.cells[0] = 1 // place.cells[1]

    async def set_divisor(place: Place) -> None:
        place.cells[1] = 1

    states: set[object] = set()
    report = search(program(divide, set_divisor), Dpor(), each=lambda execution: states.add(execution.state))
    failed = report.found["actor-failed"]
    assert (report.executions, failed.executions) == (2, 1)
    assert failed.message == "p/0: Place.go raised ZeroDivisionError: integer division or modulo by zero"
    assert states == {((0, 1),), ((1, 1),)}
