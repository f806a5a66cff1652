"""A task: runs the threads of a scenario, one step after the other."""

from __future__ import annotations

from protocol.message import Message, Tracepoint


class RunThread(Message, frozen=True):
    """Start a thread of this process. From outside the world."""

    thread: str


class RunGenerator(Message, frozen=True):
    """Start a seeded workload generator of this process, until `until` ns of virtual time. From outside."""

    generator: str
    until: int


class StepBegin(Tracepoint, frozen=True, tag="process:step"):
    """A step of a thread starts. text: the step as a person would write it."""

    thread: str
    number: int
    text: str

    def say(self) -> str:
        return f"{self.thread}: {self.text}"


class StepEnd(Tracepoint, frozen=True, tag="process:result"):
    """It ended. result: "ok", a number, an errno name as "EFAULT", a signal, or "no-such-pin"."""

    thread: str
    number: int
    text: str
    result: str

    def say(self) -> str:
        return f"{self.thread}: {self.text} -> {self.result}"


class ThreadEnd(Tracepoint, frozen=True, tag="process:thread_end"):
    """All steps of a thread are done."""

    thread: str

    def say(self) -> str:
        return f"{self.thread} has ended"


class ProcessExit(Tracepoint, frozen=True, tag="process:exit"):
    """A process ended; `owner` is the name under which drivers knew it."""

    owner: str

    def say(self) -> str:
        return f"process {self.owner} exits"


MESSAGES: tuple[type[Message], ...] = (RunThread, RunGenerator)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (StepBegin, StepEnd, ThreadEnd, ProcessExit)
