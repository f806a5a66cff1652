"""What is wrong with a scenario or a choice, in one line for a person, with the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Where something stands in a scenario: ("threads", "app", "steps", 2, "pin", "device")."""

LONGEST_LIST = 40
"""Valid names that a message lists; longer lists are left to the command that prints them."""


class ScenarioError(ValueError):
    """A scenario that cannot be read, as ``FILE:LINE: FIELD: what is wrong; did you mean X?``.

    file: as the user named it. line: counted from 1, or 0 if the whole file is meant. field: dotted path in
    the file, "" for the whole. problem: the rest of the message.
    """

    def __init__(self, problem: str, *, file: str = "", line: int = 0, field: str = "") -> None:
        self.file, self.line, self.field, self.problem = file, line, field, problem
        super().__init__(problem)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.field, self.problem) if part)

    def of(self, file: str) -> ScenarioError:
        """The same error, with the name of the file."""
        return ScenarioError(self.problem, file=file, line=self.line, field=self.field)


class FieldError(ValueError):
    """What is wrong with the field at `path` of a scenario that is well-formed so far."""

    def __init__(self, problem: str, *path: str | int) -> None:
        self.problem, self.path = problem, path
        super().__init__(f"{field_name(path)}: {problem}")


def field_name(path: Path) -> str:
    """("threads", "app", "steps", 2, "pin") is "threads.app.steps[2].pin"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def quote(text: str, limit: int = 60) -> str:
    """Foreign text in quotes: control characters escaped, cut if it is long."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def nearest(name: str, valid: Iterable[str]) -> str:
    """The valid name that is most like `name`, or "" if none is like it at all."""
    low = name.lower()
    best, best_ratio = "", 0.49
    for candidate in sorted(valid):
        other = candidate.lower()
        ratio = SequenceMatcher(None, low, other).ratio()
        if len(low) > 1 and (other.startswith(low) or low.startswith(other)):
            ratio = max(ratio, 0.8 + ratio / 10)
        if ratio > best_ratio:
            best, best_ratio = candidate, ratio
    return best


def unknown(kind: str, name: str, valid: Iterable[str], instead: str = "", close: str = "") -> str:
    """ "unknown step 'mapp'; did you mean 'mmap'? (valid: ...)".

    instead: said if nothing is valid. close: what is meant most likely, if that is not what is spelled most alike.
    """
    names = list(dict.fromkeys(valid))
    said = f"unknown {kind} {quote(name)}"
    if not names:
        return f"{said}: {instead or f'there is no {kind} here'}"
    close = close or nearest(name, names)
    if close:
        said += f"; did you mean {close!r}?"
    if len(names) <= LONGEST_LIST:
        said += f" (valid: {', '.join(names)})"
    return said
