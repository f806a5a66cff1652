"""What the kernel's own subsystems share: their rules, their host, WARN and BUG."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from gupsim.actors.base.actor import Actor
from gupsim.actors.base.port import ContextDied, Port
from gupsim.actors.rules.rules import KernelRules
from gupsim.protocol.kernel import KernelBug, KernelWarning
from gupsim.protocol.memory import PAGE_SIZE


class KernelActor(Actor):
    """A subsystem of one kernel.

    rules: in what this kernel differs from others.
    """

    def __init__(self, address: str, port: Port, *, rules: KernelRules) -> None:
        super().__init__(address, port)
        self.rules = rules
        self._warned: set[str] = set()

    def at(self, name: str) -> str:
        """Address of another actor of the same host: at("mm") is "h0/mm"."""
        return f"{self.host}/{name}"

    def bug(self, where: str, message: str, pfn: int = -1) -> NoReturn:
        """BUG(): report, and end this context with every lock still held."""
        self.trace(KernelBug(where=where, message=message, pfn=pfn))
        raise ContextDied

    def warn(self, where: str, message: str) -> None:
        """WARN(): report and go on."""
        self.trace(KernelWarning(where=where, message=message))

    def warn_once(self, where: str, message: str) -> None:
        """WARN_ON_ONCE(): report the first time only."""
        if where not in self._warned:
            self._warned.add(where)
            self.warn(where, message)


def chunks_of(offset: int, length: int, chunk: int) -> Iterator[tuple[int, int]]:
    """Cut ``offset .. offset + length`` of a page at multiples of `chunk` bytes: (offset, length) of each piece.

    One piece is what moves in one atomic step; between two pieces anybody may come."""
    end = min(offset + length, PAGE_SIZE)
    while offset < end:
        upto = min((offset // chunk + 1) * chunk, end)
        yield offset, upto - offset
        offset = upto
