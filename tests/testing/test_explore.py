"""`@explore` as a user of pytest meets it."""

import re
from pathlib import Path

import pytest

# pytester forgets modules that a run within this process loads; a second copy of the engine would be another engine.
import gupsim.scenario.choices
import gupsim.testing.search  # noqa: F401

pytest_plugins = ["pytester"]

OTHERS = ("-p", "no:frontrun", "-p", "no:hypothesispytest")
"""Plugins that each run within this process would load anew."""

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "how-to" / "test-an-actor-program.md"

BANK = """
from gupsim.actors.base import Actor, TicketLock, handles
from gupsim.testing import explore
from gupsim.protocol.message import DONE, Done, Message, Request

class Deposit(Request[Done], frozen=True):
    amount: int

class Stay(Request[Done], frozen=True):
    pass

class Note(Message, frozen=True):
    number: int

class Bank(Actor):
    def __init__(self, address, port):
        super().__init__(address, port)
        self.balance = 0
        self.notes = []
        self.lock = TicketLock(self, "account")

    @handles(Deposit)
    async def deposit(self, msg):
        before = self.balance
        await self.sleep(100)
        self.balance = before + msg.amount
        return DONE

    @handles(Stay)
    async def stay(self, msg):
        await self.lock.acquire()
        return DONE

    @handles(Note)
    def note(self, msg):
        self.notes.append(msg.number)

async def pay(client, amount):
    await client.ask("bank", Deposit(amount))

async def stay(client):
    await client.ask("bank", Stay())
"""


def inside(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    scope = "asyncio_default_fixture_loop_scope=function"  # unset, some releases of pytest-asyncio warn
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *OTHERS, "-o", scope, *options)


def run(pytester: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=BANK + test)
    return inside(pytester, *options)


LOST = """
@explore
def test_lost(world):
    bank = world.add("bank", Bank)
    world.start("alice", pay, 10)
    world.start("bob", pay, 20)
    yield
    assert bank.balance == 30
"""


def examples(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    for name, code in blocks:
        (pytester.path / name).write_text(f"# {name}\n{code}", encoding="utf-8")
    assert len(blocks) == 2


def test_the_guide_shows_what_its_example_prints(pytester: pytest.Pytester) -> None:
    examples(pytester)
    result = inside(pytester, "test_bank.py")
    result.assert_outcomes(failed=1)
    (shown,) = re.findall(r"```text\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    printed = re.sub(r"--gupsim-replay=\S+", "--gupsim-replay=TOKEN", result.stdout.str())
    lines = [line.strip() for line in printed.splitlines()]
    for line in shown.splitlines():
        assert any(line.strip() in other for other in lines), line


def test_the_guides_fixed_example_is_proved(pytester: pytest.Pytester) -> None:
    examples(pytester)
    result = pytester.runpytest_subprocess("test_fixed_bank.py", "-rP", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*proved: holds in every interleaving (2 executions by dpor)*"])


@pytest.mark.parametrize("strategy", ["dpor", "strict", "dfs", "random", "pos", "pct"])
def test_every_strategy_finds_the_lost_update_and_the_same_shortest_schedule(
    pytester: pytest.Pytester, strategy: str
) -> None:
    result = run(pytester, LOST, f"--gupsim-strategy={strategy}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*8 events, 2 context switches, 1 interruption"])


def test_the_printed_command_replays_the_failure_and_nothing_else(pytester: pytest.Pytester) -> None:
    other = "\n@explore\ndef test_other(world):\n    world.add('bank', Bank)\n    world.start('a', pay, 1)\n"
    first = run(pytester, LOST + other)
    first.assert_outcomes(failed=1, passed=1)
    # Once in the failure and, where pytest does not shorten its summary (CI), once more there.
    (command,) = set(re.findall(r"Replay it: pytest (.*)", first.stdout.str()))
    again = inside(pytester, *command.split())
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*assert 10 == 30*", "*(replayed, seed 0)*", f"*{command}"])
    everything = inside(pytester, command.split()[1])
    everything.assert_outcomes(failed=1, skipped=1)


def test_a_token_of_a_changed_program_says_what_changed(pytester: pytest.Pytester) -> None:
    first = run(pytester, LOST)
    (token,) = set(re.findall(r"--gupsim-replay=\S+", first.stdout.str()))
    changed = run(pytester, LOST.replace('"bob", pay, 20', '"bob", pay, 21'), token)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*StaleToken: the test or its actors changed since*"])
    smaller = run(pytester, LOST.replace('world.start("bob", pay, 20)', "pass"), token)
    smaller.stdout.fnmatch_lines(["*StaleToken: *event 3 of the recording, message 2, cannot come there now"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--gupsim-replay=nonsense", "'nonsense' is no replay token*"),
        ("--gupsim-strategy=fast", "no strategy is called 'fast': dpor, *"),
        ("--gupsim-limit=0", "*at least 1 execution"),
    ],
)
def test_a_wrong_option_is_one_usage_error(pytester: pytest.Pytester, option: str, message: str) -> None:
    pytester.makepyfile(LOST)
    broken = pytester.runpytest_subprocess(option)
    assert broken.ret == pytest.ExitCode.USAGE_ERROR
    broken.stderr.fnmatch_lines([f"ERROR: *{message}"])
    assert "Traceback" not in broken.stderr.str()


def test_a_deadlock_is_a_failure_with_what_is_waited_for(pytester: pytest.Pytester) -> None:
    test = """
@explore
def test_stays(world):
    world.add("bank", Bank)
    world.start("alice", stay)
    world.start("bob", stay)
"""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*deadlock: *account*"])
    allowed = run(pytester, test.replace("@explore", "@explore(waiting=True)"))
    allowed.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("client.ask('bank', Deposit(1))", "the answer Done() was never awaited"),
        ("client.sleep(5)", "a sleep, a lock or a wake-up was never awaited"),
        ("pay(client, 1)", "coroutine 'pay' was never awaited"),
    ],
)
def test_what_is_never_awaited_is_a_failure(pytester: pytest.Pytester, body: str, said: str) -> None:
    test = f"""
async def forget(client):
    {body}

@explore
def test_forgets(world):
    world.add("bank", Bank)
    world.start("alice", forget)
"""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*never-awaited: *{said}*"])


def test_a_time_out_that_nobody_catches_is_a_failure(pytester: pytest.Pytester) -> None:
    test = """
@explore
async def test_is_in_time(world):
    world.add("bank", Bank)
    await world.ask_within(1_000, "bank", Deposit(1))
"""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*actor-failed: test: * raised AskTimeout: no answer of bank within 1000 ns*"])


def test_an_async_test_drives_a_client_and_looks_when_all_is_quiet(pytester: pytest.Pytester) -> None:
    test = """
@explore
async def test_one_after_the_other(world):
    bank = world.add("bank", Bank)
    assert bank.balance == 0
    await world.ask("bank", Deposit(1))
    await world.sleep(10)
    await world.send("bank", Note(1))
    await world.ask("bank", Deposit(2))
    await world.settled()
    assert (bank.balance, bank.notes) == (3, [1])
"""
    run(pytester, test).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("await world.ask('bank', Deposit(1)); bank.balance", "before `await world.settled()`"),
        ("await world.settled(); await world.ask('bank', Deposit(1))", "after settled() a test only looks"),
        ("bank.balance", "ended before anything happened"),
        ("import asyncio; await asyncio.sleep(1)", "may not call asyncio.sleep"),
    ],
)
def test_a_mistake_in_an_async_test_is_explained(pytester: pytest.Pytester, lines: str, said: str) -> None:
    test = f"""
@explore
async def test_mistaken(world):
    bank = world.add("bank", Bank)
    {lines}
"""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{said}*"])


def test_the_limit_ends_a_search_as_undecided(pytester: pytest.Pytester) -> None:
    test = """
@explore
def test_many(world):
    bank = world.add("bank", Bank)
    for number in range(4):
        world.post("bank", Note(number))
    yield
    assert len(bank.notes) == 4
"""
    result = run(pytester, test, "--gupsim-limit=23")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Undecided: undecided: no failure in 23 executions, and there are more.*"])
    enough = run(pytester, test, "--gupsim-limit=24", "-rP")
    enough.assert_outcomes(passed=1)
    enough.stdout.fnmatch_lines(["proved: holds in every interleaving (24 executions by dpor)"])
    sampled = run(pytester, test, "--gupsim-strategy=random", "--gupsim-limit=5", "--gupsim-seed=7", "-rP")
    sampled.assert_outcomes(passed=1)
    sampled.stdout.fnmatch_lines(["held in 5 executions by random, seed 7; there may be others"])


def test_other_parameters_are_fixtures(pytester: pytest.Pytester) -> None:
    test = """
import pytest

@pytest.mark.parametrize("amount", [1, 2])
@explore()
def test_with(world, tmp_path, amount, gupsim_rules):
    bank = world.add("bank", Bank)
    world.start("alice", pay, amount)
    yield
    assert bank.balance == amount and tmp_path.exists() and gupsim_rules
"""
    run(pytester, test).assert_outcomes(passed=2)


def test_a_test_without_a_world_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, "\n@explore\ndef test_nothing():\n    pass\n")
    result.stdout.fnmatch_lines(["*TypeError: test_nothing: an explored test needs a parameter `world`"])


def test_it_works_in_classes_and_in_the_auto_mode_of_pytest_asyncio(pytester: pytest.Pytester) -> None:
    test = """
class TestBank:
    @explore
    def test_plain(self, world, tmp_path):
        bank = world.add("bank", Bank)
        world.start("alice", pay, 1)
        yield
        assert bank.balance == 1

    @explore
    async def test_async(self, world):
        bank = world.add("bank", Bank)
        await world.ask("bank", Deposit(1))
        await world.settled()
        assert bank.balance == 1
"""
    run(pytester, test, "-o", "asyncio_mode=auto").assert_outcomes(passed=2)


def test_a_scripts_result_and_what_is_posted_in_the_end_are_there_to_look_at(pytester: pytest.Pytester) -> None:
    test = """
async def count(client):
    return len([await client.ask("bank", Deposit(1)) for _ in range(3)])

@explore
def test_looks(world):
    bank = world.add("bank", Bank)
    world.post("bank", Note(1))
    world.settle()
    assert bank.notes == [1]
    yield
    world.post("bank", Note(2))
    world.settle()
    assert bank.notes == [1, 2]

@explore
def test_result(world):
    world.add("bank", Bank)
    script = world.start("alice", count)
    yield
    assert script.result == 3
"""
    run(pytester, test).assert_outcomes(passed=2)


def test_the_kernels_own_actors_can_be_tested(pytester: pytest.Pytester) -> None:
    test = """
from gupsim.scenario.load import load
from gupsim.world import build, hosts
from gupsim.protocol.kernel import Boot
from gupsim.protocol.process import RunThread

@explore(strategy="random", limit=3, waiting=True)
def test_boots(world, gupsim_rules):
    scenario = load("S01").scenario
    build(scenario, gupsim_rules, codec=False, scripted=False, engine=lambda **_: world)
    seen = []
    world.on_tracepoint(lambda port, point: seen.append(type(point).__name__))
    for name in scenario.machine.filesystems:
        world.post(f"h0/fs/{name}", Boot())
    for name in scenario.machine.disks:
        world.post(f"h0/block/{name}", Boot())
    world.settle()
    for name, thread in scenario.threads.items():
        world.post(f"h0/process/{thread.process or name}", RunThread(name), context=name)
    yield
    assert len(seen) > 20
"""
    run(pytester, test).assert_outcomes(passed=1)
