"""How an explored test ends if it does not pass; each with a message for a person."""

from __future__ import annotations


class InterleavingFailed(AssertionError):
    """The test fails under some interleaving. The message has the shortest one found and the command to replay it.

    token: of that interleaving. kind: "assertion", "actor-failed", "deadlock", "never-awaited", "starvation".
    """

    def __init__(self, text: str, token: str, kind: str) -> None:
        super().__init__(text)
        self.token = token
        self.kind = kind


class Undecided(AssertionError):
    """The limit was reached before every interleaving was explored, and no failure was seen until then."""


class StaleToken(AssertionError):
    """A replay token does not fit what the program does now: test, actors or seed were changed."""


class BodyError(TypeError):
    """The body of an explored test is not one: a mistake of the test, not of the program."""
