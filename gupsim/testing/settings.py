"""How a test is explored."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of `@explore`.

    strategy: "dpor" (each interleaving that can matter, once), "strict" (as dpor, and checks that actors hide no
    state), "dfs" (all of them), "random", "pos" or "pct". limit: executions at most.
    seed: of the actors' random streams and of the random strategies.
    max_events: an execution with more counts as endless.
    waiting: contexts may wait for ever; else that is a deadlock or a leak.
    watched: heed plain attributes of actors; without, their state is trusted to be in recorded containers.
    """

    strategy: str = "dpor"
    limit: int = 10_000
    seed: int = 0
    max_events: int = 10_000
    waiting: bool = False
    watched: bool = True
