"""What is searched: how to build its world, and what to ask of it at the end."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

import msgspec

from gupsim.search.execution import Violation
from gupsim.search.guide import Guide
from gupsim.search.world import ExploredWorld

T = TypeVar("T")


class Program(msgspec.Struct, Generic[T], frozen=True):
    """A program of actors that can be built again and again.

    build: adds the actors to an empty world and posts the first messages; what it returns is passed on.
    check: at quiescence, what is wrong. It may look at every actor; it may even post and settle.
    then: at quiescence, posts what comes last and says whether it did; asked again when that is over.
    state: at quiescence, a value by which final states are compared.
    first: makes what chooses in the first execution of a search; without, it is like any other.
    seed: of the actors' random streams. max_events: an execution of more is cut and counts as starvation.
    deadlocks: whether contexts that wait for ever are a violation.

    A checker must not hide what an equivalent execution would show, for only one of them is run. So it either looks
    at quiescence (all equivalent executions end alike), or while an event runs at nothing but what that event touches
    or emits, or it names with `ExploredWorld.relate` the tracepoints whose order it looks at.
    """

    build: Callable[[ExploredWorld], T]
    check: Callable[[ExploredWorld, T], Iterable[Violation]] | None = None
    then: Callable[[ExploredWorld, T], bool] | None = None
    state: Callable[[ExploredWorld, T], Hashable] | None = None
    first: Callable[[], Guide] | None = None
    seed: int = 0
    max_events: int = 10_000
    deadlocks: bool = True
