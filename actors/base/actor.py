"""The base class of every subsystem."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, ClassVar, TypeVar

from gupsim.actors.base.footprint import Recorder
from gupsim.actors.base.port import Port, TaskHandle, wait, wait_or_time_out
from gupsim.protocol.address import host_of
from gupsim.protocol.message import Message, Request, Tracepoint

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


def handles(kind: type[Message]) -> Callable[[F], F]:
    """Mark a method as the handler of one message class. It may be `def` or `async def`."""

    def mark(method: F) -> F:
        method.__handles__ = kind  # type: ignore[attr-defined]
        return method

    return mark


class Actor:
    """Owns its state alone and handles one message at a time, from one `await` to the next.

    A handler gets the message and returns the answer (None for a message that nobody waits for). While it
    awaits, other messages are taken: what must not interleave is protected by locks, as in the kernel.

    address: where it is reached, as "h0/mm".
    port: what the driver gives it; see `gupsim.actors.base.port.Port`.
    """

    handlers: ClassVar[dict[type[Message], str]] = {}
    """Name of the method that handles each message class."""
    methods: ClassVar[dict[type[Message], Callable[[Any, Any], Any]]] = {}
    """The same as functions, which a driver calls with the actor and the message."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        table: dict[type[Message], str] = {}
        for base in reversed(cls.__mro__):
            for name, member in vars(base).items():
                kind = getattr(member, "__handles__", None)
                if kind is None:
                    continue
                if table.get(kind, name) != name:
                    raise TypeError(f"{cls.__name__} handles {kind.__name__} twice: {table[kind]} and {name}")
                table[kind] = name
        cls.handlers = table
        cls.methods = {kind: getattr(cls, name) for kind, name in table.items()}

    def __init__(self, address: str, port: Port) -> None:
        self.address = address
        self.host = host_of(address)
        self.port = port
        # Bound once: one call instead of two on the hottest path of the engine.
        self.send = port.send
        self.trace: Callable[[Tracepoint], None] = port.trace

    @property
    def recorder(self) -> Recorder:
        """Where the state containers record footprints."""
        return self.port.recorder

    @property
    def now(self) -> int:
        """Virtual time in nanoseconds."""
        return self.port.now

    @property
    def random(self) -> Random:
        """This actor's seeded stream; the only randomness that an actor may use."""
        return self.port.random

    def ask(self, dst: str, message: Request[R]) -> Coroutine[Any, Any, R]:
        """Send a request on behalf of the running context; await the answer."""
        return wait(self.port.request(dst, message))

    def ask_within(self, ns: int, dst: str, message: Request[R]) -> Coroutine[Any, Any, R]:
        """As `ask`; raises AskTimeout if `ns` nanoseconds pass first."""
        return wait_or_time_out(self.port.request(dst, message, ns), dst, ns)

    def ask_all(self, requests: Sequence[tuple[str, Request[R]]]) -> Coroutine[Any, Any, tuple[R, ...]]:
        """Send several requests at once; one resume with all answers, in the order asked."""
        return wait(self.port.join(requests))

    def sleep(self, ns: int) -> Coroutine[Any, Any, None]:
        """Let `ns` nanoseconds of virtual time pass: the cost of work, or a timer."""
        token = self.port.reserve()
        self.port.wake(token, None, ns)
        return wait(token)

    def start(self, coro: Coroutine[Any, Any, Any], context: str = "") -> TaskHandle:
        """Run `coro` in a kernel context of its own (a kernel thread, an interrupt)."""
        return self.port.start(coro, context)
