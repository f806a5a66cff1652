"""Optimal dynamic partial-order reduction: one execution for each Mazurkiewicz trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final
from weakref import WeakSet

from msgspec.structs import replace

from gupsim.engine.fence import fence
from gupsim.search.access import NOTHING, Access
from gupsim.search.ahead import Ahead, Trial
from gupsim.search.errors import Unrecorded
from gupsim.search.execution import Execution
from gupsim.search.order import members
from gupsim.search.runs import Runs
from gupsim.search.wakeup import Node, Rest, Reversal

MOST_EVENTS_AHEAD: Final = 100_000
"""In executions that wait for their turn: some ten megabytes."""

MOST_PASTS: Final = 20_000
"""For which one footprint of a message is remembered; what counts things never has the same past twice."""


class Dpor:
    """Abdulla, Aronis, Jonsson, Sagonas: Optimal dynamic partial order reduction (POPL 2014), with wakeup trees.

    Handlers run to completion, no event disables another, and a mailbox is not a shared object: so plain
    Optimal-DPOR explores each trace exactly once (search.md, section 1). The footprint of a reversed event is
    the one that it has in its new place (section 5, trap 1). A delivery that touches nothing is no event here: it is
    made when it comes up, or when something planned waits for what it causes.

    replays: executions that only served to learn such a footprint. blocked: executions that could not go on; 0
    unless an actor keeps state that is not recorded. suspicious: also replay where nothing that the reversed event
    looked at has changed, and raise Unrecorded if its footprint is another one: for tests of containers.
    """

    name = "dpor"
    exhaustive = True

    def __init__(self, *, suspicious: bool = False) -> None:
        self.suspicious = suspicious
        self.replays = 0
        self.blocked = 0
        self._runs: Runs
        self._path: list[Node] = []
        self._trial: Trial | None = None
        self._ahead: WeakSet[Ahead] = WeakSet()
        self._leaf = 0
        """The event from which on this search explores what it plans: 0, but for one in parts."""
        self._footprints: dict[tuple[int, ...], list[tuple[Access, set[int]]]] = {}

    def executions(self, runs: Runs) -> Iterator[Execution]:
        self._runs = runs
        self._path = [Node(0, NOTHING)]
        while True:
            execution = self._explore()
            self._reverse_races()
            yield execution
            if not self._backtrack():
                return

    def promise(self) -> str:
        return "every trace once: what was not found does not exist"

    def _explore(self) -> Execution:
        """Run the next planned branch, and from its end on freely, until nothing is left."""
        runs, path = self._runs, self._path
        order, limit = runs.order, runs.program.max_events
        leaf = _leaf(path[-1])
        ahead, leaf.ahead = leaf.ahead, None
        if ahead is not None and ahead.first <= len(order):
            if self._catch_up(ahead):
                return replace(ahead.execution, trace=runs.traces.trace())
            run = runs.open(order.deliveries)  # as if it had not run ahead, also in what touches nothing
        else:
            run, told = runs.open_at(order.mids)
            order.retell(told)
        core = run.core
        blocked = False
        # A root without children: the very first execution, also of a part that is given up and begun again.
        first = runs.program.first if len(path) == 1 and not path[0].children else None
        guide = first() if first is not None else None
        with fence(core.running):
            while core.count < limit and (core.pending or runs.go_on(run)):
                node = path[-1]
                planned = node.children[node.branch].mid if node.children else -1
                if planned < 0:
                    mid = guide.choose(core) if guide is not None else None
                    if mid is None:
                        mid = _first_awake(core.pending, node.sleepers)
                    if mid is None:
                        blocked = True
                        break
                else:
                    mid = planned if planned in core.pending else core.on_the_way_to(planned)
                access = runs.take(run, mid)
                if access is None:
                    if mid == planned:
                        raise Unrecorded(self._surprise(mid, core.current[1]))
                    continue
                if planned < 0:
                    node.children.append(Node(mid, access))
                elif mid != planned:
                    raise Unrecorded(
                        f"message {runs.names.text(planned)} does not exist where it was foreseen: some actor keeps"
                        " state that is in no recorded container"
                    )
                self._enter(node, access)
        self.blocked += blocked
        return runs.end(run, order.deliveries, length=len(order), trace=True, blocked=blocked)

    def _catch_up(self, ahead: Ahead) -> bool:
        """Enter an execution that has been run already; False if something sleeps where it goes its own way."""
        order, path = self._runs.order, self._path
        known = len(order) - ahead.first
        order.retell(ahead.past)
        for delivery in ahead.rest:
            if delivery.quiet:
                order.pass_over(delivery.mid, delivery.hard)
                continue
            if known:
                known -= 1
                order.tell_again()
                continue
            node = path[-1]
            if node.sleepers and not node.children:
                return False
            access = order.add(*delivery)
            if not node.children:
                node.children.append(Node(delivery.mid, access))
            self._enter(node, access)
        return True

    def _enter(self, node: Node, access: Access) -> None:
        """An event has happened: the path goes on from `node` to its child."""
        child = node.children[node.branch]
        if child.access is not access:
            if not child.access.same(access):
                order = self._runs.order
                raise Unrecorded(self._surprise(order.mids[-1], order.ranks[-1]))
            child.access = access
        asleep = node.asleep()
        if asleep:
            child.sleepers = [other for other in asleep if not other.access.clashes(access)]
        self._path.append(child)

    def _reverse_races(self) -> None:
        """Plan what this execution shows to be missing."""
        order, path = self._runs.order, self._path
        rests: dict[int, Rest] = {}
        for number, races in enumerate(order.races):
            if not races:
                continue
            for first in members(races):
                rest = rests.get(first)
                if rest is None:
                    rest = rests[first] = Rest(order, first)
                node = path[first]
                asleep = node.asleep()
                if asleep and (sleeper := rest.first_asleep(asleep)) >= 0:
                    if sleeper < number:
                        # So it will be in every execution that shares this one's events up to here.
                        order.races[number] ^= 1 << first
                    continue
                reversal = Reversal(rest, number, partial(self._reversed_access, first, number, rest.events))
                leaf = None
                if not any(reversal.covered_by(other) for other in asleep):
                    leaf = reversal.insert(node, node.branch + 1)
                if leaf is not None:
                    self._planned(first, rest, reversal)
                if self._trial is not None:
                    self._end_trial(leaf if reversal.straight and first >= self._leaf else None)

    def _planned(self, first: int, rest: Rest, reversal: Reversal) -> None:
        """A reversal that nothing covered was added below event number `first`. For searches in parts."""

    def _backtrack(self) -> bool:
        """Go on to the deepest branch that is planned, not above the leaf; False if there is none."""
        path = self._path
        while len(path) - 1 > self._leaf:
            path.pop()
            node = path[-1]
            node.children[node.branch].children = []
            node.branch += 1
            if node.branch < len(node.children):
                self._runs.shrink(len(path) - 1)
                return True
        return False

    def _end_trial(self, leaf: Node | None) -> None:
        """A replay has told what it had to tell. leaf: where it leads to, if that is to be explored."""
        trial, self._trial = self._trial, None
        assert trial is not None
        if leaf is not None and len(self._ahead) * len(self._path) < MOST_EVENTS_AHEAD:
            leaf.ahead = trial.finish()
            self._ahead.add(leaf.ahead)
        else:
            self.replays += 1
            trial.drop()

    def _surprise(self, mid: int, rank: int) -> str:
        runs = self._runs
        address = runs.open().core.name_of(rank)
        return (
            f"{address}: message {runs.names.text(mid)} touched something else than was foreseen:"
            " the actor keeps state that is in no recorded container, or a container forgets to note an access"
        )

    def _reversed_access(self, first: int, number: int, rest: int) -> Access:
        """What event `number` touches if it happens without `first`, after `rest`."""
        order = self._runs.order
        recorded = order.accesses[number]
        unseen = not recorded.saw(order.accesses[first])
        if unseen and not self.suspicious:
            return recorded
        # Nothing matters but what has happened at its actor.
        here = (rest | (1 << first) - 1) & order.places[order.ranks[number]]
        memo = order.memos[max(number, here.bit_length() - 1)]
        access: Access | None = memo.get((first, number, here))
        if access is None:
            access = memo[first, number, here] = self._access_after(first, number, rest, here)
            if unseen and not access.same(recorded):
                raise Unrecorded(self._surprise(order.mids[number], order.ranks[number]))
        return access

    def _access_after(self, first: int, number: int, rest: int, here: int) -> Access:
        """As `_reversed_access`; here: the events at that actor that come before it."""
        order, identities = self._runs.order, self._runs.traces.identities()
        mid = order.mids[number]
        known = self._footprints.setdefault((mid, *(identities[cause] for cause in members(order.hards[number]))), [])
        for access, pasts in known:
            # It does the same as in a place where all that it looks at had the same past.
            if self._past(access, here) in pasts:
                return access
        self._trial = Trial(self._runs, first)
        access = self._trial.play([*(order.mids[other] for other in members(rest)), mid])
        same = [pasts for other, pasts in known if other.same(access)]
        if not same:
            known.append((access, {self._past(access, here)}))
            return access
        if len(same[0]) >= MOST_PASTS:
            same[0].clear()
        same[0].add(self._past(access, here))
        return access

    def _past(self, access: Access, here: int) -> int:
        """The past of all that `access` touches: a hash of the events among `here` that matter to it."""
        accesses, identities = self._runs.order.accesses, self._runs.traces.identities()
        past = 0
        for number in members(here):
            if accesses[number].clashes(access):
                past ^= identities[number]
        return past


def _first_awake(pending: Iterable[int], sleepers: list[Node]) -> int | None:
    """The message that waits longest of those that need to be explored."""
    if not sleepers:
        return next(iter(pending))
    asleep = {node.mid for node in sleepers}
    return next((mid for mid in pending if mid not in asleep), None)


def _leaf(node: Node) -> Node:
    """The end of the branch that is explored next."""
    while node.children:
        node = node.children[node.branch]
    return node
