"""What an actor program can do wrong, and what it is told then."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator
from typing import Any

import pytest

from gupsim.actors.base import Actor, handles
from gupsim.engine import (
    ActorFailed,
    BadAnswer,
    EngineError,
    ForeignAwait,
    NoHandler,
    NoSuchActor,
    TimedWorld,
)
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import Codec
from gupsim.protocol.message import DONE, Message
from tests.engine.programs import (
    MESSAGES,
    Answer,
    Go,
    Note,
    Plain,
    Question,
    Script,
    Service,
    play,
)


def start(kind: type[Plain | Script], body: Callable[[Any], Any], **options: Any) -> None:
    """Run one actor at h0/script."""
    world = TimedWorld(**options)
    world.add("h0/script", kind, body)
    world.post("h0/script", Go())
    world.run()


def test_a_first_message_to_nobody_is_refused() -> None:
    with pytest.raises(NoSuchActor, match="first message Go to h0/nobody"):
        TimedWorld().post("h0/nobody", Go())


def test_a_message_to_nobody_is_refused_and_names_both_ends() -> None:
    with pytest.raises(NoSuchActor, match="h0/script sends Note to h0/nobody, where no actor lives"):
        start(Plain, lambda actor: actor.send("h0/nobody", Note(1)))


def test_a_delayed_message_to_nobody_is_refused() -> None:
    with pytest.raises(NoSuchActor, match="h0/nobody"):
        start(Plain, lambda actor: actor.send("h0/nobody", Note(1), 5))


def test_a_question_to_nobody_is_refused() -> None:
    async def body(actor: Script) -> None:
        await actor.ask("h0/nobody", Question(1))

    with pytest.raises(NoSuchActor, match="h0/script sends Question to h0/nobody"):
        start(Script, body)


def test_a_message_that_its_actor_does_not_handle_is_refused() -> None:
    with pytest.raises(NoHandler, match="h0/script does not handle Note"):
        start(Plain, lambda actor: actor.send("h0/script", Note(1)))


@pytest.mark.parametrize("answer", [None, 7, "yes", (), Answer])
def test_an_answer_that_is_no_message_is_refused(answer: object) -> None:
    async def body(actor: Script) -> None:
        await actor.ask("h0/service", Question(1))

    with pytest.raises(BadAnswer, match=re.escape(f"h0/service answers Question with {answer!r}")):
        play(body, lambda service, number: answer)


def test_an_async_answer_that_is_no_message_is_refused() -> None:
    async def reply(service: Service, number: int) -> None:
        await service.sleep(1)

    async def body(actor: Script) -> None:
        await actor.ask("h0/service", Question(1))

    with pytest.raises(BadAnswer, match="h0/service answers Question with None"):
        play(body, reply)


def test_an_exception_in_a_def_handler_names_actor_handler_and_cause() -> None:
    with pytest.raises(ActorFailed, match=r"h0/script: Plain\.go raised ZeroDivisionError: integer division") as caught:
        start(Plain, lambda actor: 1 // 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_exception_in_an_async_handler_names_actor_handler_and_cause() -> None:
    async def body(actor: Script) -> None:
        raise LookupError("no such page")

    with pytest.raises(ActorFailed, match=r"h0/script: Script\.go raised LookupError: no such page") as caught:
        start(Script, body)
    assert isinstance(caught.value.__cause__, LookupError)


def test_an_exception_after_a_wait_names_actor_handler_and_cause() -> None:
    async def body(actor: Script) -> None:
        await actor.sleep(1)
        raise LookupError("no such page")

    with pytest.raises(ActorFailed, match=r"h0/script: Script\.go raised LookupError: no such page"):
        start(Script, body)


def test_an_exception_in_a_started_context_names_what_was_started() -> None:
    async def worker() -> None:
        raise LookupError("no such page")

    with pytest.raises(ActorFailed, match=r"h0/script: .*worker raised LookupError"):
        start(Plain, lambda actor: actor.start(worker()) and None)


def test_a_key_error_in_a_handler_is_not_taken_for_a_missing_handler() -> None:
    with pytest.raises(ActorFailed, match="KeyError"):
        start(Plain, lambda actor: {}[7])


def test_after_an_exception_the_clock_stands_where_it_happened() -> None:
    world = TimedWorld()
    world.add("h0/script", Plain, lambda actor: 1 // 0)
    world.post("h0/script", Go(), at=70)
    with pytest.raises(ActorFailed):
        world.run()
    assert world.now == 70


class _Foreign:
    def __await__(self) -> Generator[object, None, None]:
        yield "something"


@pytest.mark.parametrize(
    ("what", "named"),
    [
        (lambda: asyncio.Future(loop=asyncio.new_event_loop()), "Future"),
        (_Foreign, "'something'"),
    ],
)
@pytest.mark.parametrize("before", [0, 1])
def test_awaiting_what_is_not_the_engines_is_refused(what: Callable[[], Any], named: str, before: int) -> None:
    thing = what()

    async def body(actor: Script) -> None:
        for _ in range(before):
            await actor.sleep(1)
        await thing

    with pytest.raises(ForeignAwait, match=rf"h0/script: Script\.go awaited .*{named}.* an actor awaits only its own"):
        start(Script, body)
    if isinstance(thing, asyncio.Future):
        thing.get_loop().close()


def test_an_exception_of_the_engine_reaches_the_caller_as_it_is_through_nested_contexts() -> None:
    async def worker(actor: Script) -> None:
        actor.send("h0/nobody", Note(1))

    async def body(actor: Script) -> None:
        actor.start(worker(actor))

    with pytest.raises(NoSuchActor):
        start(Script, body)


def test_an_actor_may_catch_what_its_own_code_raises() -> None:
    async def body(actor: Script) -> str:
        try:
            await actor.sleep(1)
            {}["page"]
        except KeyError:
            return "caught"

    assert play(body).result == "caught"


def test_two_handlers_for_one_message_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="handles Note twice: one and two"):

        class Twice(Actor):
            @handles(Note)
            def one(self, msg: Note) -> None: ...

            @handles(Note)
            def two(self, msg: Note) -> None: ...


def test_a_subclass_may_replace_a_handler() -> None:
    class Louder(Script):
        @handles(Note)
        def note(self, msg: Note) -> None:
            self.notes.append((self.now, 10 * msg.number))

    world = TimedWorld()
    louder = world.add("h0/script", Louder)
    world.post("h0/script", Note(7))
    world.run()
    assert louder.notes == [(0, 70)]


def test_a_message_outside_the_catalog_cannot_cross_a_wire() -> None:
    class Unknown(Message, frozen=True):
        pass

    with pytest.raises(EngineError, match=r"h0/script: Plain\.go raised FrameError"):
        start(Plain, lambda actor: actor.send("h0/script", Unknown()), codec=Codec(MESSAGES))


def test_a_message_with_a_field_of_a_wrong_type_cannot_cross_a_wire() -> None:
    with pytest.raises(ActorFailed, match="FrameError"):
        start(Plain, lambda actor: actor.send("h0/script", Note("seven")), codec=Codec(MESSAGES))  # type: ignore[arg-type]


def test_a_message_over_the_frame_limit_cannot_cross_a_wire() -> None:
    with pytest.raises(ActorFailed, match="at most 3 are allowed"):
        start(Plain, lambda actor: actor.send("h0/script", Note(7)), codec=Codec(MESSAGES, max_frame=3))


def test_what_crosses_a_wire_is_a_copy() -> None:
    sent = Note(7)
    got: list[Note] = []

    class Keeper(Plain):
        @handles(Note)
        def keep(self, msg: Note) -> None:
            got.append(msg)

    world = TimedWorld(codec=Codec((*ALL_MESSAGES, *MESSAGES)))
    world.add("h0/script", Keeper, lambda actor: actor.send("h0/script", sent))
    world.post("h0/script", Go())
    world.run()
    assert got == [sent]
    assert got[0] is not sent


def test_done_is_an_answer() -> None:
    async def body(actor: Script) -> object:
        return await actor.ask("h0/service", Question(1))

    assert play(body, lambda service, number: DONE).result == DONE
