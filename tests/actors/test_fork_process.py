"""The step `fork`: who exists when, and what a child inherits."""

from __future__ import annotations

from typing import Any

from gupsim.protocol.driver import Released
from gupsim.protocol.process import ProcessForked, ThreadEnd
from gupsim.protocol.steps import AnyStep
from tests.actors.device_world import Machine, step

MAP = step("mmap", name="buf", pages=2)
FORK = step("fork", child="kid", label="forked")


def forked(app: list[AnyStep], kid: list[AnyStep], **options: Any) -> Machine:
    return Machine(**options, **{"app": app, "kid:k": kid}).run()


def test_the_child_has_what_the_parent_had_and_changes_its_own() -> None:
    machine = forked(
        [MAP, step("store", map="buf", value=1), FORK, step("store", map="buf", value=2), step("load", map="buf")],
        [step("load", map="buf"), step("store", map="buf", value=3), step("load", map="buf"), step("exit")],
    )
    assert machine.results() == ["ok", "ok", "ok", "ok", "2"]
    assert machine.results("kid:k") == ["1", "ok", "3", "ok"]
    assert machine.of(ProcessForked) == [ProcessForked("app", "kid", ())]


def test_the_pins_name_frames_and_not_addresses_of_the_child() -> None:
    machine = forked(
        [
            MAP,
            step("store", map="buf", value=1, length=4096),
            step("pin", name="mr", device="nic", map="buf"),
            FORK,
            step("load", map="buf", after=["kid-wrote"]),
        ],
        [step("dma_write", pin="mr", value=4, label="kid-wrote"), step("load", map="buf")],
    )
    assert machine.results()[-1] == "4"
    assert machine.results("kid:k") == ["ok", "1"]


def test_a_registration_outlives_its_owner_while_a_child_has_the_device_open() -> None:
    machine = forked(
        [MAP, step("pin", name="mr", device="nic", map="buf"), FORK, step("exit", label="gone")],
        [step("dma_read", pin="mr", after=["gone"], label="read"), step("exit")],
    )
    assert machine.results("kid:k") == ["0", "ok"]
    assert machine.held_by_drivers() == {}
    released = machine.time_of(machine.of(Released)[0])
    read = next(point for point in machine.seen if isinstance(point, ThreadEnd) and point.thread == "app")
    assert released > machine.time_of(read)


def test_the_exit_of_the_child_leaves_the_registrations_of_the_parent() -> None:
    machine = forked(
        [
            MAP,
            step("pin", name="mr", device="nic", map="buf"),
            FORK,
            step("dma_write", pin="mr", value=6, after=["gone"]),
            step("load", map="buf"),
        ],
        [step("exit", label="gone")],
    )
    assert machine.results()[-2:] == ["ok", "6"]


def test_when_fork_fails_the_child_never_begins() -> None:
    pages = 8
    machine = forked(
        [
            step("mmap", name="buf", pages=pages),
            *[step("store", map="buf", page=page, value=1) for page in range(pages)],
            step("pin", name="mr", device="nic", map="buf", pages=pages),
            FORK,
            step("load", map="buf"),
        ],
        [step("load", map="buf")],
        frames=12,
    )
    assert machine.results()[-2:] == ["ENOMEM", "1"]
    assert machine.results("kid:k") == []
    assert machine.of(ProcessForked) == []


def test_waitpid_sleeps_until_the_child_has_left_everything() -> None:
    machine = forked(
        [
            MAP,
            step("pin", name="mr", device="nic", map="buf"),
            FORK,
            step("unpin", pin="mr"),
            step("waitpid", child="kid"),
        ],
        [step("pin", name="own", device="nic", map="buf"), step("wait", time="1ms"), step("exit")],
    )
    assert machine.results()[-1] == "ok"
    assert machine.held_by_drivers() == {}
    assert machine.time_of(machine.of(Released)[-1]) > 1_000_000
    ends = [point.thread for point in machine.of(ThreadEnd)]
    assert ends == ["kid:k", "app"]


def test_who_waits_for_a_child_that_is_not_there_yet_is_told_so() -> None:
    machine = Machine(
        **{
            "app": [MAP, step("wait", time="1us"), FORK],
            "app:other": [step("waitpid", child="kid")],
            "kid:k": [step("exit")],
        }
    ).run()
    assert machine.results("app:other") == ["ECHILD"]
