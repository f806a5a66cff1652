"""From a case to a program of the model. Nothing in here looks at the case's id, title or area."""

from __future__ import annotations

from typing import Final

from gupsim.conformance import vocabulary as v
from gupsim.conformance.cases import Case
from gupsim.conformance.errors import Unsupported
from gupsim.conformance.looks import FLAGS
from gupsim.conformance.memory import MemoryOperations
from gupsim.conformance.program import Action, Look, Play, Program, Scan
from gupsim.conformance.transfers import SCRATCH, TransferOperations
from gupsim.protocol import steps

NEEDS: Final = ("io_uring", "ext4-dir", "thp", "hugetlb", "swap", "hold", "khugepaged", "numa2")
"""What a case may ask of the machine."""

_HUGE: Final = 512
"""Pages of a huge page."""

_LEAST_FRAMES: Final = 1 << 15
_MOST_FRAMES: Final = 1 << 18
"""From 128 MiB to 1 GiB: larger cases are not tried."""

_SWAP: Final = 8192
"""Pages of swap space, for cases that need any."""


class _Translator(MemoryOperations, TransferOperations):
    """All operations."""

    def program(self) -> Program:
        """The whole case. Unsupported at the first thing that nobody carries."""
        for need in self.case.needs:
            if need not in NEEDS:
                raise Unsupported(f"the model's machine has no {need}")
        if any(step.op == "file_read" and (step.args or {}).get("direct") for step in self.case.steps):
            # Before anybody is forked, so that all have it.
            self.add(steps.Mmap(name=SCRATCH, pages=1))
        actions: list[Action] = []
        case = self.place
        for number, step in enumerate(self.case.steps, 1):
            self.place = f"{case}: step {number} ({step.op})"
            args = v.arguments(step, self.place)
            self.enter(step.proc)
            action: Action = self.look(step.op, args) if step.op in v.LOOKS else getattr(self, step.op)(args)
            if step.run_async and not isinstance(action, Play):
                raise Unsupported(f"{step.op}: cannot be left to run by itself")
            actions.append(action)
        if self.holds:
            raise Unsupported("hold_start: a request that is never finished")
        return Program(
            actors=self.actors,
            steps={process: tuple(played) for process, played in self.steps.items()},
            actions=tuple(actions),
            files=tuple(self.files),
            memfds=tuple(self.memfds),
            holds=tuple(f"hold{number}" for number in range(self.held)),
            blocks=self.blocks,
            frames=self._frames(),
            swap=_SWAP if "swap" in self.case.needs else 0,
        )

    def khugepaged_run(self, args: v.KhugepagedRun) -> Action:
        # More than there are ranges is no harm: a range that was tried is tried again.
        return Scan(args.scans * (self.pages // _HUGE * len(self.names) + 1))

    def look(self, op: str, args: v.Args) -> Action:
        """An observation."""
        name = getattr(args, "map", None)
        if name is not None:
            self.mapping(name)
        if isinstance(args, v.PfnMark):
            self.marks.add(args.name)
        mark = getattr(args, "mark", None)
        if mark is not None and mark not in self.marks:
            raise self.wrong(f"nothing was marked as {mark!r} before")
        if isinstance(args, (v.PageFlags, v.MarkFlags)):
            for flag in args.flags.split(","):
                if flag not in FLAGS:
                    raise Unsupported(f"{op}: the model has no flag {flag}")
        return Look(self.process, op, args)

    def _frames(self) -> int:
        """Memory enough for a copy of everything in every process, and as much again."""
        frames = _LEAST_FRAMES
        while frames < 2 * self.pages * len(self.names):
            frames *= 2
        if frames > _MOST_FRAMES:
            raise Unsupported("more memory is mapped than the model's machine has")
        return frames


def translate(case: Case, file: str) -> Program:
    """ConformanceError for a case that makes no sense; Unsupported for one that the model does not carry."""
    return _Translator(case, f"{file}: case {case.id}").program()
