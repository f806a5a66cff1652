"""Searching all interleavings of a program of actors."""

from gupsim.search.dfs import Dfs
from gupsim.search.dpor import Dpor
from gupsim.search.errors import Unrecorded
from gupsim.search.execution import Execution, Finding, Violation
from gupsim.search.names import Names
from gupsim.search.pct import ChainPriorities
from gupsim.search.pos import PartialOrderSampling
from gupsim.search.program import Program
from gupsim.search.runs import Run, Runs
from gupsim.search.search import Found, Report, search
from gupsim.search.strategy import Strategy
from gupsim.search.walk import RandomWalk
from gupsim.search.world import ExploredWorld

__all__ = [
    "ChainPriorities",
    "Dfs",
    "Dpor",
    "Execution",
    "ExploredWorld",
    "Finding",
    "Found",
    "Names",
    "PartialOrderSampling",
    "Program",
    "RandomWalk",
    "Report",
    "Run",
    "Runs",
    "Strategy",
    "Unrecorded",
    "Violation",
    "search",
]
