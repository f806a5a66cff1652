"""Fair locks with the kernel's names. The n-th to ask is the n-th to get it."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Awaitable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.actors.base.port import Cancelled, ContextDied
from gupsim.protocol.engine import LockContended, LockGranted, LockReleased

if TYPE_CHECKING:
    from gupsim.actors.base.actor import Actor


class TicketLock:
    """A sleeping lock, exclusive or shared, as mmap_lock, a page lock or a page-table lock.

    An acquire takes a ticket (writes `queue`); the grant is always a delivery of its own, also when the lock
    is free, so that a release commutes with a later request (granularity.md, rule c). Holders are contexts:
    what one kernel thread does through several actors is one holder.

    name: as the kernel calls it, with its object: "page lock 7".
    """

    __slots__ = ("_address", "_holders", "_port", "_queue", "_shared", "name")

    def __init__(self, actor: Actor, name: str) -> None:
        self._address = actor.address
        self._port = actor.port
        self.name = name
        self._holders: list[str] = []
        self._shared = False
        self._queue: deque[tuple[int, bool, str, bool]] = deque()

    @property
    def held(self) -> bool:
        """True if somebody holds it (a try-lock's look: reads queue and serving)."""
        self._note("queue", READ)
        self._note("serving", READ)
        return bool(self._holders)

    @property
    def idle(self) -> bool:
        """True if nobody holds it or waits for it; for owners that keep locks on demand. Not recorded."""
        return not self._holders and not self._queue

    def acquire(self, *, shared: bool = False) -> Awaitable[None]:
        """Take a ticket now; await the result to hold the lock."""
        port = self._port
        token = port.reserve()
        context = port.context
        self._note("queue", COMMUTE if shared else WRITE)
        contended = bool(self._queue) or not self._admits(shared)
        self._queue.append((token, shared, context, contended))
        if contended:
            port.waits(token, self.name)
            port.trace(LockContended(lock=self.name, waiter=context, holders=tuple(self._holders)))
        self._grant()
        return self._served(token)

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock only if nobody holds it or waits for it."""
        self._note("queue", READ)
        self._note("serving", READ)
        if self._queue or not self._admits(shared):
            return False
        self._note("queue", WRITE)
        self._shared = shared
        self._holders.append(self._port.context)
        self._port.lock_granted(-1, self.name, shared=shared)
        return True

    def release(self, context: str | None = None) -> None:
        """Give it back. context: the holder, if another context releases for it (end of I/O)."""
        holder = self._port.context if context is None else context
        if not self._holders:
            raise LockError(f"{self._address}: {self.name} released by {holder}, but nobody holds it")
        if holder not in self._holders:
            if self._shared:
                raise LockError(f"{self._address}: {self.name} released by {holder}, held by {self._holders}")
            holder = self._holders[0]
        self._holders.remove(holder)
        self._note("serving", COMMUTE)
        self._port.lock_released(self.name)
        if self._queue:
            self._port.trace(LockReleased(lock=self.name, holder=holder))
        self._grant()

    def shared(self) -> _Shared:
        """``async with lock.shared():`` holds it for reading."""
        return _Shared(self)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(kind)

    def leave(self, why: type[BaseException] | None) -> None:
        """End of an ``async with``: give the lock back, unless the context died.

        Who dies in BUG() holds its locks for ever: that is half of the damage of S01. The end of the world
        (GeneratorExit) leaves everything as it is, too.
        """
        if why is None or not issubclass(why, ContextDied | GeneratorExit):
            self.release()

    @types.coroutine
    def _served(self, token: int) -> Generator[int, Any, None]:
        try:
            yield token
        except Cancelled:
            self._withdraw(token)
            raise

    def _withdraw(self, token: int) -> None:
        """A cancelled context gives back its ticket, or the lock if its turn had come already."""
        self._note("queue", READ | WRITE)
        self._note("serving", READ)
        for ticket in self._queue:
            if ticket[0] == token:
                self._queue.remove(ticket)
                self._port.lock_released(self.name)
                self._port.trace(LockReleased(lock=self.name, holder=ticket[2]))
                self._grant()
                return
        self.release()

    def _admits(self, shared: bool) -> bool:
        return not self._holders or (shared and self._shared)

    def _grant(self) -> None:
        while self._queue and self._admits(self._queue[0][1]):
            token, shared, context, contended = self._queue.popleft()
            self._shared = shared
            self._holders.append(context)
            if contended:
                self._port.trace(LockGranted(lock=self.name, holder=context))
            self._port.lock_granted(token, self.name, shared=shared)

    def _note(self, field: str, mode: int) -> None:
        recorder = self._port.recorder
        if recorder.looking:
            recorder.note(self.name, field, mode)


class _Shared:
    """The reader's side of a lock as an async context manager."""

    __slots__ = ("_lock",)

    def __init__(self, lock: TicketLock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        await self._lock.acquire(shared=True)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.leave(kind)


class WaitQueue:
    """Contexts that sleep until something becomes true (wait_on_page_writeback, a gate of the script).

    The condition is tested by the caller before it sleeps, in the same event; `wake_all` is called in the
    event that makes it true. So no wake-up is lost and nobody spins.
    """

    __slots__ = ("_port", "_tokens", "name")

    def __init__(self, actor: Actor, name: str) -> None:
        self._port = actor.port
        self.name = name
        self._tokens: list[int] = []

    def sleep(self) -> Awaitable[None]:
        """Sleep until the next `wake_all`."""
        token = self._port.reserve()
        self._port.recorder.note(self.name, "sleepers", COMMUTE)
        self._port.waits(token, self.name)
        self._tokens.append(token)
        return self._woken(token)

    def wake_all(self) -> None:
        """Wake everyone who sleeps now."""
        # A wake of nobody only looks: two of them need no order.
        self._port.recorder.note(self.name, "sleepers", READ | WRITE if self._tokens else READ)
        tokens, self._tokens = self._tokens, []
        for token in tokens:
            self._port.wake(token)

    @types.coroutine
    def _woken(self, token: int) -> Generator[int, Any, None]:
        try:
            yield token
        except Cancelled:
            self._port.recorder.note(self.name, "sleepers", READ | WRITE)
            if token in self._tokens:
                self._tokens.remove(token)
            raise

    @property
    def empty(self) -> bool:
        """True if nobody sleeps here. Not recorded: for owners that keep queues on demand."""
        return not self._tokens


class LockError(RuntimeError):
    """A lock was released by someone who does not hold it: a bug of the actor program."""
