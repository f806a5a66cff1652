"""The exploration tree of a search in parts: what is planned, under way and done, owned by one coordinator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gupsim.explore.subject import Subject
from gupsim.explore.wire import Job, Packer, Part, PlainObjects, Planned, TreeNode, Unpacker, mask_of
from gupsim.search.access import NOTHING, Access
from gupsim.search.names import OUTSIDE, Names
from gupsim.search.order import members

PLANNED: Final = 0
RUNNING: Final = 1
DONE: Final = 2


class Branch:
    """A node of the tree.

    mid, access: the event; children: what was planned to come next, oldest first. state: of a leaf, PLANNED, RUNNING
    or DONE; a node with children is DONE if they were when somebody looked last. whole: all that extends its path is
    explored below it, so that nothing that leads here needs to be planned: true for every leaf that a worker has begun
    with.
    """

    __slots__ = ("access", "children", "mid", "parent", "state", "whole")

    def __init__(self, mid: int, access: Access, parent: Branch | None) -> None:
        self.mid = mid
        self.access = access
        self.parent = parent
        self.children: list[Branch] = []
        self.state = PLANNED
        self.whole = False

    def path(self) -> list[Branch]:
        """From the root to this node."""
        path = []
        node: Branch | None = self
        while node is not None:
            path.append(node)
            node = node.parent
        path.reverse()
        return path


class Tree:
    """Leaves to be explored, in the order of a depth-first search. Any of them may be explored at any time.

    names: of messages, those of this process. finished: how much of the tree is done, from 0 to 1, if each branch of
    a node counted the same.
    """

    def __init__(self) -> None:
        self.names = Names()
        self.objects = PlainObjects()
        self.root = Branch(OUTSIDE, NOTHING, None)
        self.finished = 0.0

    def planned(self) -> list[Branch]:
        """The leaves that nobody has begun with, in order. Forgets what is no longer needed."""
        planned: list[Branch] = []
        all_done_before = True
        stack: list[tuple[Branch, int, float]] = [(self.root, 0, 0.0)]
        while True:
            node, place, share = stack.pop()
            if node.state == DONE:
                share = 1.0
            elif place < len(node.children):
                stack.append((node, place + 1, share))
                stack.append((node.children[place], 0, 0.0))
                continue
            elif node.children:
                share /= len(node.children)
                if all(child.state == DONE for child in node.children):
                    node.state = DONE
            else:
                share = 0.0
                all_done_before = False
                if node.state == PLANNED:
                    planned.append(node)
            # What comes before it in the tree may still add to it, unless it is whole.
            if node.state == DONE and (node.whole or all_done_before):
                node.children = []
            if not stack:
                self.finished = share
                return planned
            above, next_place, sum_ = stack.pop()
            stack.append((above, next_place, sum_ + share))

    def job(self, subject: Subject, leaves: list[Branch], budget: int, wanted: list[str]) -> Job:
        """A job for some leaves: the part of the tree that concerns them."""
        packer = Packer(self.names, self.objects)
        targets = set(map(id, leaves))
        on_paths = _on_paths(leaves)
        packed: list[TreeNode] = []
        places: dict[int, int] = {}
        stack = [(self.root, False)]
        while stack:
            node, later = stack.pop()
            if id(node) in targets:
                places[id(node)] = len(packed)
            # Reversals go to later branches than their leaf's; what may come below a whole node is its own affair.
            children = node.children if id(node) in on_paths or (later and not node.whole) else []
            packed.append(TreeNode(packer.name(node.mid), packer.access(node.access), len(children)))
            below = []
            for child in children:
                below.append((child, later))
                later = later or id(child) in on_paths
            stack += reversed(below)
        for leaf in leaves:
            leaf.state = RUNNING
            leaf.whole = True
        return Job(subject, packer.tables, packed, [places[id(leaf)] for leaf in leaves], budget, wanted)

    def take(self, leaf: Branch, part: Part, tables: Unpacker) -> int:
        """A part is back: plan what it reported, and what it left. How many leaves became planned."""
        if not part.executions:
            leaf.state = PLANNED
            return 1
        path = leaf.path()
        planned = 0
        for reversal in part.planned:
            node = path[reversal.first]
            planned += self._plan(reversal, tables, node, node.children.index(path[reversal.first + 1]) + 1)
        if part.rest is None:
            leaf.state = DONE
            return planned
        leaf.state = PLANNED
        graft(leaf, part.rest, tables)
        return planned + sum(not node.children and not node.done for node in part.rest)

    def give_back(self) -> None:
        """What is under way is planned again."""
        for leaf in self.leaves():
            if leaf.state == RUNNING:
                leaf.state = PLANNED

    def leaves(self) -> Iterator[Branch]:
        """All leaves, done or not."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            if node.children:
                stack += reversed(node.children)
            else:
                yield node

    @staticmethod
    def _plan(planned: Planned, tables: Unpacker, node: Branch, first: int) -> bool:
        """Insert a reversal below `node`, from its child number `first` on; False if something as good is there."""
        sequence = Sequence(planned, tables)
        children = node.children[first:]
        while True:
            child = next((child for child in children if sequence.takes(child)), None)
            if child is None:
                sequence.append_to(node)
                return True
            node = child
            children = node.children
            if node.whole or not children or sequence.empty:
                return False


class Sequence:
    """A reversal that looks for its place: events that are still to follow, the last one that of the reversed race."""

    def __init__(self, planned: Planned, tables: Unpacker) -> None:
        self._mids = [tables.mids[name] for name, _, _ in planned.events]
        self._accesses = [tables.accesses[access] for _, access, _ in planned.events]
        self._before = [mask_of(before) for _, _, before in planned.events]
        last = len(self._mids) - 1
        self._last = last
        self._numbers = {mid: number for number, mid in enumerate(self._mids[:last])}
        self._left = (1 << last) - 1
        self._open = True

    @property
    def empty(self) -> bool:
        """True if nothing is left."""
        return not self._left and not self._open

    def takes(self, node: Branch) -> bool:
        """True if what is left, or more, may begin with the event of `node` (a weak initial); then it has happened."""
        number = self._numbers.get(node.mid, -1)
        if number >= 0 and self._left >> number & 1:
            if self._before[number] & self._left:
                return False
            self._left ^= 1 << number
            return True
        if any(node.access.clashes(self._accesses[other]) for other in members(self._left)):
            return False
        if not self._open:
            return True
        if node.mid == self._mids[self._last]:
            self._open = False
            return True
        return not node.access.clashes(self._accesses[self._last])

    def append_to(self, node: Branch) -> None:
        """What is left becomes a branch of its own."""
        above: Branch | None = node
        while above is not None and above.state == DONE:
            above.state = PLANNED
            above = above.parent
        left = self._left | (1 << self._last if self._open else 0)
        for number in members(left):
            child = Branch(self._mids[number], self._accesses[number], node)
            node.children.append(child)
            node = child


def _on_paths(leaves: list[Branch]) -> set[int]:
    """The ids of these nodes and of all above them."""
    found: set[int] = set()
    for leaf in leaves:
        node: Branch | None = leaf
        while node is not None and id(node) not in found:
            found.add(id(node))
            node = node.parent
    return found


def graft(leaf: Branch, packed: list[TreeNode], tables: Unpacker) -> None:
    """Hang a tree, in preorder with the leaf itself first, below the leaf."""
    open_ = [(leaf, packed[0].children)]
    for item in packed[1:]:
        parent, left = open_.pop()
        child = Branch(tables.mids[item.name], tables.accesses[item.access], parent)
        parent.children.append(child)
        if item.done:
            child.state = DONE
            child.whole = True
        if left > 1:
            open_.append((parent, left - 1))
        if item.children:
            open_.append((child, item.children))
