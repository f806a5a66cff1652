"""The plugin's fixtures, and that it costs nothing where nobody uses it."""

import subprocess
import sys

import pytest

# See test_explore.py: one engine for all runs within this process.
import gupsim.scenario.choices
import gupsim.search.world
import gupsim.testing.leaks  # noqa: F401

pytest_plugins = ["pytester"]

OTHERS = ("-p", "no:frontrun", "-p", "no:hypothesispytest")
"""Plugins that each run within this process would load anew."""

PROGRAM = """
import asyncio
import pytest
from gupsim.actors.base import Actor, TicketLock, handles
from gupsim.protocol.message import DONE, Done, Message, Request

class Go(Message, frozen=True):
    what: str

class Talker(Actor):
    @handles(Go)
    async def go(self, msg):
        lock = TicketLock(self, "door")
        if msg.what == "stay":
            await lock.acquire()
            await lock.acquire()
        elif msg.what == "forget":
            self.sleep(5)
        elif msg.what == "draw":
            print("drew", self.random.random())
"""


def run(pytester: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=PROGRAM + test)
    scope = "asyncio_default_fixture_loop_scope=function"  # unset, some releases of pytest-asyncio warn
    mode = ("-o", scope, "-o", "asyncio_mode=auto")
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *OTHERS, *mode, *options)


@pytest.mark.parametrize(
    ("lines", "outcome", "said"),
    [
        ("gupsim_world.run_all(10)", {"passed": 1}, ""),
        ("pass", {"passed": 1, "errors": 1}, "*messages are still under way*"),
    ],
)
def test_a_timed_world_must_have_come_to_its_end(
    pytester: pytest.Pytester, lines: str, outcome: dict[str, int], said: str
) -> None:
    test = f"""
def test_timed(gupsim_world):
    gupsim_world.add("talker", Talker)
    gupsim_world.post("talker", Go("nothing"))
    {lines}
"""
    result = run(pytester, test)
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines([said] if said else [])


@pytest.mark.parametrize(("what", "said"), [("stay", "*talker: *door*"), ("forget", "*talker: a sleep*never awaited*")])
def test_a_leaked_context_is_a_failure(pytester: pytest.Pytester, what: str, said: str) -> None:
    test = f"""
async def test_leaks(gupsim_world):
    gupsim_world.add("talker", Talker)
    gupsim_world.post("talker", Go("{what}"))
    await gupsim_world.arun()
"""
    result = run(pytester, test)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the test leaves contexts behind:*", said])


def test_a_leaked_asyncio_task_is_a_failure(pytester: pytest.Pytester) -> None:
    test = """
async def test_leaks(gupsim_world):
    asyncio.get_running_loop().create_task(asyncio.sleep(30), name="left")

async def test_cleans_up(gupsim_world):
    await asyncio.get_running_loop().create_task(asyncio.sleep(0))
"""
    result = run(pytester, test)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the test leaves asyncio tasks behind:*", "*sleep*"])


def test_a_failure_shows_the_seed_and_the_seed_repeats_it(pytester: pytest.Pytester) -> None:
    test = """
def test_draws(gupsim_world):
    gupsim_world.add("talker", Talker)
    gupsim_world.post("talker", Go("draw"))
    gupsim_world.run_all(10)
    assert False
"""
    first = run(pytester, test, "--gupsim-seed=5")
    first.stdout.fnmatch_lines(["*seed 5: repeat with --gupsim-seed=5", "*drew 0.*"])
    drawn = [line for line in first.outlines if line.startswith("drew")]
    assert [line for line in run(pytester, test, "--gupsim-seed=5").outlines if line.startswith("drew")] == drawn
    assert [line for line in run(pytester, test, "--gupsim-seed=6").outlines if line.startswith("drew")] != drawn


def test_an_era_is_the_newest_or_what_the_test_asks_for(pytester: pytest.Pytester) -> None:
    test = """
def test_newest(gupsim_era, gupsim_rules):
    from gupsim.actors.rules import ERAS
    assert gupsim_era == list(ERAS)[-1]

@pytest.mark.parametrize("gupsim_era", ["v4.20"], indirect=True)
def test_old(gupsim_era, gupsim_rules):
    assert gupsim_era == "v4.20"
"""
    run(pytester, test).assert_outcomes(passed=2)


def test_an_explored_world_is_stepped_by_hand(pytester: pytest.Pytester) -> None:
    test = """
def test_steps(gupsim_explored):
    gupsim_explored.add("talker", Talker)
    gupsim_explored.post("talker", Go("nothing"))
    gupsim_explored.settle()
    assert not gupsim_explored.core.pending
"""
    run(pytester, test).assert_outcomes(passed=1)


def test_loading_the_plugin_loads_neither_engine_nor_actors() -> None:
    code = "import sys, gupsim.testing.plugin; print(*[name for name in sys.modules])"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"msgspec", "rich", "yaml", "aiohttp"}
    assert not heavy & {name.partition(".")[0] for name in names}
    ours = {name for name in names if name.startswith("gupsim")}
    assert ours == {"gupsim", "gupsim.testing", "gupsim.testing.plugin"}


def test_the_plugin_is_registered(pytester: pytest.Pytester) -> None:
    pytester.runpytest_subprocess("--help").stdout.fnmatch_lines(["*--gupsim-replay=TOKEN*"])
