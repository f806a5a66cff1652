"""Every shipped scenario does in its scripted run what its file says of each kernel."""

import pytest

from gupsim.run import run_scenario
from gupsim.scenario.choices import expected_kernel, kernel_of
from gupsim.scenario.claims import claim_text
from gupsim.scenario.find import shipped
from gupsim.scenario.load import load

CASES = [(entry.name, kernel) for entry in shipped() for kernel in load(entry.name).scenario.expectations]


@pytest.mark.parametrize(("name", "kernel"), CASES)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_a_scripted_run_shows_what_is_reachable_and_nothing_else(name: str, kernel: str, seed: int) -> None:
    loaded = load(name)
    expected = loaded.scenario.expectations[kernel]
    reachable, unreachable = (set(map(claim_text, claims)) for claims in (expected.reachable, expected.unreachable))
    result = run_scenario(loaded, expected_kernel(loaded.scenario, kernel), seed=seed)
    shown = result.kinds | {claim for claim, shown in result.outcome.claims.items() if shown}
    assert shown <= reachable, result.outcome.violations
    assert not shown & unreachable
    # The script is written for the kernels themselves; what a policy leaves reachable may take another schedule.
    if loaded.scenario.workload is None and "+" not in kernel:
        assert shown == reachable


@pytest.mark.parametrize("entry", shipped(), ids=lambda entry: entry.ident)
def test_a_file_says_what_happens_under_its_own_kernel(entry) -> None:  # type: ignore[no-untyped-def]
    scenario = load(entry.name).scenario
    assert scenario.kernel in scenario.expectations
    assert scenario.about


@pytest.mark.parametrize("name", ["S01", "S03", "S35", "S01-under-pressure"])
def test_the_history_is_the_same_whether_messages_are_copied_or_passed_by_reference(name: str) -> None:
    loaded = load(name)
    chosen = kernel_of(loaded.scenario.kernel, "")
    one, two = (run_scenario(loaded, chosen, seed=3, codec=codec).outcome.trace_sha256 for codec in (True, False))
    assert one == two


@pytest.mark.long
def test_under_pressure_s01_strikes_in_every_history_of_v4_20_and_in_none_of_v6_12() -> None:
    loaded = load("S01-under-pressure")
    for seed in range(10):
        old = run_scenario(loaded, kernel_of("v4.20", ""), seed=seed)
        new = run_scenario(loaded, kernel_of("v6.12", ""), seed=seed)
        assert "kernel-bug" in old.kinds
        assert not new.kinds & {"kernel-bug", "data-loss"}
        assert new.outcome.metrics["buffers_stripped_in_use"] == 0
        assert new.outcome.metrics["pages_pinned"] > 100  # type: ignore[operator]


def test_in_s02_the_program_reads_back_what_was_there_before() -> None:
    files = run_scenario(load("S02"), kernel_of("v5.19", "")).files
    assert [(page.cached, page.disk, page.same) for page in files] == [(0xAA, 0xAA, True)]


def test_in_s03_the_disk_holds_a_block_that_does_not_match_its_checksum() -> None:
    (page,) = run_scenario(load("S03"), kernel_of("v6.12", "")).files
    assert not page.intact


def test_in_s04_memory_and_disk_agree_on_the_old_data() -> None:
    (page,) = run_scenario(load("S04"), kernel_of("v6.12", "")).files
    assert (page.cached, page.disk) == (0x11, 0x11)
