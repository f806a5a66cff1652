"""Names of messages that do not depend on the order of execution."""

from __future__ import annotations

from typing import Final

from gupsim.engine.errors import EngineError

OUTSIDE: Final = 0
"""Stands for the outside world, which posts the first messages."""

ANSWER: Final = -1
TIMER: Final = -2
_WORDS: Final = {ANSWER: "answer", TIMER: "timer"}


class Names:
    """Each message of a search is named by who causes it; the names are numbered as they are met.

    A message is the k-th that an event sends; an answer is the answer of its request, a time-out its timer; a
    lock grant, a sleep or the end of a join is the k-th token that an event reserved. So a *mid* (message id)
    means the same in every execution of one search, and its *path* the same on every machine.

    parents: by mid, the mid of the event (for an answer or timer: the request) that names it.
    children: by mid, what the event sends, in order. answers: by mid, that of a request, 0 if it was never met.
    """

    __slots__ = ("_steps", "_texts", "_timers", "answers", "children", "parents")

    def __init__(self) -> None:
        self.parents = [-1]
        self.children: list[list[int]] = [[]]
        self._steps = [0]
        self.answers = [0]
        self._timers = [0]
        self._texts: dict[int, str] = {OUTSIDE: ""}

    def __len__(self) -> int:
        return len(self.parents)

    def next_child(self, parent: int) -> int:
        """A new name: one more than `parent` has sent in any execution so far."""
        row = self.children[parent]
        mid = self._new(parent, len(row))
        row.append(mid)
        return mid

    def answer(self, request: int) -> int:
        """The answer of a request."""
        mid = self.answers[request]
        if not mid:
            mid = self.answers[request] = self._new(request, ANSWER)
        return mid

    def timer(self, request: int) -> int:
        """The time-out of a request."""
        mid = self._timers[request]
        if not mid:
            mid = self._timers[request] = self._new(request, TIMER)
        return mid

    def path(self, mid: int) -> tuple[int, ...]:
        """The steps from the outside world to `mid`: numbers from 0, ANSWER or TIMER."""
        steps = []
        while mid > OUTSIDE:
            steps.append(self._steps[mid])
            mid = self.parents[mid]
        return tuple(reversed(steps))

    def at(self, path: tuple[int, ...]) -> int:
        """The mid at the end of `path`, numbered now if it was never met."""
        mid = OUTSIDE
        for step in path:
            if step == ANSWER:
                mid = self.answer(mid)
            elif step == TIMER:
                mid = self.timer(mid)
            elif step >= 0:
                while len(self.children[mid]) <= step:
                    self.next_child(mid)
                mid = self.children[mid][step]
            else:
                raise EngineError(f"{path} is not the path of a message: no step is called {step}")
        return mid

    def step(self, mid: int) -> int:
        """The last step of the path of `mid`."""
        return self._steps[mid]

    def text(self, mid: int) -> str:
        """The path for people, counted from 1: "2.1.answer"."""
        texts = self._texts
        above = []
        while mid not in texts:  # not recursive: a chain may be longer than Python's stack
            above.append(mid)
            mid = self.parents[mid]
        text = texts[mid]
        for named in reversed(above):
            step = self._steps[named]
            word = _WORDS.get(step) or str(step + 1)
            text = texts[named] = f"{text}.{word}" if text else word
        return text

    def _new(self, parent: int, step: int) -> int:
        mid = len(self.parents)
        self.parents.append(parent)
        self._steps.append(step)
        self.children.append([])
        self.answers.append(0)
        self._timers.append(0)
        return mid
