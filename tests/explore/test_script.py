"""A search begins with what the scenario's script shows: what `run` finds, it finds at once."""

from pathlib import Path

import pytest

from gupsim.explore.subject import program_of, subject_of
from gupsim.run import run_scenario
from gupsim.scenario.choices import expected_kernel
from gupsim.scenario.find import shipped
from gupsim.scenario.load import load
from gupsim.search import Dpor, search
from tests.explore.test_command import explored


@pytest.mark.parametrize("name", [each.name for each in shipped()])
def test_what_a_run_shows_is_in_the_first_execution(name: str) -> None:
    loaded = load(name)
    if loaded.scenario.workload is not None:
        pytest.skip("a workload has no script")
    for kernel in list(loaded.scenario.expectations)[:3]:
        chosen = expected_kernel(loaded.scenario, kernel)
        shown = run_scenario(loaded, chosen).kinds
        first = search(program_of(subject_of(loaded, chosen)), Dpor(), limit=1)
        assert shown <= set(first.found)


@pytest.mark.parametrize("strategy", ["dfs", "random", "pos", "pct"])
def test_so_do_the_other_strategies(strategy: str, tmp_path: Path) -> None:
    told = explored(
        "S01", "--kernel", "v4.20", "--strategy", strategy, "--limit", "1", "--out", str(tmp_path), status=0
    )
    assert told["executions"] == 1
    assert told["violations"][0]["kind"] == "kernel-bug"
