"""What the body of an explored test gets: a fresh world, to fill before it runs and to look at afterwards."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, Final, TypeVar, cast

from gupsim.actors.base import Actor, Port, handles
from gupsim.engine.errors import ForeignAwait
from gupsim.engine.fence import fence
from gupsim.engine.port import ActorPort
from gupsim.protocol.message import Message, Request, Tracepoint
from gupsim.search.core import Observer
from gupsim.search.world import ExploredWorld
from gupsim.testing.failure import BodyError
from gupsim.testing.watched import watch

A = TypeVar("A", bound=Actor)
R = TypeVar("R")

BODY: Final = "test"
"""Address of the client actor that the body of an ``async def`` test drives."""

_START: Final = object()
_QUIET: Final = object()
"""What a body yields to the harness rather than to the engine: run the world; go on when nothing is left to do."""


class Begin(Message, frozen=True):
    """Run the script."""


class Script(Actor):
    """A client that does what a coroutine function of the test says, with messages and time of its own.

    result: what the script returned, once it has.
    """

    def __init__(self, address: str, port: Port, script: Callable[[Script], Coroutine[Any, Any, Any]]) -> None:
        super().__init__(address, port)
        self.result: Any = None
        self._script = script

    @handles(Begin)
    async def begin(self, msg: Begin) -> None:
        self.result = await self._script(self)


class Stage:
    """A world of actors for one execution of a test.

    A plain body fills it, yields while everything happens, and looks at it then. A body that is ``async def`` fills
    it, then asks and sends as the client actor "test"; before it looks at an actor it awaits `settled`.

    explored: the world behind it, for what is not offered here.
    """

    def __init__(self, explored: ExploredWorld, *, watched: bool = True) -> None:
        self.explored = explored
        self.seed = explored.core.seed
        self.quiet = True
        self._watched = watched
        self._posts: list[tuple[str, Message, int, str]] = []
        self._body: _Body | None = None

    @property
    def now(self) -> int:
        """Virtual time in nanoseconds."""
        return self.explored.now

    def add(self, address: str, kind: Callable[..., A], *args: Any, **options: Any) -> A:
        """Create the actor ``kind(address, port, *args, **options)``."""
        actor = self.explored.add(address, kind, *args, **options)
        if self._watched:
            watch(actor)
        # An async body goes on while the world runs: what it saw of an actor then, no schedule would reproduce.
        return actor if self._body is None else cast(A, _Later(actor, self))

    def seal(self) -> None:
        """No more actors."""
        self.explored.seal()

    def post(self, dst: str, message: Message, at: int = 0, context: str = "") -> None:
        """A first message, from outside the world. context: in whose name, for reports and the order of arrival."""
        self._posts.append((dst, message, at, context))

    def start(self, address: str, script: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Script:
        """Add a client that runs ``script(client, *args)``: ``await client.ask("bank", Deposit(10))``.

        Scripts share nothing but messages: what one appends to a list of the test, nobody orders.
        """
        actor = self.explored.add(address, Script, lambda client: script(client, *args))
        self.post(address, Begin(), context=address)
        return actor

    def settle(self) -> None:
        """Let what was posted so far happen in one order, oldest first, as given for every execution: boot, mount.

        No more actors can be added then. After the end of an execution: see what the world does with a message.
        """
        self._flush()
        self.explored.settle()

    def on_tracepoint(self, reader: Callable[[ActorPort, Tracepoint], None]) -> None:
        """Pass every tracepoint to `reader`. It must not compare those of several actors: see `relate`."""
        self.explored.on_tracepoint(reader)

    def relate(self, observer: Observer) -> None:
        """Let the order of tracepoints count; see `ExploredWorld.relate`."""
        self.explored.relate(observer)

    async def ask(self, dst: str, message: Request[R]) -> R:
        """The test's client asks, and awaits the answer."""
        return await (await self._client()).ask(dst, message)

    async def ask_within(self, ns: int, dst: str, message: Request[R]) -> R:
        """As `ask`; raises AskTimeout if `ns` nanoseconds pass first."""
        return await (await self._client()).ask_within(ns, dst, message)

    async def ask_all(self, requests: Sequence[tuple[str, Request[R]]]) -> tuple[R, ...]:
        """The test's client asks several at once; all answers, in the order asked."""
        return await (await self._client()).ask_all(requests)

    async def send(self, dst: str, message: Message) -> None:
        """The test's client posts a message that nobody answers."""
        (await self._client()).send(dst, message)

    async def sleep(self, ns: int) -> None:
        """The test's client lets virtual time pass."""
        await (await self._client()).sleep(ns)

    async def settled(self) -> None:
        """Go on when nothing is left to happen; from then on the body may look at actors."""
        await self._client()
        await _give(_QUIET)

    async def _client(self) -> Actor:
        if self._body is None:
            raise BodyError("a test that is not `async def` has no client of its own: start(address, script) adds one")
        if self._body.actor is None:
            await _give(_START)
        if self.quiet:
            raise BodyError("after settled() a test only looks at what has happened")
        return cast(Actor, self._body.actor)

    # What follows is for the harness.

    def drive(self, body: Coroutine[Any, Any, None]) -> None:
        """Run an async body up to its first await."""
        self._body = driven = _Body(body, self)
        driven.fill()
        self.explored.add(BODY, Script, driven.run)
        self.post(BODY, Begin(), context=BODY)

    def ready(self) -> None:
        """The body has filled the world."""
        self._flush()
        self.quiet = False

    def ended(self) -> None:
        """Nothing is left to happen: let an async body look."""
        self.quiet = True
        if self._body is not None:
            self._body.look()

    def _flush(self) -> None:
        posts, self._posts = self._posts, []
        for dst, message, at, context in posts:
            self.explored.post(dst, message, at, context)


class _Body:
    """The coroutine of an async test: begun while its world is filled, gone on with inside it, ended after it."""

    def __init__(self, coro: Coroutine[Any, Any, None], stage: Stage) -> None:
        self.coro = coro
        self.stage = stage
        self.actor: Script | None = None
        self._parked = False

    def fill(self) -> None:
        try:
            with fence(lambda: BODY):
                given = self.coro.send(None)
        except StopIteration:
            raise BodyError("the test ended before anything happened: await something, as `world.settled()`") from None
        if given is not _START:
            raise ForeignAwait(f"the test awaited {given!r}; it awaits only what its world offers")

    @types.coroutine
    def run(self, actor: Script) -> Generator[Any, Any, None]:
        """Go on as a context of `actor`, until the body ends or awaits `settled`."""
        self.actor = actor
        step: Callable[[Any], Any] = self.coro.send
        value: Any = None
        while True:
            try:
                given = step(value)
            except StopIteration:
                return
            if given is _QUIET:
                self._parked = True
                return
            try:
                value = yield given
            except GeneratorExit:
                self.coro.close()
                raise
            except BaseException as error:  # noqa: BLE001 - the body's business
                step, value = self.coro.throw, error
            else:
                step = self.coro.send

    def look(self) -> None:
        if not self._parked:
            return
        try:
            given = self.coro.send(None)
        except StopIteration:
            return
        self.coro.close()
        raise BodyError(f"after settled() a test only looks at what has happened; it awaited {given!r}")


class _Later:
    """An actor of an async test, whose state may be looked at before the world runs and after it has settled."""

    __slots__ = ("_actor", "_stage")

    def __init__(self, actor: Actor, stage: Stage) -> None:
        object.__setattr__(self, "_actor", actor)
        object.__setattr__(self, "_stage", stage)

    def __getattribute__(self, name: str) -> Any:
        stage: Stage = object.__getattribute__(self, "_stage")
        actor: Actor = object.__getattribute__(self, "_actor")
        if not stage.quiet:
            raise BodyError(f"{actor.address}.{name}: before `await world.settled()` others may be at work there")
        return getattr(actor, name)

    def __setattr__(self, name: str, value: object) -> None:
        stage: Stage = object.__getattribute__(self, "_stage")
        actor: Actor = object.__getattribute__(self, "_actor")
        if not stage.quiet:
            raise BodyError(f"{actor.address}.{name}: the world runs already")
        setattr(actor, name, value)


@types.coroutine
def _give(what: object) -> Generator[object, None, None]:
    yield what
