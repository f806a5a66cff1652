"""Who holds or waits for a page: page locks and wait queues, made on demand and forgotten when idle."""

from __future__ import annotations

from collections.abc import Awaitable

from gupsim.actors.base import Actor, TicketLock, WaitQueue


class PageLocks:
    """PG_locked of every page. The holder is a context; another one may unlock (the end of I/O does)."""

    __slots__ = ("_actor", "_locks")

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._locks: dict[int, TicketLock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def lock(self, pfn: int) -> Awaitable[None]:
        """lock_page(): take a ticket now, await to hold it."""
        return self._of(pfn).acquire()

    def trylock(self, pfn: int) -> bool:
        """trylock_page()."""
        return self._of(pfn).try_acquire()

    def unlock(self, pfn: int, holder: str) -> None:
        """unlock_page(). holder: the context that locked it, or "" for the running one."""
        lock = self._of(pfn)
        lock.release(holder or None)
        if lock.idle:
            del self._locks[pfn]

    def _of(self, pfn: int) -> TicketLock:
        lock = self._locks.get(pfn)
        if lock is None:
            lock = self._locks[pfn] = TicketLock(self._actor, f"page lock {pfn}")
        return lock


class PageSleepers:
    """Contexts that wait for one condition of one page: the end of writeback, the last unpin.

    what: the condition, for reports, as "writeback of page".
    """

    __slots__ = ("_actor", "_queues", "_what")

    def __init__(self, actor: Actor, what: str) -> None:
        self._actor = actor
        self._what = what
        self._queues: dict[int, WaitQueue] = {}

    def sleep(self, pfn: int) -> Awaitable[None]:
        """Sleep until the next wake of this page."""
        queue = self._queues.get(pfn)
        if queue is None:
            queue = self._queues[pfn] = WaitQueue(self._actor, f"{self._what} {pfn}")
        return queue.sleep()

    def waiting(self, pfn: int) -> bool:
        """True if somebody sleeps. Not recorded: whoever sleeps has read the condition, which is recorded."""
        return pfn in self._queues

    def wake(self, pfn: int) -> None:
        """Wake everyone who sleeps on this page, if anybody does."""
        queue = self._queues.pop(pfn, None)
        if queue is not None:
            queue.wake_all()
