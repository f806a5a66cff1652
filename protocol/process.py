"""A task: runs the threads of a scenario, one step after the other."""

from __future__ import annotations

from gupsim.protocol.message import Done, Message, Request, Tracepoint


class RunThread(Message, frozen=True):
    """Start a thread of this process. From outside the world."""

    thread: str


class RunGenerator(Message, frozen=True):
    """Start a seeded workload generator of this process, until `until` ns of virtual time. From outside."""

    generator: str
    until: int


class ForkProcess(Request[Done], frozen=True):
    """The end of copy_process(): the child has the parent's mappings and open files, and its threads start. From the
    process that forks, with the address space copied already.

    maps: (name, address, pages); pins: (name, driver, handle); drivers: that may hold something of the parent's.
    """

    parent: str
    maps: tuple[tuple[str, int, int], ...] = ()
    pins: tuple[tuple[str, str, int], ...] = ()
    drivers: tuple[str, ...] = ()


class RunStep(Message, frozen=True):
    """Play one step of a thread by itself, in a context of its own. From outside the world."""

    thread: str
    number: int


class CopyTask(Request[Done], frozen=True):
    """copy_process(): what else than memory and devices a child has of its parent. From the process that forks, before
    ForkProcess, if there is anything of it.

    rings, pipes: name and number of what the name stands for. files: kind ("ring", "pipe") and number of every file
    that is open. memlock: RLIMIT_MEMLOCK in pages. uid: -1 with all capabilities.
    """

    rings: tuple[tuple[str, int], ...]
    pipes: tuple[tuple[str, int], ...]
    files: tuple[tuple[str, int], ...]
    memlock: int
    uid: int


class WaitForExit(Request["Exited"], frozen=True):
    """do_wait(): tell when this process has ended. From the process `parent`."""

    parent: str


class Exited(Message, frozen=True):
    """It has; or -ECHILD: the other one is not its parent, or there is no such process yet. Answers WaitForExit."""

    error: int = 0


class FindMapping(Request["Place"], frozen=True):
    """Where is a page of a named mapping? From observers."""

    map: str
    page: int


class Place(Message, frozen=True):
    """Address space and address, or -1 if there is no such mapping. Answers FindMapping."""

    mm: str
    address: int


class StepBegin(Tracepoint, frozen=True, tag="process:step"):
    """A step of a thread starts. text: the step as a person would write it."""

    thread: str
    number: int
    text: str

    def say(self) -> str:
        return f"{self.thread}: {self.text}"


class StepBound(Tracepoint, frozen=True, tag="process:bound"):
    """The step that has just begun must be over within so many ns."""

    thread: str
    number: int
    within: int

    def say(self) -> str:
        return f"{self.thread}: to be over within {self.within} ns"


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


class ProcessForked(Tracepoint, frozen=True, tag="process:fork"):
    """A process began as the copy of another one. drivers: of the devices that both have open now."""

    parent: str
    child: str
    drivers: tuple[str, ...] = ()

    def say(self) -> str:
        return f"process {self.parent} forks {self.child}"


class ProcessExit(Tracepoint, frozen=True, tag="process:exit"):
    """A process ended; `owner` is the name under which drivers knew it."""

    owner: str

    def say(self) -> str:
        return f"process {self.owner} exits"


MESSAGES: tuple[type[Message], ...] = (
    RunThread, RunGenerator, ForkProcess, RunStep, CopyTask, WaitForExit, Exited, FindMapping, Place,
)  # fmt: skip
TRACEPOINTS: tuple[type[Tracepoint], ...] = (StepBegin, StepBound, StepEnd, ThreadEnd, ProcessForked, ProcessExit)
