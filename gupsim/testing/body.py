"""A test's body as a program for the search."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Generator
from typing import Any, Final

import msgspec

from gupsim.engine.errors import ActorFailed
from gupsim.search.core import ExploredCore
from gupsim.search.execution import Finding, Violation
from gupsim.search.program import Program
from gupsim.search.world import ExploredWorld
from gupsim.testing.failure import BodyError
from gupsim.testing.settings import Settings
from gupsim.testing.stage import Stage

Body = Callable[[Stage], Any]
"""Fills a stage: plain, with one `yield` while everything happens, or async."""

ASSERTION: Final = "assertion"
_END: Final = object()


class Played(msgspec.Struct):
    """What `build` of the program passes on. error: the exception of the body itself, for pytest to show."""

    stage: Stage
    rest: Generator[Any, Any, None] | None = None
    error: BaseException | None = None


def program_of(body: Body, settings: Settings, forgotten: list[str]) -> Program[Played]:
    """The program whose executions are those of the test. forgotten: where `unawaited` collects."""

    def build(world: ExploredWorld) -> Played:
        forgotten.clear()
        stage = Stage(world, watched=settings.watched)
        played = Played(stage)
        if inspect.iscoroutinefunction(body):
            stage.drive(body(stage))
        else:
            played.rest = _filled(body(stage))
        stage.ready()
        return played

    def check(world: ExploredWorld, played: Played) -> list[Violation]:
        core = world.core
        found: list[Violation] = [Finding("never-awaited", why) for why in dict.fromkeys(forgotten)]
        found += _unclaimed(core)
        if core.failures:
            played.error = _cause_in_body(core.failures[0])
            return found
        try:
            _look(played)
        except BodyError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails with it
            played.error = error
            found.insert(0, Finding(ASSERTION, _said(error)))
        return found

    return Program(build, check, seed=settings.seed, max_events=settings.max_events, deadlocks=not settings.waiting)


def _filled(rest: Any) -> Generator[Any, Any, None] | None:
    """Run a plain body up to its `yield`; without one, all it has to say is what the harness itself finds."""
    if isinstance(rest, Generator):
        if next(rest, _END) is _END:
            raise BodyError("the test ended before its `yield`, so before anything happened")
        return rest
    return None


def _look(played: Played) -> None:
    """What the body says after everything has happened."""
    played.stage.ended()
    if played.rest is not None and next(played.rest, _END) is not _END:
        raise BodyError("the test yields twice: everything happens at the first `yield`")


def kind_of(violations: tuple[Violation, ...]) -> str:
    """What a violation is about, to tell whether another execution shows the same one."""
    first = violations[0]
    return f"{first.kind}: {first.message}" if first.kind == "actor-failed" else first.kind


def _unclaimed(core: ExploredCore) -> list[Violation]:
    """Answers that came and that nobody awaited."""
    found: list[Violation] = []
    for port in core.ports:
        for token, value in sorted(port.early.items()):
            what = "a sleep, a lock or a wake-up" if value is None else f"the answer {value!r}"
            name = core.names.text(token)
            found.append(Finding("never-awaited", f"{port.address}: {what} was never awaited (message {name})"))
    return found


def _cause_in_body(failed: ActorFailed) -> BaseException:
    """What the handler raised. Asserts of an async test fail in an actor like any other."""
    return failed.__cause__ if failed.__cause__ is not None else failed


def _said(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames and frames[-1].line else ""
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}{': ' + text if text else ''}{where}"


def with_fixtures(body: Callable[..., Any], args: tuple[Any, ...], fixtures: dict[str, Any]) -> Body:
    """The test function as a body: its fixtures filled in. What kind of function it is stays as it was."""
    if inspect.iscoroutinefunction(body):

        async def run_async(world: Stage) -> None:
            await body(*args, world=world, **fixtures)

        return run_async

    def run(world: Stage) -> Any:
        return body(*args, world=world, **fixtures)

    return run
