"""How often: `gupsim run --seeds`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.report.rate import Rate, rates
from tests.cli.run_cli import gupsim


@pytest.mark.long
def test_a_workload_is_played_for_each_seed() -> None:
    words = ["run", "S01-under-pressure", "--kernel", "v5.19", "--seeds", "0..3"]
    told = json.loads(gupsim(*words, "--json").stdout)
    assert told["seeds"] == [0, 3]
    lost = told["violations"]["data-loss"]
    alone = [json.loads(gupsim(*words[:4], "--seed", str(seed), "--json").stdout) for seed in range(4)]
    hits = [seed for seed, one in enumerate(alone) if any(found["kind"] == "data-loss" for found in one["violations"])]
    assert (lost["histories"], lost["of"], lost["seeds"]) == (len(hits), 4, hits[:3])
    shown = gupsim(*words)
    assert shown.returncode == 1
    assert f"data-loss            {len(hits)} of 4 histories" in shown.stdout


def test_nothing_found_is_no_proof() -> None:
    shown = gupsim("run", "S01", "--kernel", "v6.12", "--seeds", "5..14")
    assert shown.returncode == 0
    assert "any                  0 of 10 histories: 0.0 % (95 %: 0.0 to 27.8 %)" in shown.stdout


@pytest.mark.parametrize("text", ["5..4", "0-9", "0..", "a..b", "0..1000000"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    refused = gupsim("run", "S01", "--seeds", text)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"--seeds: {text!r} is no range" in refused.stderr


def test_seeds_go_with_nothing_that_is_about_one_history() -> None:
    for option in (["--seed", "3"], ["--timeline"], ["--trace", "x"]):
        assert gupsim("run", "S01", "--seeds", "0..1", *option).returncode == 2


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share_and_lies_within_0_and_1(hits: int, total: int) -> None:
    hits = min(hits, total)
    low, high = Rate(hits, total).interval
    assert 0 <= low <= hits / total <= high <= 1
    assert low < high


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, Statistics in Medicine 17: 857, table I: 81 of 263 and 0 of 20.
    assert [round(end, 4) for end in Rate(81, 263).interval] == [0.2553, 0.3662]
    assert [round(end, 4) for end in Rate(0, 20).interval] == [0.0, 0.1611]


def test_each_kind_counts_once_in_a_history() -> None:
    found = rates([(4, frozenset({"a", "b"})), (5, frozenset()), (6, frozenset({"a"}))])
    assert {kind: (rate.hits, rate.total, rate.seeds) for kind, rate in found.items()} == {
        "a": (2, 3, (4, 6)), "any": (2, 3, (4, 6)), "b": (1, 3, (4,)),
    }  # fmt: skip
