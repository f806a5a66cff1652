"""What chooses the next delivery of an execution, and one that follows the order of another world."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from gupsim.engine.core import Item
from gupsim.engine.task import Part, Task
from gupsim.protocol.message import Message
from gupsim.search.core import ExploredCore


class Label(NamedTuple):
    """What an event is, without its name: context, message class ("" for a wake) and address."""

    context: str
    kind: str
    dst: str


class Guide(Protocol):
    """Chooses the next delivery."""

    def choose(self, core: ExploredCore) -> int | None:
        """A pending mid, or None to end here. `core.pending` is not empty."""

    def end(self, core: ExploredCore) -> None:
        """The execution has ended; Diverged if it should not have."""
        return


class Alike(Guide):
    """Messages of another world in the order in which their likes came: for a scenario that has lost
    a step, or its script.

    A message is like another if it is of the same class, to the same actor, in a context of the same name. One that
    has no like comes right after its cause.
    """

    def __init__(self, labels: Iterable[Label]) -> None:
        self._places: dict[Label, deque[int]] = {}
        for place, label in enumerate(labels):
            self._places.setdefault(label, deque()).append(place)
        self._came: dict[int, int] = {}

    def choose(self, core: ExploredCore) -> int | None:
        parents = core.names.parents
        best, best_place, found = -1, -1, None
        for mid, (item, _) in core.pending.items():
            places = self._places.get(label := label_of(core, item))
            place = places[0] if places else self._came.get(parents[mid], 0)
            if best < 0 or place < best_place:
                best, best_place, found = mid, place, label
        if found is not None and (places := self._places.get(found)):
            places.popleft()
        self._came[best] = best_place
        return best


def context_of(core: ExploredCore, item: Item) -> str:
    """The context for which a delivery goes on, without what makes its name unique: "h0/app", "h0/block/sda"; "" for
    a first message, which belongs to the context that it starts."""
    name = item[7]
    if not name and item[5] >= 0:
        waiting = core.ports[item[1]].waiting.get(item[5])
        if type(waiting) is Part:
            waiting = core.ports[item[1]].waiting.get(waiting.join.token)
        if type(waiting) is Task:
            name = waiting.context
    if not name:
        name = "" if item[2] < 0 else core.ports[item[1]].address
    return name.partition("<")[0]


def kind_of(item: Item) -> str:
    """Class of its message; "" for what an actor tells itself (a lock granted, a timer, a join)."""
    return type(item[4]).__name__ if isinstance(item[4], Message) else ""


def label_of(core: ExploredCore, item: Item) -> Label:
    """What a delivery is."""
    return Label(context_of(core, item), kind_of(item), core.ports[item[1]].address)
