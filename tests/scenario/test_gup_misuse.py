"""What a driver may do wrong with get_user_pages, by era: the kernel's answer, and whom the ledger blames (B1-B3)."""

from __future__ import annotations

import json

import pytest

from gupsim.run import run_scenario
from gupsim.scenario.choices import kernel_of
from gupsim.scenario.load import load_text
from gupsim.scenario.model import Scenario

COUNTED = ("v5.7", "v5.12", "v5.19", "v6.1", "v6.12", "v6.18")
"""Eras that tell a pin from a reference."""
BOTH_CALLS = ("v5.6", *COUNTED)
ERAS = ("v3.17", "v4.20", *BOTH_CALLS)


def driver(*steps: dict[str, object]) -> Scenario:
    """A program with a page of memory and a driver."""
    first: tuple[dict[str, object], ...] = ({"mmap": {"as": "buf"}}, {"store": {"map": "buf", "value": 1}})
    machine = {"cpus": 1, "memory": "64KiB", "devices": {"nic": {}}}
    scenario = {"title": "misuse", "machine": machine, "threads": {"app": {"steps": [*first, *steps]}}}
    return load_text(json.dumps(scenario))  # type: ignore[return-value]


def pin(*flags: str, pages: int = 1) -> dict[str, object]:
    return {"pin": {"as": "mr", "device": "nic", "map": "buf", "pages": pages, "flags": ["write", *flags]}}


def unpin(**how: object) -> dict[str, object]:
    return {"unpin": {"pin": "mr", **how}}


def seen(era: str, *steps: dict[str, object]) -> tuple[set[str], list[str]]:
    """Kinds of violations, and their messages."""
    result = run_scenario(driver(*steps), kernel_of(era, ""))  # type: ignore[arg-type]
    return set(result.kinds), [found.message for found in result.outcome.violations]


def warnings(era: str, *steps: dict[str, object]) -> int | None:
    result = run_scenario(driver(*steps), kernel_of(era, ""))  # type: ignore[arg-type]
    return result.outcome.metrics["kernel_warnings"]


@pytest.mark.parametrize("fast", [(), ("fast",)])
@pytest.mark.parametrize("era", ERAS)
def test_longterm_without_a_pin(era: str, fast: tuple[str, ...]) -> None:
    assert warnings(era, pin("get", "longterm", *fast), unpin()) == (era in BOTH_CALLS and era not in ("v5.6", "v5.7"))
    assert seen(era, pin("get", "longterm", *fast), unpin())[0] == set()


@pytest.mark.parametrize("fast", [(), ("fast",)])
@pytest.mark.parametrize("era", BOTH_CALLS)
def test_put_page_after_pin_user_pages(era: str, fast: tuple[str, ...]) -> None:
    kinds, said = seen(era, pin("pin", *fast), unpin(how="put"))
    if era not in COUNTED:
        assert not kinds
    else:
        assert kinds == {"refcount", "pin-leak"}
        assert any(text.startswith("driver/nic#1 dropped page 1 with put_page()") for text in said)


@pytest.mark.parametrize("fast", [(), ("fast",)])
@pytest.mark.parametrize("era", BOTH_CALLS)
def test_unpin_user_page_after_get_user_pages(era: str, fast: tuple[str, ...]) -> None:
    kinds, said = seen(era, pin("get", *fast), unpin(how="unpin"))
    if era not in COUNTED:
        assert not kinds
    else:
        assert kinds == {"refcount"}
        assert any(text.startswith("driver/nic#1 dropped page 1 with unpin_user_page()") for text in said)


@pytest.mark.parametrize("call", ["get", "pin"])
@pytest.mark.parametrize("era", BOTH_CALLS)
def test_an_errno_taken_for_a_count_gives_nothing_back(era: str, call: str) -> None:
    kinds, said = seen(era, pin(call), unpin(pages=-14))
    assert kinds == {"pin-leak"}
    assert all(text.startswith("driver/nic#1 still holds 1") for text in said)
    assert warnings(era, pin(call), unpin(pages=-14)) == (call == "pin")


@pytest.mark.parametrize("call", ["get", "pin"])
@pytest.mark.parametrize("era", BOTH_CALLS)
def test_more_pages_than_the_array_ever_had_are_null_pointers(era: str, call: str) -> None:
    kinds, said = seen(era, pin(call, pages=3), unpin(pages=3))
    assert "kernel-bug" in kinds
    assert any("NULL pointer dereference: the array has 1 page(s) of 3" in text for text in said)


@pytest.mark.parametrize("era", ERAS)
def test_a_short_count_that_is_given_back_as_such_is_no_misuse(era: str) -> None:
    assert seen(era, pin(pages=3), unpin())[0] == set()
