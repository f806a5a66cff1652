"""A task that runs its threads, one step after the other."""

from __future__ import annotations

from errno import ECHILD
from typing import Final

from gupsim.actors.base import Entity, Field, Map, Port, WaitQueue, handles
from gupsim.actors.process.clients import Clients
from gupsim.actors.process.devices import Pinned
from gupsim.actors.process.space import Mapping
from gupsim.actors.process.spec import ProcessSpec
from gupsim.actors.process.wording import FATAL, OK, outcome, wording
from gupsim.actors.rules.rules import KernelRules
from gupsim.actors.rules.tables import TableSingleUser
from gupsim.protocol import steps
from gupsim.protocol.director import DIRECTOR, Seen, WaitFor
from gupsim.protocol.driver import ShareDevice
from gupsim.protocol.message import DONE, Done
from gupsim.protocol.mm import ExitMm, ForkMm, KillPending
from gupsim.protocol.process import (
    Exited,
    ForkProcess,
    ProcessExit,
    ProcessForked,
    RunGenerator,
    RunStep,
    RunThread,
    StepEnd,
    ThreadEnd,
    WaitForExit,
)
from gupsim.protocol.steps import AnyStep
from gupsim.protocol.units import nanoseconds

_USES_SPACE: Final = (
    steps.Mmap,
    steps.Munmap,
    steps.Mprotect,
    steps.Mremap,
    steps.Madvise,
    steps.Mincore,
    steps.Msync,
    steps.Store,
    steps.Load,
    steps.DirectIo,
    steps.Pin,
    steps.RegisterBuffers,
    steps.Vmsplice,
    steps.Fork,
    steps.Idle,
)
"""Steps before which the address space must be on the thread's CPU."""


class _Life(Entity):
    """Whether fork has made the process, whether it is ending or has ended; how many threads it has, and how many of
    them are within a step right now."""

    born = Field(False)
    exiting = Field(False)
    ended = Field(False)
    in_kernel = Field(0)
    threads = Field(0)


class Process(Clients):
    """One process of a scenario. A step is played by the method that has the step's word as its name.

    chunk: bytes that the CPU moves in one atomic step.
    """

    def __init__(self, address: str, port: Port, *, rules: KernelRules, spec: ProcessSpec, chunk: int) -> None:
        super().__init__(address, port, rules=rules, spec=spec, chunk=chunk)
        self.life = _Life(self, f"process {spec.name}")
        self.creators = {thread.begins for thread in spec.threads.values()}
        self.ended: Map[str, bool] = Map(self, "ended")
        """Labels of steps that have ended."""
        self._creation = WaitQueue(self, f"creation of a thread of {spec.name}")
        self._others_left = WaitQueue(self, f"other threads of {spec.name} to leave the kernel")
        self._exit = WaitQueue(self, f"exit of {spec.name}")

    @handles(RunThread)
    def run_thread(self, msg: RunThread) -> None:
        """Each thread is a kernel context, and everything that its system calls do is done in it."""
        if msg.thread not in self.spec.threads:
            raise LookupError(f"{self.address} has no thread {msg.thread!r}")
        if self.spec.parent and not self.life.born:
            return  # the fork failed or was never reached
        self.start(self._thread(msg.thread), f"{self.host}/{msg.thread}")

    @handles(RunGenerator)
    async def run_generator(self, msg: RunGenerator) -> None:
        """The clients of a generator are threads, too."""
        if msg.generator not in self.spec.generators:
            raise LookupError(f"{self.address} has no generator {msg.generator!r}")
        await self.run_clients(msg.generator, msg.until)

    @handles(ForkProcess)
    def fork_process(self, msg: ForkProcess) -> Done:
        """The child's side of fork: what dup_mm() and copy_files() leave it, then wake_up_new_task()."""
        self.life.born = True
        for name, address, pages in msg.maps:
            self.maps[name] = Mapping(address, pages)
        for name, holder, handle in msg.pins:
            self.pins[name] = Pinned(holder, handle)
        for name in msg.drivers:
            self.drivers[name] = True
        self.trace(ProcessForked(parent=msg.parent, child=self.spec.name, drivers=msg.drivers))
        for thread, spec in self.spec.threads.items():
            if not spec.last:
                self.start(self._thread(thread), f"{self.host}/{thread}")
        return DONE

    @handles(WaitForExit)
    async def wait_for_exit(self, msg: WaitForExit) -> Exited:
        """do_wait() of the parent: woken by exit_notify()."""
        if msg.parent != self.spec.parent or not self.life.born:
            return Exited(-ECHILD)
        while not self.life.ended:
            await self._exit.sleep()
        return Exited()

    @handles(RunStep)
    async def run_step(self, msg: RunStep) -> None:
        """One step, whatever came of those before it: the next one is for somebody outside to decide."""
        self.start(self._single(msg.thread, msg.number), f"{self.host}/{msg.thread}#{msg.number}")

    async def _single(self, thread: str, number: int) -> None:
        spec = self.spec.threads[thread]
        step = spec.steps[number]
        text = wording(step)
        self.begin_step(thread, number, text, self._bound(step))
        self._enter_kernel()
        result = await self._play(step, spec.cpu)
        self._leave_kernel()
        self.trace(StepEnd(thread, number, text, result))

    async def _thread(self, thread: str) -> None:
        spec = self.spec.threads[thread]
        while spec.begins and spec.begins not in self.ended:
            await self._creation.sleep()
        _Life.threads.add(self.life, 1)
        for number, step in enumerate(spec.steps):
            await self._cue(step)
            if self.life.exiting:
                break
            text = wording(step)
            self.begin_step(thread, number, text, self._bound(step))
            self._enter_kernel()
            result = await self._play(step, spec.cpu)
            self._leave_kernel()
            if self.spec.scripted and step.until and not isinstance(step, steps.DmaWrite | steps.DmaRead):
                await self.ask(DIRECTOR, WaitFor(step.until))
            self.trace(StepEnd(thread, number, text, result))
            if step.label:
                self._step_ended(step.label)
            if result in FATAL or isinstance(step, steps.Exit):
                break
        _Life.threads.add(self.life, -1)
        self.trace(ThreadEnd(thread))

    def _bound(self, step: steps.AnyStep) -> int:
        return nanoseconds(step.within) or (0 if isinstance(step, steps.Wait) else self.spec.within)

    def _step_ended(self, label: str) -> None:
        if label in self.creators:
            self.ended[label] = True
            self._creation.wake_all()
        if self.spec.scripted:
            self.send(DIRECTOR, Seen(label))

    def users(self) -> int:
        """mm_users: threads that have begun and not ended."""
        shortcut = self.rules.table_single_user is TableSingleUser.SHORTCUT
        return self.life.threads if shortcut else super().users()

    def _enter_kernel(self) -> None:
        _Life.in_kernel.add(self.life, 1)

    def _leave_kernel(self) -> None:
        _Life.in_kernel.add(self.life, -1)
        if self.life.exiting:
            self._others_left.wake_all()

    async def _cue(self, step: AnyStep) -> None:
        """What a script asks for before a step; a searched run leaves the threads to race."""
        if not self.spec.scripted:
            return
        if step.after:
            await self.ask(DIRECTOR, WaitFor(step.after))
        delay = nanoseconds(step.delay)
        if delay:
            await self.sleep(delay)

    async def _play(self, step: AnyStep, on: str) -> str:
        """Run one step on the CPU `on`; its result as people read it."""
        if isinstance(step, _USES_SPACE):
            await self.activate(on)
        until = step.until if self.spec.scripted else ()
        match step:
            case steps.Store():
                return await self.store(step, on)
            case steps.Load():
                return await self.load(step, on)
            case steps.Idle():
                return await self.idle(step, on)
            case steps.Pin():
                return await self.pin(step, on)
            case steps.DirectIo():
                return await self.direct_io(step, on)
            case steps.RegisterBuffers():
                return await self.register_buffers(step, on)
            case steps.Vmsplice():
                return await self.vmsplice(step, on)
            case steps.DmaWrite():
                return await self.dma_write(step, until)
            case steps.DmaRead():
                return await self.dma_read(step, until)
            case _:
                play = getattr(self, steps.word(step))
                return str(await play(step))

    async def wait(self, step: steps.Wait) -> str:
        """Let virtual time pass."""
        await self.sleep(nanoseconds(step.time))
        return OK

    async def signal(self, step: steps.Signal) -> str:
        """kill(2): the victim notices at its next look for a fatal signal."""
        await self.ask(self.mm, KillPending(step.process))
        return OK

    async def fork(self, step: steps.Fork) -> str:
        """copy_process(): dup_mm(), copy_files(), and the child may run."""
        name = self.spec.name
        copied = await self.ask(self.mm, ForkMm(name, step.child))
        if copied.error:
            return outcome(copied.error)
        for driver in self.drivers:
            await self.ask(self.at(driver), ShareDevice(name, step.child))
        await self.share_files(step.child)
        inherited = ForkProcess(
            name,
            tuple((key, mapping.address, mapping.pages) for key, mapping in self.maps.items()),
            tuple((key, pinned.driver, pinned.handle) for key, pinned in self.pins.items()),
            tuple(self.drivers),
        )
        await self.ask(self.at(f"process/{step.child}"), inherited)
        return OK

    async def waitpid(self, step: steps.Waitpid) -> str:
        """waitpid(2) for one child."""
        return outcome((await self.ask(self.at(f"process/{step.child}"), WaitForExit(self.spec.name))).error)

    async def exit(self, step: steps.Exit) -> str:
        """do_exit(): the other threads leave the kernel first; then exit_mm(), then exit_files(), which closes devices:
        pins outlive the address space for a moment; exit_notify() at last."""
        self.life.exiting = True
        while self.life.in_kernel > 1:
            await self._others_left.sleep()
        if self.life.born or len(self.active):
            await self.ask(self.mm, ExitMm(self.spec.name))
        await self.exit_files()
        self.trace(ProcessExit(self.spec.name))
        self.life.ended = True
        self._exit.wake_all()
        return OK
