"""Times in scenario files: a number with its unit, as "250ns", "1.5us", "20ms", "1s"."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?(ns|us|ms|s)$"
Duration = Annotated[str, msgspec.Meta(pattern=DURATION_PATTERN, examples=["250ns", "1.5us", "20ms"])]

_NANOSECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


class UnitError(ValueError):
    """A time without or with an unknown unit."""


def nanoseconds(text: str) -> int:
    """ "1.5us" is 1500. UnitError if the text is not a number with one of ns, us, ms, s."""
    if not re.match(DURATION_PATTERN, text):
        raise UnitError(f"{text!r} is not a time: a number with its unit is expected, one of ns, us, ms, s, as '10us'")
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    whole, _, fraction = number.partition(".")
    # Integers all the way: 0.1 s must not depend on binary fractions.
    scale = _NANOSECONDS[unit]
    return int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)


def duration(ns: int) -> str:
    """The shortest readable form: 1500 is "1.5us"."""
    for unit in ("s", "ms", "us"):
        scale = _NANOSECONDS[unit]
        if ns >= scale:
            return f"{ns / scale:.3f}".rstrip("0").rstrip(".") + unit
    return f"{ns}ns"
