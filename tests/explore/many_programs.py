"""Random programs by number, in a form that a worker process can make them from."""

from __future__ import annotations

from random import Random
from typing import Any

from gupsim.search.program import Program
from tests.search.random_programs import program, random_spec


def random_program(seed: str, number: int) -> Program[Any]:
    """Program `number` of a seed."""
    return program(random_spec(Random(f"{seed}/{number}").randrange))
