"""Virtual time for people."""

from __future__ import annotations

_MICRO = 1_000
_MILLI = 1_000_000
_LONG = 100 * _MILLI


class Clock:
    """Writes times of one history so that they can be compared by eye: one unit, fixed decimals.

    end: the last time (ns) that will be written. Up to 0.1 s of history times are in microseconds to the nanosecond,
    beyond that in milliseconds to the microsecond.
    """

    def __init__(self, end: int) -> None:
        self._long = end >= _LONG

    def __call__(self, ns: int) -> str:
        if self._long:
            return f"{ns // _MILLI}.{ns % _MILLI // _MICRO:03d}ms"
        return f"{ns // _MICRO}.{ns % _MICRO:03d}us"
