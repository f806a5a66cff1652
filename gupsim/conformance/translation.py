"""What the translations of all operations share: the program so far, and what its names stand for."""

from __future__ import annotations

from typing import Final, Protocol

from gupsim.conformance.cases import Case
from gupsim.conformance.errors import ConformanceError, Unsupported
from gupsim.conformance.names import Mapping, Names, Object
from gupsim.conformance.program import Hold, Play
from gupsim.conformance.says import Say
from gupsim.protocol import steps
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.steps import AnyStep

_LARGEST_WRITE: Final = 256
"""Pages of one step `write`."""


class Ranged(Protocol):
    """Arguments that name a part of a mapping; pages 0: the rest."""

    @property
    def map(self) -> str: ...
    @property
    def page(self) -> int: ...
    @property
    def pages(self) -> int: ...


class Translation:
    """Built up step by step. place: where in the file the present step is; process: whose it is."""

    def __init__(self, case: Case, place: str) -> None:
        self.place = place
        self.case = case
        first = case.steps[0].proc
        self.names: dict[str, Names] = {first: Names()}
        self.gone: set[str] = set()
        self.actors = {first: "p0"}
        self.steps: dict[str, list[AnyStep]] = {first: []}
        self.files: list[tuple[str, int]] = []
        self.memfds: list[tuple[str, int]] = []
        self.huge_memfds = 0
        """How many there were."""
        self.marks: set[str] = set()
        self.holds: dict[str, tuple[Hold, str, bool]] = {}
        """Requests in flight by name, each with its file and whether the device gives."""
        self.held = 0
        """How many there were."""
        self.blocks = 64
        self.pages = 0
        self.process = first

    @property
    def here(self) -> Names:
        """Names of the process of the present step."""
        return self.names[self.process]

    def wrong(self, problem: str) -> ConformanceError:
        """The present step makes no sense."""
        return ConformanceError(f"{self.place}: {problem}")

    def enter(self, process: str) -> None:
        """The present step is of this process."""
        if process not in self.names:
            raise self.wrong(f"no process {process!r} was forked before")
        if process in self.gone:
            raise self.wrong(f"process {process!r} has exited before")
        self.process = process

    def add(self, *made: AnyStep) -> int:
        """More steps for the present process; the number of the first."""
        mine = self.steps[self.process]
        mine.extend(made)
        return len(mine) - len(made)

    def played(self, *made: AnyStep, says: Say) -> Play:
        """The present process plays these steps."""
        return Play(self.process, self.add(*made), len(made), says)

    def uses(self, pages: int, blocks: int = 0) -> None:
        """So much more memory and disk is needed."""
        self.pages += pages
        self.blocks += blocks

    def mapping(self, name: str) -> Mapping:
        """A mapping of the present process."""
        if name not in self.here.maps:
            raise self.wrong(f"process {self.process!r} has no mapping {name!r}")
        return self.here.maps[name]

    def pages_of(self, args: Ranged) -> int:
        """How many pages are meant."""
        pages = self.mapping(args.map).pages
        if args.pages:
            return args.pages
        if args.page >= pages:
            raise self.wrong(f"page {args.page}: mapping {args.map!r} has {pages} page(s)")
        return pages - args.page

    def object(self, name: str) -> Object:
        """What was opened."""
        if name not in self.here.objects:
            raise self.wrong(f"process {self.process!r} has no object {name!r}")
        return self.here.objects[name]

    def file(self, name: str) -> str:
        """The file of the model that an object is."""
        found = self.object(name)
        if found.memfd:
            raise Unsupported("a memfd of huge pages can be mapped and punched, and nothing else")
        return found.file

    def pinned(self, name: str) -> str:
        """A pin that an earlier step made or tried to make."""
        if name not in self.here.pins:
            raise self.wrong(f"process {self.process!r} has no pin {name!r}")
        return name

    def writes(self, file: str, page: int, pages: int, value: int) -> list[AnyStep]:
        """write(2) of a range of a file, in steps that are not too large."""
        return [
            steps.Write(
                file=file,
                offset=(page + start) * PAGE_SIZE,
                length=min(_LARGEST_WRITE, pages - start) * PAGE_SIZE,
                value=value,
            )
            for start in range(0, pages, _LARGEST_WRITE)
        ]
