"""Every shipped scenario does in all its interleavings what its file says of each kernel, and no proof is vacuous."""

from __future__ import annotations

from typing import Final

import pytest

from gupsim.scenario.find import Shipped, shipped
from gupsim.scenario.load import load
from tests.cli.run_cli import gupsim

QUICK: Final = {"S03", "S24", "S31", "S47", "S48", "read-only-pin", "registered-page"}
"""A second or so each."""

SEARCHED = [
    pytest.param(entry, id=entry.ident, marks=[] if entry.ident in QUICK else pytest.mark.long)
    for entry in shipped()
    if load(entry.name).scenario.workload is None
]


@pytest.mark.parametrize("entry", SEARCHED)
def test_what_the_file_expects_of_each_kernel_holds(entry: Shipped, tmp_path: object) -> None:
    searched = gupsim("explore", entry.name, "--out", str(tmp_path), seconds=1200)
    assert searched.returncode == 0, searched.stdout + searched.stderr
    kernels = len(load(entry.name).scenario.expectations)
    assert f"{kernels} of {kernels} kernels as expected" in searched.stdout
