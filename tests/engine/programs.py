"""Small actors and worlds for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gupsim.actors.base import Actor, Port, handles
from gupsim.engine import Item, LinkSpeed, TimedWorld
from gupsim.protocol.message import Message, Request, Tracepoint

FIXED = (LinkSpeed("*", "*", base=10),)
"""Every message takes 10 ns."""


class Go(Message, frozen=True):
    """Begin."""


class Note(Message, frozen=True):
    """Something told."""

    number: int


class Question(Request["Answer"], frozen=True):
    """Something asked."""

    number: int


class Answer(Message, frozen=True):
    """Its answer."""

    number: int


class Told(Tracepoint, frozen=True, tag="test:told"):
    """Something reported."""

    number: int


MESSAGES = (Go, Note, Question, Answer)


class Script(Actor):
    """Does what `body` says when it is told to go, and keeps what it is told."""

    def __init__(self, address: str, port: Port, body: Callable[[Script], Any] | None = None) -> None:
        super().__init__(address, port)
        self.body = body
        self.notes: list[tuple[int, int]] = []
        self.result: Any = None

    @handles(Go)
    async def go(self, msg: Go) -> None:
        if self.body is not None:
            self.result = await self.body(self)

    @handles(Note)
    def note(self, msg: Note) -> None:
        self.notes.append((self.now, msg.number))


class Plain(Actor):
    """As Script, in a `def` handler."""

    def __init__(self, address: str, port: Port, body: Callable[[Plain], Any]) -> None:
        super().__init__(address, port)
        self.body = body

    @handles(Go)
    def go(self, msg: Go) -> Any:
        return self.body(self)


class Service(Actor):
    """Answers questions with what `reply` returns or awaits."""

    def __init__(self, address: str, port: Port, reply: Callable[[Service, int], Any]) -> None:
        super().__init__(address, port)
        self.reply = reply
        self.asked: list[int] = []

    @handles(Question)
    def question(self, msg: Question) -> Any:
        self.asked.append(msg.number)
        return self.reply(self, msg.number)


def echo(service: Service, number: int) -> Answer:
    """A reply: the same number."""
    return Answer(number)


def slow_echo(delay: int) -> Callable[[Service, int], Any]:
    """A reply: the same number, after `delay` ns."""

    async def reply(service: Service, number: int) -> Answer:
        await service.sleep(delay)
        return Answer(number)

    return reply


class Log:
    """What was delivered in a world: (time, destination, source, number of the source, message)."""

    def __init__(self, world: TimedWorld) -> None:
        self.lines: list[tuple[int, str, str, int, Any]] = []
        self._core = world.core
        world.on_delivery = self._add

    def _add(self, item: Item) -> None:
        name_of = self._core.name_of
        self.lines.append((item[0], name_of(item[1]), name_of(item[2]), item[3], item[4]))


class Points:
    """The tracepoints of a world: (address of the actor, tracepoint)."""

    def __init__(self, world: TimedWorld) -> None:
        self.seen: list[tuple[str, Tracepoint]] = []
        world.on_tracepoint(lambda port, point: self.seen.append((port.address, point)))

    def of(self, kind: type[Tracepoint]) -> list[Any]:
        """Those of one type."""
        return [point for _, point in self.seen if isinstance(point, kind)]


def play(body: Callable[[Script], Any], reply: Callable[[Service, int], Any] = echo, **options: Any) -> Script:
    """Run a script at h0/script beside a service at h0/service, with a latency of 10 ns, to the end."""
    world = TimedWorld(speeds=FIXED, **options)
    script = world.add("h0/script", Script, body)
    world.add("h0/service", Service, reply)
    world.post("h0/script", Go())
    assert world.run(limit=10_000)
    return script
