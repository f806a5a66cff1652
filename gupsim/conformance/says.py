"""Results of the model's steps in the words of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from gupsim.conformance.errors import Unsupported

Say: TypeAlias = Callable[[tuple[str, ...]], Any]
"""From the results of the steps that were played, the last of which may be a failure, to the one of the operation."""


def failed(result: str) -> bool:
    """An errno, a signal, or "no-such-pin"; neither "ok" nor numbers."""
    return result != "ok" and not all(word.isdigit() for word in result.split())


def plain(results: tuple[str, ...]) -> str:
    """ "ok" or what went wrong."""
    return results[-1]


def ok(results: tuple[str, ...]) -> str:
    """As `plain`, for calls that return a number which the vocabulary leaves out."""
    return results[-1] if failed(results[-1]) else "ok"


def number(results: tuple[str, ...]) -> Any:
    """A number, or a word as "EOF"."""
    return int(results[-1]) if results[-1].isdigit() else results[-1]


def numbers(results: tuple[str, ...]) -> Any:
    """A list of numbers."""
    return results[-1] if failed(results[-1]) else [int(word) for word in results[-1].split()]


def moved(results: tuple[str, ...]) -> Any:
    """Bytes that were moved, and the first of them if there is one to tell."""
    if failed(results[-1]):
        return results[-1]
    return dict(zip(("bytes", "first"), map(int, results[-1].split()), strict=False))


def migrated(results: tuple[str, ...]) -> Any:
    """move_pages(2) of one page to the other node, a frame of which is any other frame."""
    if results[-1] == "ok":
        return {"rc": 0, "status": "target-node", "now": "moved"}
    if results[-1] in ("EAGAIN", "EBUSY"):
        # The number of pages that could not be moved; what the status array had is left alone.
        return {"rc": 1, "status": "unset", "now": "not-moved"}
    raise Unsupported(f"migrate: nobody says what move_pages(2) makes of {results[-1]}")


def direct(results: tuple[str, ...]) -> Any:
    """A read of the disk into a buffer, and then of the buffer."""
    return "EOF" if results[0] == "0" else number(results)
