"""The pytest plugin: options and fixtures. pytest loads it in every run, so it imports nothing but pytest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gupsim.actors.rules import KernelRules
    from gupsim.engine import TimedWorld
    from gupsim.search.world import ExploredWorld


def pytest_addoption(parser: pytest.Parser) -> None:
    """--gupsim-..."""
    group = parser.getgroup("gupsim", "actor programs under every interleaving")
    group.addoption("--gupsim-limit", type=int, metavar="N", help="executions at most, for every @explore test")
    group.addoption(
        "--gupsim-strategy", metavar="NAME", help="dpor, strict, dfs, random, pos or pct, for every @explore test"
    )
    group.addoption("--gupsim-seed", type=int, metavar="N", help="seed of all worlds; a failure shows the one it had")
    group.addoption("--gupsim-replay", metavar="TOKEN", help="run the one interleaving that a failure printed")


def pytest_configure(config: pytest.Config) -> None:
    """A wrong option is one usage error, not one in every test."""
    option = config.option
    if option.gupsim_strategy is None and option.gupsim_replay is None and option.gupsim_limit is None:
        return
    from gupsim.testing.failure import StaleToken
    from gupsim.testing.strategies import strategy_of
    from gupsim.testing.token import read

    try:
        if option.gupsim_strategy is not None:
            strategy_of(option.gupsim_strategy, 0)
        if option.gupsim_replay is not None:
            read(option.gupsim_replay)
    except (ValueError, StaleToken) as error:
        raise pytest.UsageError(f"--gupsim-...: {error}") from None
    if option.gupsim_limit is not None and option.gupsim_limit < 1:
        raise pytest.UsageError("--gupsim-limit: at least 1 execution")


@pytest.fixture
def gupsim_seed(request: pytest.FixtureRequest) -> int:
    """Seed of the test's worlds: --gupsim-seed, or 0. A failure shows it."""
    chosen: int | None = request.config.option.gupsim_seed
    seed = chosen or 0
    request.node.add_report_section("setup", "gupsim", f"seed {seed}: repeat with --gupsim-seed={seed}")
    return seed


@pytest.fixture
def gupsim_era(request: pytest.FixtureRequest) -> str:
    """Name of a kernel, the newest; another one with ``parametrize("gupsim_era", [...], indirect=True)``."""
    from gupsim.actors.rules import ERAS
    from gupsim.scenario.choices import find_era

    return find_era(getattr(request, "param", next(reversed(ERAS))))


@pytest.fixture
def gupsim_rules(gupsim_era: str) -> KernelRules:
    """The rules of the kernel `gupsim_era`, for actors of the kernel."""
    from gupsim.scenario.choices import kernel

    return kernel(gupsim_era).rules


@pytest.fixture
def gupsim_world(request: pytest.FixtureRequest, gupsim_seed: int) -> Iterator[TimedWorld]:
    """A timed world: add actors, post, then ``world.run_all(limit)`` or ``await world.arun()``.

    The test also fails if a context waits for ever, if an answer was never awaited, if messages are still under way,
    or if it leaves asyncio tasks behind.
    """
    from gupsim.engine import TimedWorld
    from gupsim.testing.leaks import tasks_left, world_left

    world = TimedWorld(seed=gupsim_seed)
    tasks_left(request.node)
    yield world
    try:
        world_left(world)
    finally:
        world.close()


@pytest.fixture
def gupsim_explored(gupsim_seed: int) -> Iterator[ExploredWorld]:
    """An explored world whose messages the test itself delivers, in the order it likes; see also `@explore`."""
    from gupsim.search.world import ExploredWorld

    world = ExploredWorld(seed=gupsim_seed)
    yield world
    world.close()
