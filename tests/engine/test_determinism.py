"""The same actor program gives the same history, byte for byte, whatever is under it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.engine import determinism_program


def run(hash_seed: str, loop: str, wire: str, order: int) -> str:
    """The digest as another process finds it."""
    done = subprocess.run(
        [sys.executable, determinism_program.__file__, loop, wire, str(order)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def expected() -> str:
    """What this process finds."""
    return determinism_program.main("plain", "reference", "0")


def test_the_program_does_something(expected: str) -> None:
    assert int(expected.split(maxsplit=1)[0]) > 500


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_the_hash_seed_changes_nothing(expected: str, hash_seed: str) -> None:
    assert run(hash_seed, "plain", "reference", 0) == expected


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_of_adding_actors_changes_nothing(expected: str, order: int) -> None:
    assert determinism_program.main("plain", "reference", str(order)) == expected


def test_messages_as_messagepack_change_nothing(expected: str) -> None:
    assert determinism_program.main("plain", "codec", "0") == expected


def test_asyncio_under_it_changes_nothing(expected: str) -> None:
    assert determinism_program.main("asyncio", "reference", "0") == expected


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
def test_uvloop_under_it_changes_nothing(expected: str) -> None:
    assert run("5", "uvloop", "codec", 4) == expected


def test_a_second_run_in_one_process_changes_nothing(expected: str) -> None:
    assert determinism_program.main("plain", "reference", "0") == expected
