"""A worker's share of a search: what is below some leaves of the exploration tree, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from gupsim.explore.seen import looker
from gupsim.explore.subject import Subject, program_of
from gupsim.explore.tally import enough
from gupsim.explore.traces import NamedTraces
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
        self._traces = self._runs.traces = NamedTraces(self._runs.order, self._runs.names)
        self._objects = OrderObjects(self._runs.order, self._runs.names)
        self._packer = Packer(self._runs.names, self._objects)
        self._leaf = 0
        self._outside = False
        self._look = looker(subject)
        self._wanted: frozenset[str] = frozenset()
        self._reported: list[Planned] = []

    def work(self, job: Job) -> Answer:
        """All leaves of a job, one after the other, as long as the budget lasts."""
        self._packer = Packer(self._runs.names, self._objects)
        self._wanted = frozenset(job.wanted)
        left = job.budget
        parts: list[Part] = []
        for path in _paths(job, Unpacker(job.tables, self._runs.names, self._objects)):
            part = Part()
            if left > 0:
                part = self._part(path, left)
                left -= part.executions
                if enough(self._wanted, {found.kind for found in part.found}):
                    left = 0
            parts.append(part)
        return Answer(self._packer.tables, parts)

    def _part(self, path: list[Node], budget: int) -> Part:
        """Everything below the last node of `path`."""
        self._go_to(path)
        self._reported = []
        leaf = path[-1]
        part = Part(found=[])
        traces = bytearray()
        found: dict[str, Found] = {}
        blocked = self.blocked
        while True:
            execution = self._explore()
            self._reverse_races()
            traces += self._traces.encoded()
            note(execution, part.executions, found, self._packer)
            self._look(execution, part.outcomes)
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

    def _go_to(self, path: list[Node]) -> None:
        """Explore next what is below the last of these nodes. What this path has in common with the one of the last
        execution, be it of an earlier job, is known already."""
        mids = self._runs.order.mids
        common = 0
        while common < min(len(mids), len(path) - 1) and mids[common] == path[common + 1].mid:
            common += 1
        self._runs.shrink(common)
        for number, (node, child) in enumerate(pairwise(path)):
            node.branch = node.children.index(child)
            if number < common:
                child.sleepers = [other for other in node.asleep() if not other.access.clashes(child.access)]
        self._path = path[: common + 1]
        self._leaf = len(path) - 1

    def _end_trial(self, leaf: Node | None) -> None:
        # Whoever explores a leaf outside has to run it himself.
        super()._end_trial(None if self._outside else leaf)

    def _planned(self, first: int, rest: Rest, reversal: Reversal) -> None:
        self._outside = first < self._leaf
        if not self._outside:
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
