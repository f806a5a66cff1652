"""Plays the program of a case on a machine of its own, one operation after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from gupsim.actors.rules import KernelRules
from gupsim.conformance import looks, says
from gupsim.conformance import vocabulary as v
from gupsim.conformance.errors import Unsupported
from gupsim.conformance.program import Action, Finish, Hold, Join, Look, Play, Program, Scan
from gupsim.conformance.recording import End, Result
from gupsim.conformance.says import failed
from gupsim.engine.errors import EngineError, NoHandler, NoSuchActor
from gupsim.engine.port import ActorPort
from gupsim.protocol import steps
from gupsim.protocol.message import Message, Tracepoint
from gupsim.protocol.observer import (
    FrameSeen,
    Observe,
    ObserveFrame,
    ObservePage,
    ObserveTask,
    PageSeen,
    TaskSeen,
    VmstatSeen,
)
from gupsim.protocol.process import RunStep, StepEnd
from gupsim.protocol.thp import ScanNext
from gupsim.scenario.model import Disk, File, FileSystem, Machine, Memfd, Scenario, Thread
from gupsim.world import build

_HOST: Final = "h0"
_CPUS: Final = 2
_HUGE_POOL: Final = 8
"""Huge pages that the machine sets aside for hugetlb at boot."""
_MOST_DELIVERIES: Final = 20_000_000
"""Of one operation: more is a model that does not come to rest."""

T = TypeVar("T", bound=Tracepoint)


class ModelFailed(Exception):
    """The model broke down in the middle of a case: a bug of the model, not an answer of it."""


class Player:
    """One case on one machine.

    The processes are all there from the beginning, and idle: what they do, and when, is decided here.
    """

    def __init__(self, program: Program, rules: KernelRules) -> None:
        self.program = program
        self.world = build(_scenario(program), rules, codec=False, scripted=False)
        self.timed = self.world.timed
        self.timed.on_tracepoint(self._note)
        self._results: dict[tuple[str, int], str] = {}
        self._seen: dict[type[Tracepoint], Any] = {}
        self._pending: dict[str, Play | None] = {}
        self._marks: dict[str, int] = {}
        self._gone: set[str] = set()
        self._born = {next(iter(program.actors))}

    def play(self, names: list[tuple[str, bool]]) -> Result:
        """The whole case. names: the observation that each operation's result is, "" for none, and whether it is left
        to run by itself. Unsupported, ModelFailed."""
        self.world.boot()
        self._run()
        self._prepare()
        self._start = self._vmstat()
        results: list[Any] = []
        for action, (_, alone) in zip(self.program.actions, names, strict=True):
            results.append(self._act(action, alone=alone))
        held = self._counts()
        self._exit_all()
        end = self._counts()
        self.timed.close()
        still = held["acq"] - held["rel"]
        return Result(
            obs={name: result for (name, _), result in zip(names, results, strict=True) if name},
            results=tuple(results),
            end=End(end["acq"], end["rel"], still),
        )

    def _act(self, action: Action, *, alone: bool) -> Any:
        if isinstance(action, Look):
            return self._look(action)
        if isinstance(action, Join):
            return self._join(action.process)
        if isinstance(action, Hold):
            return self._hold(action)
        if isinstance(action, Finish):
            return self._finish(action)
        if isinstance(action, Scan):
            return self._scan(action)
        result = self._operation(action)
        if not alone:
            return "blocked" if result is None else result
        self._pending[action.process] = action if result is None else None
        return "blocked" if result is None else {"done": result}

    def _operation(self, action: Play) -> Any:
        """The result in the words of the vocabulary, or None if it blocks."""
        self._require(action.process)
        results: list[str] = []
        for number in range(action.first, action.first + action.count):
            result = self._step(action.process, number)
            if result is None:
                return None
            results.append(result)
            if failed(result):
                break
            self._follow(action.process, self.program.steps[action.process][number])
        return action.says(tuple(results))

    def _follow(self, process: str, step: steps.Step) -> None:
        """What became of the processes themselves."""
        if isinstance(step, steps.Fork):
            self._born.update(name for name, actor in self.program.actors.items() if actor == step.child)
        if isinstance(step, steps.Exit):
            self._gone.add(process)

    def _join(self, process: str) -> Any:
        action = self._pending.pop(process, None)
        if action is None:
            return "nothing-pending"
        result = self._results.get((self.program.actors[process], action.first + action.count - 1))
        if result is None:
            self._pending[process] = action
            return "still-blocked"
        return action.says((result,))

    def _hold(self, hold: Hold) -> Any:
        self._require(hold.process)
        ended = self._step(hold.process, hold.number)
        if ended is None:
            return "ok"
        return ended if failed(ended) else {"not-held": says.moved((ended,))}

    def _finish(self, finish: Finish) -> Any:
        at = self.program.actors[finish.hold.process], finish.hold.number
        if at in self._results:
            return "no-such-pin"
        self._require(finish.process)
        byte = self._step(finish.process, finish.number)
        moved = says.moved((self._results.get(at, "still-blocked"),))
        if not isinstance(moved, dict) or finish.read:
            return moved
        return {**moved, "device_saw": says.number((byte or "",))}

    def _scan(self, scan: Scan) -> str:
        """khugepaged exists where somebody asked for huge pages; elsewhere it has nothing to do."""
        if any(advice.advice == "hugepage" for advice in self._advice()):
            for _ in range(scan.ranges):
                self._post("khugepaged", ScanNext())
        return "ok"

    def _advice(self) -> Iterator[steps.Madvise]:
        for played in self.program.steps.values():
            yield from (step for step in played if isinstance(step, steps.Madvise))

    def _require(self, process: str) -> None:
        if process not in self._born:
            raise Unsupported(f"process {process} does not exist: its fork failed")

    def _step(self, process: str, number: int) -> str | None:
        actor = self.program.actors[process]
        step = self.program.steps[process][number] if number < len(self.program.steps[process]) else None
        if isinstance(step, steps.Migrate):
            self._check_migrate(actor, step)
        self._post(f"process/{actor}", RunStep(actor, number))
        return self._results.get((actor, number))

    def _check_migrate(self, actor: str, step: steps.Migrate) -> None:
        """What move_pages(2) does with such a page depends on flags that the vocabulary does not tell."""
        page = self._observe(ObservePage(f"{_HOST}/process/{actor}", step.map, step.page), PageSeen)
        if page.pfn >= 0 and self._seen[FrameSeen].maps > 1:
            raise Unsupported("migrate: of a page that several processes map")

    def _prepare(self) -> None:
        """The steps of the first process that come before the case's own."""
        first = next(iter(self.program.actors))
        begin = min(
            (action.first for action in self.program.actions if isinstance(action, Play) and action.process == first),
            default=len(self.program.steps[first]),
        )
        for number in range(begin):
            self._step(first, number)

    def _exit_all(self) -> None:
        for process in self.program.actors:
            if process in self._born and process not in self._gone:
                self._step(process, len(self.program.steps[process]))

    # Observations

    def _look(self, look: Look) -> Any:
        args = look.args
        if look.op in ("vmstat", "vmstat_wait"):
            return self._counts()
        self._require(look.process)
        process = f"{_HOST}/process/{self.program.actors[look.process]}"
        if look.op == "status":
            return looks.status(self._observe(ObserveTask(process), TaskSeen))
        if isinstance(args, v.MarkFlags):
            marked = self._observe(ObserveFrame(_HOST, self._mark(args.mark)), FrameSeen)
            return looks.flags(marked, args.flags)
        assert isinstance(args, (v.Place, v.PfnMark, v.PfnCmp, v.PageFlags))
        page = self._observe(ObservePage(process, args.map, args.page), PageSeen)
        if look.op == "pte":
            return page.state
        if look.op == "thp":
            return looks.huge(page)
        if isinstance(args, v.PfnCmp):
            return looks.compared(page, self._mark(args.mark))
        if page.pfn < 0:
            return looks.absent(page)
        if isinstance(args, v.PfnMark):
            self._marks[args.name] = page.pfn
            return "ok"
        frame: FrameSeen = self._seen[FrameSeen]
        if isinstance(args, v.PageFlags):
            return looks.flags(frame, args.flags)
        return looks.mapcount(frame)

    def _mark(self, name: str) -> int:
        if name not in self._marks:
            raise Unsupported(f"there was no page to mark as {name}")
        return self._marks[name]

    def _observe(self, message: Message, kind: type[T]) -> T:
        self._seen.pop(kind, None)
        self._post("observer", message)
        seen: T = self._seen[kind]
        return seen

    def _counts(self) -> dict[str, int]:
        now = self._vmstat()
        return {"acq": now[0] - self._start[0], "rel": now[1] - self._start[1]}

    def _vmstat(self) -> tuple[int, int]:
        counters = self._observe(Observe(f"{_HOST}/memmap", ()), VmstatSeen).counters
        return counters["nr_foll_pin_acquired"], counters["nr_foll_pin_released"]

    # The engine

    def _post(self, actor: str, message: Message) -> None:
        self.timed.post(f"{_HOST}/{actor}", message, self.timed.now)
        self._run()

    def _run(self) -> None:
        try:
            rested = self.timed.run(limit=_MOST_DELIVERIES)
        except (NoHandler, NoSuchActor) as error:
            raise Unsupported(str(error)) from error
        except EngineError as error:
            if isinstance(error.__cause__, NotImplementedError):
                raise Unsupported(str(error.__cause__)) from error
            raise ModelFailed(str(error)) from error
        if not rested:
            raise ModelFailed(f"still busy after {_MOST_DELIVERIES} messages")

    def _note(self, _: ActorPort, point: Tracepoint) -> None:
        if isinstance(point, StepEnd):
            self._results[point.thread, point.number] = point.result
        elif isinstance(point, (FrameSeen, PageSeen, TaskSeen, VmstatSeen)):
            self._seen[type(point)] = point


def _scenario(program: Program) -> Scenario:
    """The machine: two CPUs, an ext4 with the files of the case, 2 MiB huge pages, and every process at rest."""
    files = {name: File(pages=pages) for name, pages in program.files}
    return Scenario(
        title="a case of the kernel facts",
        machine=Machine(
            cpus=_CPUS,
            memory=program.frames,
            chunks=1,
            swap=program.swap,
            hugepages=_HUGE_POOL,
            memfds={name: Memfd(pages=pages) for name, pages in program.memfds},
            filesystems={
                "ext4": FileSystem(device="disk", files=files),
                **{f"fs-{hold}": FileSystem(device=f"disk-{hold}", files={hold: File()}) for hold in program.holds},
            },
            disks={
                "disk": Disk(blocks=program.blocks),
                **{f"disk-{hold}": Disk(served=True) for hold in program.holds},
            },
        ),
        threads={
            actor: Thread(
                process=actor,
                cpu=number % _CPUS,
                # Nobody starts by itself, a child at fork least of all.
                last=True,
                steps=(*program.steps[process], steps.Exit()),
            )
            for number, (process, actor) in enumerate(program.actors.items())
        },
    )
