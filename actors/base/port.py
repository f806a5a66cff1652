"""The seam between an actor and the driver that runs it: timed, explored or clustered."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator, Sequence
from random import Random
from typing import Any, Final, Protocol

from gupsim.actors.base.footprint import Recorder
from gupsim.protocol.message import Message, Tracepoint


class Port(Protocol):
    """What the engine gives one actor. An actor cannot tell which driver stands behind it."""

    recorder: Recorder

    @property
    def now(self) -> int:
        """Virtual time in nanoseconds."""

    @property
    def context(self) -> str:
        """Name of the kernel context (thread, interrupt, device queue) that runs now."""

    @property
    def random(self) -> Random:
        """This actor's own seeded stream."""

    def send(self, dst: str, message: Message, after: int | None = None, context: str = "") -> None:
        """Post a message; nobody waits. after: transit time in ns instead of the link's own."""

    def request(self, dst: str, message: Message, timeout: int | None = None) -> int:
        """Post a request on behalf of the running context; returns the token of its answer."""

    def join(self, requests: Sequence[tuple[str, Message]]) -> int:
        """Post several requests; the token is answered once, with all answers in the order asked."""

    def reserve(self) -> int:
        """A token that `wake` will answer later."""

    def wake(self, token: int, value: object = None, after: int = 0) -> None:
        """Deliver `value` to whoever waits for `token`, `after` ns from now."""

    def start(self, coro: Coroutine[Any, Any, Any], context: str = "") -> TaskHandle:
        """Run a coroutine of this actor in a kernel context of its own, up to its first wait now."""

    def waits(self, token: int, reason: str) -> None:
        """Say for reports what the owner of `token` is about to wait for."""

    def lock_granted(self, token: int, lock: str, *, shared: bool) -> None:
        """Deliver `lock` to the owner of ticket `token`; -1 if a try-lock took it and nobody waits.

        A driver that reorders events learns here and from `lock_released` which events a grant must follow."""

    def lock_released(self, lock: str) -> None:
        """The running event gave back `lock`, or its ticket for it."""

    def trace(self, tracepoint: Tracepoint) -> None:
        """Report a tracepoint."""


class TaskHandle(Protocol):
    """A context started with `Port.start`."""

    @property
    def done(self) -> bool:
        """True once it has returned, died or been cancelled."""

    def cancel(self) -> None:
        """Raise Cancelled at the point where it waits."""


class ContextEnd(BaseException):
    """Ends the running context only. BaseException, so that no `except Exception` holds it up."""


class Cancelled(ContextEnd):
    """The context was cancelled while it waited."""


class ContextDied(ContextEnd):
    """The context ran into a BUG(): it ends at once, keeps every lock that it holds and answers nobody."""


class AskTimeout(Exception):
    """No answer within the time allowed."""


class _TimedOut:
    __slots__ = ()

    def __repr__(self) -> str:
        return "TIMED_OUT"


TIMED_OUT: Final = _TimedOut()


@types.coroutine
def wait(token: int) -> Generator[int, Any, Any]:
    """Suspend the running handler until `token` is answered; the only thing an actor ever awaits."""
    return (yield token)


async def wait_or_time_out(token: int, asked: str, within: int) -> Any:
    """As `wait`, for a request with a time-out. asked: of whom; within: how long (ns), for the error."""
    value = await wait(token)
    if value is TIMED_OUT:
        raise AskTimeout(f"no answer of {asked} within {within} ns")
    return value
