"""Pipes that hold user pages by reference (vmsplice). `pipe` is the number of a pipe."""

from __future__ import annotations

from gupsim.protocol.message import Done, Message, Request, Tracepoint
from gupsim.protocol.pages import Pages


class MakePipe(Request["Pipe"], frozen=True):
    """pipe(2). From process, which gets both ends."""


class Pipe(Message, frozen=True):
    """Number of a new pipe. Answers MakePipe."""

    pipe: int


class Vmsplice(Request["Spliced"], frozen=True):
    """vmsplice(2) of user memory into a pipe: get_user_pages_fast() without FOLL_WRITE, on `cpu` (an address).
    From process."""

    pipe: int
    mm: str
    address: int
    pages: int
    cpu: str


class Spliced(Message, frozen=True):
    """Bytes that went into the pipe, or a negative errno. Answers Vmsplice."""

    result: int


class ReadPipe(Request["PipeBytes"], frozen=True):
    """read(2) of whole pages, at most `pages`; what was read leaves the pipe. From process."""

    pipe: int
    pages: int


class PipeBytes(Message, frozen=True):
    """First byte of each page read. Answers ReadPipe."""

    first: tuple[int, ...]


class GetPipe(Request[Done], frozen=True):
    """One more task has both ends (fork: dup_fd). From process."""

    pipe: int


class PutPipe(Request[Done], frozen=True):
    """A task closed both ends; the last one frees the pipe with what is in it. From process."""

    pipe: int


class PipeFilled(Tracepoint, frozen=True, tag="pipe:splice"):
    """References to user pages are in a pipe now."""

    pipe: int
    mm: str
    pfns: Pages

    def say(self) -> str:
        return f"pipe {self.pipe} refers to page(s) {self.pfns.say()} of {self.mm}"


class PipeDrained(Tracepoint, frozen=True, tag="pipe:drain"):
    """Pages left a pipe. why: "read" or "close"."""

    pipe: int
    pfns: Pages
    why: str

    def say(self) -> str:
        return f"pipe {self.pipe}: {self.why}, page(s) {self.pfns.say()} given back"


MESSAGES: tuple[type[Message], ...] = (MakePipe, Pipe, Vmsplice, Spliced, ReadPipe, PipeBytes, GetPipe, PutPipe)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (PipeFilled, PipeDrained)
