"""What a test left behind: contexts that still wait, messages under way, asyncio tasks."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

import pytest

from gupsim.engine import TimedWorld
from gupsim.engine.stuck import stuck_contexts


def world_left(world: TimedWorld) -> None:
    """Fail if the timed world of a test is not over."""
    world.seal()
    if not world.run(limit=0):
        pytest.fail("messages are still under way: run the world to its end (`world.run_all(limit)`)", pytrace=False)
    left = [f"{port.address}: {stuck.say()}" for port, stuck in stuck_contexts(world.core)]
    for port in world.core.ports:
        left += [
            f"{port.address}: {'a sleep or wake-up' if value is None else repr(value)} was never awaited"
            for _, value in sorted(port.early.items())
        ]
    if left:
        pytest.fail("the test leaves contexts behind:\n" + "\n".join(left), pytrace=False)


def tasks_left(item: Any) -> None:
    """Let an async test fail if it leaves asyncio tasks behind. pytest-asyncio would cancel them in silence."""
    test = item.obj
    if not inspect.iscoroutinefunction(test):
        return

    @functools.wraps(test)
    async def checked(*args: Any, **fixtures: Any) -> None:
        __tracebackhide__ = True
        before = asyncio.all_tasks()
        await test(*args, **fixtures)
        left = sorted(str(task.get_coro()) for task in asyncio.all_tasks() - before)
        if left:
            pytest.fail("the test leaves asyncio tasks behind:\n" + "\n".join(left), pytrace=False)

    item.obj = checked
