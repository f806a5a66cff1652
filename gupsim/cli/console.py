"""Where output goes: results to standard output, all else to standard error; and how a command fails."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

OK: Final = 0
VIOLATION: Final = 1
BAD_INPUT: Final = 2
UNDECIDED: Final = 3
"""Something ended before the answer was known: a limit of a search, a trace that is cut off."""
INTERNAL: Final = 70
"""EX_SOFTWARE of sysexits.h."""
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""128 + SIGPIPE, as a shell reports a program that the signal ends."""

PLAIN_WIDTH: Final = 100
"""Columns where there is no terminal to ask."""


class BadInput(Exception):
    """Something that the user gave is wrong: one line to standard error, exit status 2."""


class OutputFailed(BaseException):
    """Standard output cannot be written, as on a full disk. As PipeClosed, no failure of the engine."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror or error}")


class PipeClosed(BaseException):
    """Whoever read our output has gone: `gupsim ... | head`. No `except Exception` on the way must take it for its own
    failure: slow motion prints from within the engine."""


@contextmanager
def output() -> Iterator[None]:
    """What goes wrong with standard output while the block writes to it is PipeClosed or OutputFailed."""
    try:
        yield
    except BrokenPipeError:
        raise PipeClosed from None
    except OSError as error:
        raise OutputFailed(error) from None


class _Pipe(Console):
    def on_broken_pipe(self) -> None:
        raise PipeClosed

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        # Titles, names and messages may come from a file of somebody else: no escape sequence of theirs is printed.
        for segment in super().render(renderable, options):
            clean = segment.control or segment.text.isprintable()
            yield segment if clean else Segment(printable(segment.text), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        with output():
            super().print(*objects, **options)


def _console(stream: TextIO) -> Console:
    # Made for each use: tests and pagers replace sys.stdout after import.
    width = None if stream.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return _Pipe(file=stream, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def stdout() -> Console:
    """For results. Colour only on a terminal."""
    return _console(sys.stdout)


def stderr() -> Console:
    """For progress and messages."""
    return _console(sys.stderr)


def say_table(table: Table) -> None:
    """A table as a result, without the spaces that fill its last column."""
    console = stdout()
    with console.capture() as captured:
        console.print(table)
    say_text("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))


def say_json(value: Any) -> None:
    """The one object of a command with --json, on a line of its own."""
    # ASCII, so that it is valid JSON in every locale.
    say_text(json.dumps(value, separators=(",", ":")) + "\n")


def say_text(text: str) -> None:
    """A result that is to be kept byte for byte: no wrapping, no colour."""
    with output():
        sys.stdout.write(text)
        sys.stdout.flush()


def make_printable() -> None:
    """Let output show what it can in this locale: a character that it lacks is no reason to fail."""
    if sys.stderr is None:  # closed by whoever called us
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - to the end of the process
    if sys.stdout is None:
        raise BadInput("standard output is closed")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def warn(message: str) -> None:
    """One line to standard error."""
    print(f"gupsim: {one_line(message)}", file=sys.stderr)


def printable(text: str) -> str:
    """Without control characters, except line breaks and tabs."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def one_line(message: str) -> str:
    """Without line breaks and other control characters."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in message)


def refuse(message: str) -> NoReturn:
    """End the command: bad input."""
    raise BadInput(message)
