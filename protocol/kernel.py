"""What any part of the kernel can be told or run into: boot, WARN, BUG."""

from __future__ import annotations

from gupsim.protocol.message import Message, Tracepoint


class Boot(Message, frozen=True):
    """The machine starts: actors report what is there from the beginning (disk content, block maps). From outside."""


class KernelWarning(Tracepoint, frozen=True, tag="kernel:warn"):
    """A WARN_ON of the real kernel fired in `where`; the kernel goes on."""

    where: str
    message: str

    def say(self) -> str:
        return f"WARNING in {self.where}: {self.message}"


class KernelBug(Tracepoint, frozen=True, tag="kernel:bug"):
    """A BUG_ON of the real kernel fired in `where`: the context dies with all locks held. pfn: the page, or -1."""

    where: str
    message: str
    pfn: int = -1

    def say(self) -> str:
        return f"kernel BUG at {self.where}: {self.message}"


MESSAGES: tuple[type[Message], ...] = (Boot,)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (KernelWarning, KernelBug)
