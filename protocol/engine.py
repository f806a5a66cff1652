"""Tracepoints of the engine itself: contended locks and contexts that nothing will ever wake."""

from __future__ import annotations

from gupsim.protocol.message import Tracepoint


class LockContended(Tracepoint, frozen=True, tag="lock:contended"):
    """`waiter` queued for `lock`, which `holders` hold."""

    lock: str
    waiter: str
    holders: tuple[str, ...]

    def say(self) -> str:
        return f"{self.waiter} waits for {self.lock}, held by {', '.join(self.holders) or 'those queued before'}"


class LockGranted(Tracepoint, frozen=True, tag="lock:granted"):
    """A contended lock went to `holder`."""

    lock: str
    holder: str

    def say(self) -> str:
        return f"{self.lock} granted to {self.holder}"


class LockReleased(Tracepoint, frozen=True, tag="lock:released"):
    """`holder` gave back a lock for which others wait."""

    lock: str
    holder: str

    def say(self) -> str:
        return f"{self.holder} released {self.lock}"


class Stuck(Tracepoint, frozen=True, tag="engine:stuck"):
    """Nothing is left to happen, and `context` still waits, since `since` (ns), in `handler` for `awaits`."""

    context: str
    handler: str
    awaits: str
    since: int

    def say(self) -> str:
        return f"{self.context} waits for ever in {self.handler} for {self.awaits}"


class ContextLost(Tracepoint, frozen=True, tag="engine:context_lost"):
    """A context ended in a BUG() inside `handler`; what it held stays held."""

    context: str
    handler: str

    def say(self) -> str:
        return f"{self.context} died in {self.handler}; it keeps every lock that it holds"


TRACEPOINTS: tuple[type[Tracepoint], ...] = (LockContended, LockGranted, LockReleased, Stuck, ContextLost)
