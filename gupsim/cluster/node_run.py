"""One run at one node: build its part, take up the journal, then window after window."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gupsim.cluster.dial import Dialler
from gupsim.cluster.errors import ClusterError, Divergence
from gupsim.cluster.journal import Heading, Journal
from gupsim.cluster.mesh import Mesh
from gupsim.cluster.outlet import Outlet
from gupsim.cluster.plan import NodePart, Plan, build_part, decode_plan
from gupsim.cluster.rounds import DONE, Rounds
from gupsim.cluster.security import Hello
from gupsim.engine.errors import EngineError
from gupsim.outcomes.evidence import decided_of
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import FrameError
from gupsim.protocol.message import Message
from gupsim.protocol.node import NODE_PROTOCOL, Begin, Ended, Failed, FrameCodec, NodeAt, Part

log: Final = logging.getLogger("gupsim.node")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Names become parts of file names here."""

BREATH: Final = 0.05
"""Seconds after which a node that waits for nothing lets others have the event loop."""


class NodeRun:
    """A run in which this process takes part.

    begin: from the coordinator. state: directory for journals. durable: as of `Journal`.
    build, types: what makes the world of a plan, and its messages; a benchmark has its own.
    """

    def __init__(
        self,
        begin: Begin,
        state: Path,
        dialler: Dialler,
        *,
        durable: bool = False,
        build: Callable[[Plan, int], NodePart] = build_part,
        types: Sequence[type[Message]] = ALL_MESSAGES,
    ) -> None:
        for name in (begin.run, *(at.name for at in begin.nodes)):
            if not _NAME.fullmatch(name):
                raise ClusterError(f"{name!r} is no name for a run or a node")
        self.begin = begin
        self.plan: Plan = decode_plan(begin.world)
        self.name = begin.nodes[begin.index].name
        self.digest = self.plan.digest()
        self.folder = state / begin.run
        self.outlet = Outlet(begin.have)
        self.rounds: Rounds | None = None
        self.replayed = 0
        self.ready = False
        self.phase = "starting"
        self.codec = FrameCodec(types)
        self._build = build
        self.mesh = Mesh(
            begin.index, begin.nodes, codec=self.codec, dialler=dialler, hello=self.hello, patience=begin.patience
        )
        self._durable = durable
        self._task: asyncio.Task[None] | None = None

    def hello(self, to: NodeAt) -> Hello:
        """What this node says of itself to a peer."""
        run = self.begin.run
        return Hello("peer", NODE_PROTOCOL, self.plan.software, self.name, to.name, run, self.digest)

    def start(self) -> None:
        """Begin to run, in a task."""
        self._task = asyncio.create_task(self._run())

    async def close(self, *, forget: bool = False) -> None:
        """Stop wherever it is. forget: the journal is not needed any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.mesh.close()
        if forget:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _run(self) -> None:
        try:
            await self._play()
        except ClusterError as error:
            self._failed(error.kind, str(error))
        except FrameError as error:
            self._failed("refused", str(error))
        except EngineError as error:
            self._failed("actor", f"{type(error).__name__}: {error}")
        except Exception as error:
            log.exception("%s: internal error", self.name)
            self._failed("internal", f"{type(error).__name__}: {error}")

    def _failed(self, kind: str, why: str) -> None:
        self.phase = "failed"
        log.error("%s: %s", self.name, why)
        self.outlet.finish(Failed(kind, why))

    async def _play(self) -> None:
        begin = self.begin
        part = self._build(self.plan, begin.index)
        world = part.world
        world.boot()
        world.start()
        rounds = self.rounds = Rounds(part.node, begin.lookahead, finish=world.finish, observe=world.observe)
        heading = Heading(begin.run, self.digest, begin.index, begin.lookahead)
        journal = Journal(self.folder / f"{self.name}.journal", heading, durable=self._durable)
        try:
            self.phase = "replaying"
            await self._replay(rounds, journal)
            self.mesh.begin(rounds.round - 1)
            self.phase, self.ready = "running", True
            await self._windows(rounds, journal)
            self.phase = "ended"
            log.info("%s: run %s ended after %d windows", self.name, begin.run, rounds.windows)
            node = rounds.world
            decided = tuple(sorted(decided_of(part.world.plan.rules)))
            self.outlet.finish(Ended(rounds.round, rounds.windows, node.events, node.now, rounds.chain, decided))
            node.close()
        finally:
            journal.close()

    async def _replay(self, rounds: Rounds, journal: Journal) -> None:
        """Take in again what the journal holds; our frames of the last rounds are kept for the peers."""
        if journal.torn:
            log.info("%s: dropped %d bytes of a record that was cut through", self.name, journal.torn)
        breath = time.monotonic()
        for taken in journal.replay():
            if taken.chain != rounds.chain:
                raise Divergence(
                    f"window {rounds.round} (from {rounds.start} ns) came out otherwise than before this node was"
                    f" restarted: an actor is not deterministic, or {journal.path} was changed. Start the run anew"
                )
            self.mesh.keep(rounds.round, rounds.frames())
            self._took(rounds.take({peer: (self.codec.decode(data), data) for peer, data in taken.frames.items()}))
            self.replayed += 1
            if time.monotonic() - breath > BREATH:
                await asyncio.sleep(0)
                breath = time.monotonic()
        if self.replayed:
            log.info("%s: replayed %d rounds", self.name, self.replayed)

    async def _windows(self, rounds: Rounds, journal: Journal) -> None:
        patience = self.begin.patience
        breath = time.monotonic()
        while rounds.phase != DONE:
            await self.mesh.broadcast(rounds.round, rounds.frames())
            frames = await self.mesh.gather(rounds.round)
            journal.append(rounds.round, rounds.chain, {peer: data for peer, (_, data) in frames.items()})
            self._took(rounds.take(frames))
            await self.outlet.room(patience)
            if time.monotonic() - breath > BREATH:
                await asyncio.sleep(0)
                breath = time.monotonic()
        # A peer may have been killed in the last round: the frames stay for it until the coordinator ends the run.

    def _took(self, played: Part) -> None:
        rounds = self.rounds
        assert rounds is not None
        self.outlet.put(played, rounds.world.events, self.mesh.waited)


RunFactory = Callable[[Begin], NodeRun]
