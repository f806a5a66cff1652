"""Whole searches, for tests that compare them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import msgspec

from gupsim.explore import state
from gupsim.explore.conduct import DrawnSearch, Interrupted, Limits, TreeSearch, conduct
from gupsim.explore.pools import Pool
from gupsim.explore.subject import Subject


def said(search: TreeSearch | DrawnSearch) -> dict[str, Any]:
    """All that a search has to say, but how long it took."""
    told: dict[str, Any] = msgspec.to_builtins(search.tally, order="deterministic")
    del told["wall_s"]
    return told


def searched(
    subject: Subject,
    make: Callable[[], Executor],
    *,
    limits: Limits | None = None,
    strategy: str = "dpor",
    wanted: tuple[str, ...] = (),
    each: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Search with an executor of its own. each: called after every answer."""
    pool = Pool(make)
    try:
        chosen = [*wanted]
        if strategy == "dpor":
            search = TreeSearch(subject, chosen)
            conduct(search, pool, limits or Limits(), progress=lambda _: each(), wanted=chosen)
            assert search.tally.redundant == search.tally.blocked == 0
            return said(search)
        drawn = DrawnSearch(subject, chosen, strategy, 7)
        conduct(drawn, pool, limits or Limits(), progress=lambda _: each(), wanted=chosen)
        return said(drawn)
    finally:
        pool.close()


def interrupted_after(subject: Subject, answers: int, make: Callable[[], Executor]) -> TreeSearch:
    """A search that was stopped by Ctrl-C after so many answers, and then made anew from what was stored of it."""
    left = answers

    def check() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    search = TreeSearch(subject, [])
    with contextlib.suppress(Interrupted):
        conduct(search, Pool(make), Limits(), check=check, wanted=[])
    tree = msgspec.msgpack.decode(msgspec.msgpack.encode(state.stored(search)), type=state.StoredTree)
    fresh = TreeSearch(subject, [])
    state.restore(fresh, tree, search.tally)
    return fresh
