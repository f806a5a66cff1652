"""What one actor says to another: frozen, typed, tagged structs."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

R = TypeVar("R")


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False, forbid_unknown_fields=True):
    """One message. Its class name is its tag on the wire; its fields hold only immutable values,
    so that the receiver can never see the sender change them."""


class Request(Message, Generic[R], frozen=True, tag=True, gc=False):
    """A message that is answered: ``await actor.ask(dst, Request[R])`` gives an ``R``."""


class Done(Message, frozen=True):
    """The answer of a request that has nothing to tell but that it is finished."""


class Status(Message, frozen=True):
    """The answer of a request that succeeds or fails.

    error: 0, or a negative errno as the kernel returns it (-14 is -EFAULT).
    """

    error: int = 0


class Flag(Message, frozen=True):
    """The answer of a request that asks yes or no."""

    yes: bool


DONE = Done()
YES = Flag(True)
NO = Flag(False)

MESSAGES: tuple[type[Message], ...] = (Done, Status, Flag)


class Tracepoint(msgspec.Struct, frozen=True, tag_field="tp", gc=False):
    """Something an actor reports about itself, named ``subsystem:event`` as in the kernel's tracefs.

    Checkers, timelines, metrics and exports read these and nothing else."""

    def say(self) -> str:
        """One line in kernel terms, without time and actor."""
        return msgspec.structs.asdict(self).__repr__()
