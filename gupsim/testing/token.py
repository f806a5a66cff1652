"""Replay tokens: a schedule in a few characters that a shell does not touch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec

from gupsim.search.names import ANSWER, TIMER, Names
from gupsim.testing.failure import StaleToken

_VERSION = "1"
_PATTERN = re.compile(r"1-([0-9a-f]{6})-([0-9a-f]{8})-([0-9]+)((?:-[0-9]+:[0-9at.]+)*)")
_LETTERS = {ANSWER: "a", TIMER: "t"}
_STEPS = {letter: step for step, letter in _LETTERS.items()}


class Token(msgspec.Struct, frozen=True):
    """test: whose (a digest). events: digest of the history. seed: of the world.

    deviations: by number of event, the causal path of the message that comes there and not the usual one: it means
    the same on every machine, and events elsewhere may come and go without changing it.
    """

    test: str
    events: str
    seed: int
    deviations: Mapping[int, tuple[int, ...]]

    def text(self) -> str:
        """As `--gupsim-replay` wants it."""
        places = [f"-{number}:{_word(path)}" for number, path in sorted(self.deviations.items())]
        return f"{_VERSION}-{self.test}-{self.events}-{self.seed}{''.join(places)}"

    def mids(self, names: Names) -> dict[int, int]:
        """The deviations in the numbers of one search."""
        return {number: names.at(path) for number, path in self.deviations.items()}


def read(text: str) -> Token:
    """Read a token; StaleToken if it is none."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise StaleToken(f"{text!r} is no replay token of this version: 1-<test>-<events>-<seed>-<event>:<message>...")
    test, events, seed, places = match.groups()
    deviations = {}
    for place in places.split("-")[1:]:
        number, _, word = place.partition(":")
        deviations[int(number)] = _path(word)
    return Token(test, events, int(seed), deviations)


def digest_of(test: str) -> str:
    """Names a test in a token."""
    return hashlib.sha256(test.encode()).hexdigest()[:6]


def _word(path: tuple[int, ...]) -> str:
    return ".".join(_LETTERS.get(step) or str(step) for step in path)


def _path(word: str) -> tuple[int, ...]:
    try:
        return tuple(_STEPS[step] if step in _STEPS else int(step) for step in word.split("."))
    except ValueError:
        raise StaleToken(f"{word!r} in the replay token names no message") from None
