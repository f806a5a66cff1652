"""A task that runs its threads, one step after the other."""

from __future__ import annotations

from typing import Final

from actors.base import Entity, Field, Map, Port, WaitQueue, handles
from actors.process.clients import Clients
from actors.process.spec import ProcessSpec
from actors.process.wording import FATAL, OK, wording
from actors.rules.rules import KernelRules
from protocol import steps
from protocol.director import DIRECTOR, Seen, WaitFor
from protocol.driver import CloseDevice
from protocol.mm import ExitMm, KillPending
from protocol.process import ProcessExit, RunGenerator, RunThread, StepBegin, StepEnd, ThreadEnd
from protocol.steps import AnyStep
from protocol.units import nanoseconds

_USES_SPACE: Final = (
    steps.Mmap,
    steps.Munmap,
    steps.Mprotect,
    steps.Madvise,
    steps.Store,
    steps.Load,
    steps.DirectIo,
    steps.Pin,
)
"""Steps before which the address space must be on the thread's CPU."""


class _Life(Entity):
    """Whether the process is ending, and how many of its threads are within a step at this moment."""

    exiting = Field(False)
    in_kernel = Field(0)


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

    @handles(RunThread)
    def run_thread(self, msg: RunThread) -> None:
        """Each thread is a kernel context, and everything that its system calls do is done in it."""
        if msg.thread not in self.spec.threads:
            raise LookupError(f"{self.address} has no thread {msg.thread!r}")
        self.start(self._thread(msg.thread), f"{self.host}/{msg.thread}")

    @handles(RunGenerator)
    async def run_generator(self, msg: RunGenerator) -> None:
        """The clients of a generator are threads, too."""
        if msg.generator not in self.spec.generators:
            raise LookupError(f"{self.address} has no generator {msg.generator!r}")
        await self.run_clients(msg.generator, msg.until)

    async def _thread(self, thread: str) -> None:
        spec = self.spec.threads[thread]
        while spec.begins and spec.begins not in self.ended:
            await self._creation.sleep()
        for number, step in enumerate(spec.steps):
            await self._cue(step)
            if self.life.exiting:
                break
            text = wording(step)
            self.trace(StepBegin(thread, number, text))
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
        self.trace(ThreadEnd(thread))

    def _step_ended(self, label: str) -> None:
        if label in self.creators:
            self.ended[label] = True
            self._creation.wake_all()
        if self.spec.scripted:
            self.send(DIRECTOR, Seen(label))

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
            case steps.Pin():
                return await self.pin(step, on)
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

    async def exit(self, step: steps.Exit) -> str:
        """do_exit(): the other threads leave the kernel first; then exit_mm(), then exit_files(), which closes devices:
        pins outlive the address space for a moment."""
        self.life.exiting = True
        while self.life.in_kernel > 1:
            await self._others_left.sleep()
        if len(self.active):
            await self.ask(self.mm, ExitMm(self.spec.name))
        for name in self.drivers:
            await self.ask(self.at(name), CloseDevice(self.spec.name))
        self.trace(ProcessExit(self.spec.name))
        return OK
