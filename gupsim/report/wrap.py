"""Line breaks that keep styles, for output that must be readable in 100 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.text import Text

_CONSOLE: Final = Console(width=1000)
"""Text.wrap wants one; nothing is ever printed to it."""

_NARROW: Final = 20
"""Columns that a paragraph keeps however deep it is indented."""


def wrapped(text: Text, width: int, indent: int) -> Iterator[Text]:
    """The text in lines of at most `width` columns; all but the first are indented. A long word is cut."""
    plain = text.plain
    if len(plain) <= width:
        yield text
        return
    room = max(width - indent, _NARROW)
    # The first line may be longer than the others: break it by hand, at the last blank that fits.
    at = plain.rfind(" ", indent + 1, width + 1)
    at = at if at > 0 else width
    yield text[:at]
    rest = text[at:]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    for line in rest.wrap(_CONSOLE, room):
        line.rstrip()
        yield Text(" " * indent) + line
