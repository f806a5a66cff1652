"""The seam behind which every way to search stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gupsim.search.execution import Execution
from gupsim.search.runs import Runs


class Strategy(Protocol):
    """Chooses schedules. It is used for one search only.

    name: as on the command line. exhaustive: when it ends by itself, there is no other execution.
    replays: executions that were needed only to learn something. blocked: see `Execution.blocked`.
    """

    @property
    def name(self) -> str: ...
    @property
    def exhaustive(self) -> bool: ...
    @property
    def replays(self) -> int: ...
    @property
    def blocked(self) -> int: ...

    def executions(self, runs: Runs) -> Iterator[Execution]:
        """One execution after the other; whoever has enough stops asking."""

    def promise(self) -> str:
        """What is known if nothing was found, in one line for people."""
