"""Strategies by name, for the test harness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gupsim.search.dfs import Dfs
from gupsim.search.dpor import Dpor
from gupsim.search.pct import ChainPriorities
from gupsim.search.pos import PartialOrderSampling
from gupsim.search.strategy import Strategy
from gupsim.search.strict import Strict
from gupsim.search.walk import RandomWalk

STRATEGIES: Final[dict[str, Callable[[int], Strategy]]] = {
    "dpor": lambda _: Dpor(),
    "strict": lambda _: Strict(Dpor()),
    "dfs": lambda _: Dfs(),
    "random": RandomWalk,
    "pos": PartialOrderSampling,
    "pct": ChainPriorities,
}


def strategy_of(name: str, seed: int) -> Strategy:
    """A new strategy; ValueError with the names that there are."""
    if name not in STRATEGIES:
        raise ValueError(f"no strategy is called {name!r}: {', '.join(STRATEGIES)}")
    return STRATEGIES[name](seed)
