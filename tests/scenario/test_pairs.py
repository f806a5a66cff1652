"""Two operations on one mapping against each other: a part of what tests.scenario.pairs plays in full."""

from __future__ import annotations

from random import Random

import pytest

from tests.scenario.pairs import cases, wrong

SOME = Random(1).sample(list(cases()), 40)


@pytest.mark.long
@pytest.mark.parametrize("case", SOME, ids="-".join)
def test_two_operations_leave_memory_as_they_should(case: tuple[str, str, str, str]) -> None:
    assert wrong(*case, limit=25) == []
