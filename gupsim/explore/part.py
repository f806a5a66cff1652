"""A worker's share of a search: what is below some leaves of the exploration tree, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from gupsim.explore.subject import Subject, program_of
from gupsim.explore.tally import enough
from gupsim.explore.wire import Answer, Found, Job, OrderObjects, Packer, Part, Planned, TreeNode, Unpacker
from gupsim.explore.wire import mask_words as words
from gupsim.search.access import NOTHING
from gupsim.search.dpor import Dpor
from gupsim.search.execution import Execution
from gupsim.search.order import members
from gupsim.search.runs import Runs
from gupsim.search.wakeup import Node, Rest, Reversal


class PartialDpor(Dpor):
    """Optimal DPOR below one leaf of a tree that somebody else owns.

    A planned leaf has no sleepers: all that extends it is to be explored there, so it depends on nothing but its
    path. Races within the leaf are reversed here. What the reversal of others adds to the tree outside the leaf is
    reported. Of the tree outside, a copy serves to see what is planned already.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._runs = Runs(program_of(subject))
        self._objects = OrderObjects(self._runs.order, self._runs.names)
        self._packer = Packer(self._runs.names, self._objects)
        self._leaf = 0
        self._wanted: frozenset[str] = frozenset()
        self._reported: list[Planned] = []
        self._marks: list[int] = []
        self._hashes: dict[int, int] = {0: 0}

    def work(self, job: Job) -> Answer:
        """All leaves of a job, one after the other, as long as the budget lasts."""
        self._runs.shrink(0)
        self._marks.clear()
        self._packer = Packer(self._runs.names, self._objects)
        paths = _paths(job, Unpacker(job.tables, self._runs.names, self._objects))
        left = job.budget
        self._wanted = frozenset(job.wanted)
        parts: list[Part] = []
        before: list[Node] = []
        for path in paths:
            part = Part()
            if left > 0:
                part = self._part(path, before, left)
                left -= part.executions
                if enough(self._wanted, {found.kind for found in part.found}):
                    left = 0
                before = path
            parts.append(part)
        return Answer(self._packer.tables, parts)

    def _part(self, path: list[Node], before: list[Node], budget: int) -> Part:
        """Everything below the last node of `path`."""
        common = 0
        while common + 1 < min(len(path), len(before)) and path[common + 1] is before[common + 1]:
            common += 1
        self._shrink(common)
        for node, child in pairwise(path):
            node.branch = node.children.index(child)
        self._path = path[: common + 1]
        self._leaf = len(path) - 1
        self._reported = []
        leaf = path[-1]
        part = Part(found=[], traces=b"")
        traces = bytearray()
        found: dict[str, Found] = {}
        blocked = self.blocked
        while True:
            execution = self._explore()
            self._reverse_races()
            traces += self._trace().to_bytes(8, "little")
            note(execution, part.executions, found, self._packer)
            part.executions += 1
            part.cut += execution.cut
            part.events += len(execution.schedule)
            part.depth = max(part.depth, len(execution.schedule))
            if not self._backtrack():
                break
            if part.executions >= budget or enough(self._wanted, found):
                part.rest = self._pack(leaf)
                break
        part.blocked = self.blocked - blocked
        part.traces = bytes(traces)
        part.found = list(found.values())
        part.planned = self._reported
        leaf.children = []
        leaf.branch = 0
        return part

    def _backtrack(self) -> bool:
        path = self._path
        while len(path) - 1 > self._leaf:
            path.pop()
            node = path[-1]
            node.children[node.branch].children = []
            node.branch += 1
            if node.branch < len(node.children):
                self._shrink(len(path) - 1)
                return True
        return False

    def _shrink(self, length: int) -> None:
        self._runs.shrink(length)
        del self._marks[length:]

    def _planned(self, first: int, rest: Rest, reversal: Reversal) -> None:
        if first >= self._leaf:
            return
        order, packer = self._runs.order, self._packer
        places = {number: place for place, number in enumerate(members(rest.events))}
        events = []
        for number in places:
            before = 0
            for other in members(order.before[number] & rest.events):
                before |= 1 << places[other]
            name, access = packer.name(order.mids[number]), packer.access(order.accesses[number])
            events.append((name, access, words(before)))
        events.append((packer.name(reversal.mid), packer.access(reversal.access), []))
        self._reported.append(Planned(first, events))

    def _pack(self, leaf: Node) -> list[TreeNode]:
        """What is left below the leaf, in preorder, the leaf first."""
        packer = self._packer
        on_path = set(map(id, self._path))
        packed = []
        stack = [(leaf, False)]
        while stack:
            node, done = stack.pop()
            packed.append(TreeNode(packer.name(node.mid), packer.access(node.access), len(node.children), done))
            branch = node.branch if id(node) in on_path else 0
            stack += reversed([(child, place < branch) for place, child in enumerate(node.children)])
        return packed

    def _trace(self) -> int:
        """The trace of the execution, as a number that is the same in every process."""
        order, marks = self._runs.order, self._marks
        for number in range(len(marks), len(order.mids)):
            causes = sorted(marks[other] for other in members(order.direct[number]))
            marks.append(hash((self._hash(order.mids[number]), *causes)))
        return hash(tuple(sorted(marks))) & (1 << 64) - 1

    def _hash(self, mid: int) -> int:
        names, hashes = self._runs.names, self._hashes
        above = []
        while mid not in hashes:
            above.append(mid)
            mid = names.parents[mid]
        value = hashes[mid]
        for named in reversed(above):
            value = hashes[named] = hash((value, names.step(named) + 2))  # hash(-1) is hash(-2)
        return value


def _paths(job: Job, tables: Unpacker) -> list[list[Node]]:
    """The tree of a job as the strategy wants it: for each leaf the nodes from the root to it."""
    nodes: list[Node] = []
    parents: list[int] = []
    open_: list[tuple[int, int]] = []
    for packed in job.tree:
        node = Node(tables.mids[packed.name], tables.accesses[packed.access] if packed.access >= 0 else NOTHING)
        place = len(nodes)
        nodes.append(node)
        if open_:
            parent, left = open_.pop()
            nodes[parent].children.append(node)
            parents.append(parent)
            if left > 1:
                open_.append((parent, left - 1))
        else:
            parents.append(-1)
        if packed.children:
            open_.append((place, packed.children))
    paths = []
    for leaf in job.leaves:
        path: list[Any] = []
        place = leaf
        while place >= 0:
            path.append(nodes[place])
            place = parents[place]
        path.reverse()
        paths.append(path)
    return paths


def note(execution: Execution, number: int, found: dict[str, Found], packer: Packer) -> None:
    """Enter the violations of an execution; of each kind, the first is told."""
    kinds = set()
    for violation in execution.violations:
        if violation.kind in kinds:
            continue
        kinds.add(violation.kind)
        known = found.get(violation.kind)
        if known is not None:
            known.count += 1
            continue
        schedule = [packer.name(mid) for mid in execution.schedule]
        actors = list(getattr(violation, "actors", ()))
        found[violation.kind] = Found(violation.kind, violation.message, actors, number, 1, schedule)
