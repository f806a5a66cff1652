"""The process behind `gupsim cluster run`: starts and watches nodes, merges their records, judges the history."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import aiohttp

from gupsim.cluster.children import Child, said
from gupsim.cluster.dial import Dialler, Unreachable, pause
from gupsim.cluster.errors import ClusterError, Divergence, JournalError, NodeFailed, PeerLost
from gupsim.cluster.judge import ClusterOutcome, Judge
from gupsim.cluster.merge import Merge
from gupsim.cluster.plan import NodePart, build_part
from gupsim.cluster.run_dir import RunDir, RunFile
from gupsim.cluster.security import Credentials, Hello
from gupsim.protocol.codec import FrameError
from gupsim.protocol.node import (
    NODE_PROTOCOL,
    Begin,
    Ended,
    Failed,
    Keep,
    NodeAt,
    Records,
    Stop,
    decode_control,
    encode,
)

log: Final = logging.getLogger("gupsim.cluster")


class NodeView:
    """What the coordinator knows of one node. events, waited: so far; restarts: of its process; gone: since when it is
    not connected (monotonic seconds), 0 while it is."""

    def __init__(self, index: int, at: NodeAt, child: Child | None) -> None:
        self.index = index
        self.at = at
        self.child = child
        self.ws: Any = None
        self.events = 0
        self.waited = 0.0
        self.upto = -1
        self.restarts = 0
        self.reconnects = 0
        self.gone = time.monotonic()
        self.ended: Ended | None = None
        self.trouble = "has not been reached yet"


class Coordinator:
    """One run, from the first connection to the verdict, or from where it stood when it was interrupted.

    folder: with run.json in it. credentials: of this process. progress: called now and then.
    part: the names in the world, if it is not the plan's scenario.
    """

    def __init__(
        self,
        folder: RunDir,
        file: RunFile,
        credentials: Credentials,
        progress: Callable[[Coordinator], None] | None = None,
        *,
        part: NodePart | None = None,
    ) -> None:
        self.folder = folder
        self.file = file
        self.plan = file.plan
        self.nodes: list[NodeView] = []
        self.restarts = 0
        self.began = time.monotonic()
        self.part = part or build_part(self.plan, -1)
        self.judge = Judge()
        self.merge = Merge(self.part.header, len(self.plan.placement.nodes))
        self.merge.readers.append(self.judge.feed)
        self._dialler = Dialler(credentials)
        self._digest = self.plan.digest()
        self._progress = progress
        self._arrived = asyncio.Event()

    async def run(self) -> ClusterOutcome:
        """Until the end of the run. ClusterError if it cannot go on; what is there stays for `resume`."""
        await self._dialler.open()
        try:
            self.folder.resume(self.merge)
            await self._start_nodes()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._serve(view)) for view in self.nodes]
                tasks.append(group.create_task(self._report()))
                outcome = await self._merge()
                for task in tasks:
                    task.cancel()
            await self._dismiss(forget=True)
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from None
        else:
            return outcome
        finally:
            await self._dismiss(forget=False)
            await asyncio.gather(*(view.child.stop() for view in self.nodes if view.child is not None))
            await self._dialler.close()
            self.merge.close()
            self.folder.close()

    def critical(self) -> NodeView:
        """The node that the others wait for most: it waited least itself."""
        return min(self.nodes, key=lambda view: (view.upto, view.waited, view.index))

    async def _start_nodes(self) -> None:
        file = self.file
        names = self.plan.placement.nodes
        if file.nodes:
            self.nodes = [NodeView(index, at, None) for index, at in enumerate(file.at())]
            return
        state = self.folder.nodes
        children = [Child(name, state, self.folder.secret, durable=file.durable) for name in names]
        try:
            await asyncio.gather(*(child.start() for child in children))
        finally:
            self.nodes = [NodeView(index, NodeAt(child.name, child.url), child) for index, child in enumerate(children)]

    def _begin(self, view: NodeView) -> Begin:
        file = self.file
        nodes = tuple(other.at for other in self.nodes)
        return Begin(file.run, view.index, nodes, self.plan.encode(), file.lookahead, self.merge.round, file.patience)

    async def _serve(self, view: NodeView) -> None:
        """Keep one node in the run, whatever happens to it and to the connection, within the limits."""
        attempt = 0
        while True:
            await self._revive(view)
            hello = Hello(
                "coordinator", NODE_PROTOCOL, self.plan.software, "", view.at.name, self.file.run, self._digest
            )
            try:
                ws, _ = await self._dialler.dial(view.at.url, "/control", hello)
                await ws.send_bytes(encode(self._begin(view)))
                view.ws, view.gone = ws, 0.0
                attempt = 0
                if view.reconnects:
                    log.warning("node %s is back", view.at.name)
                view.reconnects += 1
                await self._listen(view, ws)
                view.trouble = "closed the connection"
            except Unreachable as error:
                view.trouble = f"does not answer ({error})"
            except (FrameError, ConnectionError, aiohttp.ClientError, RuntimeError) as error:
                view.trouble = f"broke the connection ({error})"
            if view.ws is not None and not self._over():
                log.warning("node %s %s: waiting %g s for it", view.at.name, view.trouble, self.file.patience)
            view.ws = None
            view.gone = view.gone or time.monotonic()
            if time.monotonic() - view.gone > self.file.patience:
                raise PeerLost(
                    f"node {view.at.name} at {view.at.url} {view.trouble} and has not come back within"
                    f" {self.file.patience:g} s: start it again with its state directory, then"
                    f" 'gupsim cluster resume {self.folder.path}'"
                )
            await pause(attempt)
            attempt += 1

    def _over(self) -> bool:
        return all(view.ended is not None for view in self.nodes)

    async def _revive(self, view: NodeView) -> None:
        child = view.child
        if child is None or not child.ended:
            return
        if view.restarts >= self.file.restarts:
            raise NodeFailed(
                f"node {view.at.name} {said(child)} and was restarted {view.restarts} times before; its log is"
                f" {self.folder.nodes / (view.at.name + '.log')}. 'gupsim cluster resume {self.folder.path}' goes on"
            )
        view.restarts += 1
        self.restarts += 1
        log.warning("node %s %s: starting it again", view.at.name, said(child))
        await child.start()

    async def _listen(self, view: NodeView, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise FrameError("a message that is not binary")
            said = decode_control(message.data)
            if isinstance(said, Records):
                self.merge.add(view.index, said.upto, said.parts)
                view.upto = max(view.upto, said.upto)
                view.events = max(view.events, said.events)
                view.waited = said.waited
                self._arrived.set()
            elif isinstance(said, Ended):
                view.ended = said
                view.events = said.events
                self._arrived.set()
            elif isinstance(said, Failed):
                raise _failure(view, said, self.folder)
            else:
                raise FrameError(f"{type(said).__name__} is not for a coordinator")

    async def _merge(self) -> ClusterOutcome:
        """Write down what is complete and tell the nodes; until all of them have ended."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            before = self.merge.round
            try:
                upto = self.merge.advance()
                if upto > before:
                    self.folder.note(self.merge)
            except OSError as error:
                raise self._full(error) from None
            if upto > before:
                for view in self.nodes:
                    await _say(view.ws, Keep(upto))
            ends = [view.ended for view in self.nodes if view.ended is not None]
            if len(ends) == len(self.nodes) and upto >= ends[0].rounds - 1:
                return self._end(ends)

    def _end(self, ends: list[Ended]) -> ClusterOutcome:
        if len({end.rounds for end in ends}) > 1:
            raise Divergence("the nodes do not agree how many rounds there were")
        time_ns = max(end.time for end in ends)
        merge = self.merge
        if merge.deliveries != sum(end.events for end in ends):
            raise Divergence(
                f"the nodes count {sum(end.events for end in ends)} deliveries, the trace holds {merge.deliveries}"
            )
        try:
            decided = frozenset(rule for end in ends for rule in end.decided)
            digest = merge.end(time_ns, decided)
        except OSError as error:
            raise self._full(error) from None
        placement = self.plan.placement
        return ClusterOutcome(
            outcome=self.judge.outcome(merge.header, merge.deliveries, time_ns, digest, decided),
            nodes=placement.nodes,
            windows=ends[0].windows,
            restarts=self.restarts,
            events_per_node={view.at.name: view.events for view in self.nodes},
            lookahead=self.file.lookahead,
            seconds=time.monotonic() - self.began,
            waited={view.at.name: round(view.waited, 3) for view in self.nodes},
            trace=str(self.folder.trace),
        )

    def _full(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self.folder.trace} cannot be written: {error.strerror}: make room, then 'gupsim cluster resume"
            f" {self.folder.path}'"
        )

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            if self._progress is not None:
                self._progress(self)

    async def _dismiss(self, *, forget: bool) -> None:
        """Let the nodes go. forget: they need their journals no more."""
        for view in self.nodes:
            ws, view.ws = view.ws, None
            if ws is None:
                continue
            if forget:
                await _say(ws, Stop(True))
            try:
                async with asyncio.timeout(2):
                    await ws.close()
            except (TimeoutError, aiohttp.ClientError, ConnectionError, RuntimeError):
                continue


async def _say(ws: Any, message: Keep | Stop) -> None:
    if ws is None:
        return
    try:
        await ws.send_bytes(encode(message))
    except (ConnectionError, aiohttp.ClientError, RuntimeError):
        return  # whoever serves the node notices, too


def _failure(view: NodeView, said: Failed, folder: RunDir) -> ClusterError:
    kinds: dict[str, type[ClusterError]] = {"journal": JournalError, "divergence": Divergence, "peer": PeerLost}
    remedy = f"; make room, then 'gupsim cluster resume {folder.path}'" if said.kind == "journal" else ""
    return kinds.get(said.kind, NodeFailed)(f"node {view.at.name}: {said.why}{remedy}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that says most: a group of tasks fails with all that went wrong at once."""
    found = list(_flat(group))
    return next((error for error in found if isinstance(error, ClusterError)), found[0])


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error
