"""The tree of what has been and will be explored, and how the reversal of a race finds its place in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gupsim.search.access import Access, union
from gupsim.search.order import Order, members

if TYPE_CHECKING:
    from gupsim.search.ahead import Ahead


class Node:
    """An event of the exploration tree, explored or planned; its place says what happened before.

    mid: of the message delivered; access: what its event touches there. children: what is or will be explored next,
    in this order; `branch` is the position of the one explored now. sleepers: messages that need not come next
    here, because an earlier branch of this node or of one above covers all that begins with them. ahead: of a planned
    leaf, the execution that leads there, if it has been run already.
    """

    __slots__ = ("access", "ahead", "branch", "children", "mid", "sleepers")

    def __init__(self, mid: int, access: Access) -> None:
        self.ahead: Ahead | None = None
        self.mid = mid
        self.access = access
        self.branch = 0
        self.children: list[Node] = []
        self.sleepers: list[Node] = []

    def asleep(self) -> list[Node]:
        """All messages that need not come next in the branch explored now."""
        if self.branch:
            return self.sleepers + self.children[: self.branch]
        return self.sleepers


class Rest:
    """The events after the first of a race that do not depend on it, whatever the second is.

    events: a mask over `order`. touched: all that they touch together.
    """

    __slots__ = ("_touched", "events", "order")

    def __init__(self, order: Order, first: int) -> None:
        self.order = order
        self.events = order.independent_of(first)
        self._touched: Access | None = None

    @property
    def touched(self) -> Access:
        if self._touched is None:
            accesses = self.order.accesses
            self._touched = union([accesses[number] for number in members(self.events)])
        return self._touched

    def first_asleep(self, asleep: list[Node]) -> int:
        """The number of an event that is asleep and could come first, whatever comes last; -1 if there is none."""
        numbers, before, events = self.order.numbers, self.order.before, self.events
        for node in asleep:
            number = numbers.get(node.mid, -1)
            if number >= 0 and events >> number & 1 and not before[number] & events:
                return number
        return -1


class Reversal:
    """A race turned round: what must follow the events before it, so that the second of the two comes first.

    That is: all events of the execution that do not depend on the race's first event, in order, then the message
    of the second. (All of them, also those after the second: a shorter sequence loses executions.)

    left: those events that have not been found a place yet (a mask); mid: the message that comes last; open: it has
    not been found a place yet; straight: up to there the tree says the same in the same order. known: gives what the
    last event touches at that place, which may take a replay.
    """

    __slots__ = ("_access", "_known", "_rest", "left", "mid", "open", "straight", "where")

    def __init__(self, rest: Rest, number: int, known: Callable[[], Access]) -> None:
        order = rest.order
        self._rest = rest
        self.left = rest.events
        self.mid = order.mids[number]
        self.where = 2 << order.ranks[number] | 1
        self.open = True
        self.straight = True
        self._known = known
        self._access: Access | None = None

    @property
    def access(self) -> Access:
        """What the event of the last message touches there."""
        if self._access is None:
            self._access = self._known()
        return self._access

    def covered_by(self, node: Node) -> bool:
        """True if the event of `node`, not one of these, clashes with none of them: it may as well come first."""
        number = self._rest.order.numbers.get(node.mid, -1)
        if number >= 0 and self.left >> number & 1:
            return False
        return self._spared_by(node)

    def insert(self, node: Node, first: int) -> Node | None:
        """Plan this below `node`, in or after its child number `first`: the new leaf.

        None if something as good is planned.
        """
        order = self._rest.order
        numbers, before = order.numbers, order.before
        children = node.children[first:]
        while True:
            for child in children:
                number = numbers.get(child.mid, -1)
                if number >= 0 and self.left >> number & 1:
                    if not before[number] & self.left:
                        self.straight &= self.left & -self.left == 1 << number
                        self.left ^= 1 << number
                        break
                elif self._spared_by(child):
                    self.straight = False
                    if child.mid == self.mid:
                        self.open = False
                    break
            else:
                return self._append(node)
            node = child
            children = child.children
            if not children or not (self.left or self.open):
                return None

    def _append(self, node: Node) -> Node:
        """What is left becomes a branch of its own: its leaf."""
        order = self._rest.order
        for number in members(self.left):
            child = Node(order.mids[number], order.accesses[number])
            node.children.append(child)
            node = child
        if self.open:
            child = Node(self.mid, self.access)
            node.children.append(child)
            node = child
        return node

    def _spared_by(self, node: Node) -> bool:
        """True if the event of `node` clashes with none that is left, the last message included (or is that)."""
        access, rest = node.access, self._rest
        if access.clashes(rest.touched):
            accesses = rest.order.accesses
            if self.left == rest.events or any(access.clashes(accesses[number]) for number in members(self.left)):
                return False
        if not self.open or node.mid == self.mid or not access.where & self.where:
            return True
        return not access.clashes(self.access)
