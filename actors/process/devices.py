"""ioctls on devices: pin user memory, let the device work on it, give it back."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Final

import msgspec

from gupsim.actors.base import Fifo, Map, Port
from gupsim.actors.process.files import FileCalls
from gupsim.actors.process.spec import ProcessSpec
from gupsim.actors.process.wording import NO_SUCH_MAP, NO_SUCH_PIN, outcome
from gupsim.actors.rules.rules import KernelRules
from gupsim.protocol import driver, steps
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll

_FLAGS: Final[dict[str, Foll]] = {
    "write": Foll.WRITE,
    "longterm": Foll.LONGTERM,
    "force": Foll.FORCE,
    "get": Foll.GET,
    "pin": Foll.PIN,
    "nofault": Foll.NOFAULT,
    "fast_only": Foll.FAST_ONLY,
}


class Pinned(msgspec.Struct, frozen=True):
    """A registration with a name: the driver that made it, and its handle there."""

    driver: str
    handle: int


class DeviceCalls(FileCalls):
    """What a program asks of drivers. A name that an earlier step failed to make gives "no-such-pin"."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules, spec: ProcessSpec, chunk: int) -> None:
        super().__init__(address, port, rules=rules, spec=spec, chunk=chunk)
        self.pins: Map[str, Pinned] = Map(self, "pin")
        self.drivers: Fifo[str, bool] = Fifo(self, "open_device")
        """Drivers that may hold something of ours; closed when the process ends."""

    async def pin(self, step: steps.Pin, on: str) -> str:
        """Pages pinned: fewer than asked is no error; or an errno."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        address = mapping.address + step.page * PAGE_SIZE
        pinned, result = await self.register(step.device, address, step.pages, step.flags, on, times=step.times)
        if pinned is None:
            self.pins.pop(step.name)
        else:
            self.pins[step.name] = pinned
        return outcome(result, number=True)

    async def dma_write(self, step: steps.DmaWrite, until: tuple[str, ...]) -> str:
        """The device writes; the last chunk moves only when the script has seen `until`."""
        start = driver.StartDma(0, step.page, step.offset, step.length, True, step.value, until)
        result = await self._start(step.pin, start)
        return result if isinstance(result, str) else outcome(result.error)

    async def dma_read(self, step: steps.DmaRead, until: tuple[str, ...]) -> str:
        """The device reads; the first byte that it saw."""
        start = driver.StartDma(0, step.page, step.offset, step.length, False, 0, until)
        result = await self._start(step.pin, start)
        return result if isinstance(result, str) else outcome(result.error or result.first, number=True)

    async def set_dirty(self, step: steps.SetDirty) -> str:
        """The driver marks the pages dirty."""
        pinned = self.pins.get(step.pin)
        if pinned is None:
            return NO_SUCH_PIN
        status = await self.ask(self.at(pinned.driver), driver.DirtyPages(pinned.handle, step.how))
        return outcome(status.error)

    async def unpin(self, step: steps.Unpin) -> str:
        """The driver gives the pages back; the name is gone at once."""
        pinned = self.pins.pop(step.pin)
        if pinned is None:
            return NO_SUCH_PIN
        return outcome(await self.release(pinned, step.how, dirty=step.dirty, pages=step.pages))

    async def register(
        self, device: str, address: int, pages: int, flags: tuple[steps.PinFlag, ...], on: str, *, times: int = 1
    ) -> tuple[Pinned | None, int]:
        """The registration, if any, with the number of pages or a negative errno."""
        name = self.spec.devices[device]
        bits = reduce(or_, (_FLAGS[flag] for flag in flags if flag in _FLAGS), Foll(0))
        fast = "fast" in flags or "fast_only" in flags
        self.drivers[name] = True
        remote, owner = "remote" in flags, self.spec.name
        request = driver.PinBuffer(owner, address, pages, int(bits), fast, remote, self.at(on), owner, times)
        answer = await self.ask(self.at(name), request)
        return (Pinned(name, answer.handle) if answer.handle else None), answer.result

    async def release(self, pinned: Pinned, how: str, *, dirty: bool, pages: int | None = None) -> int:
        """0 or a negative errno."""
        request = driver.ReleaseBuffer(pinned.handle, dirty, how, pages)
        status = await self.ask(self.at(pinned.driver), request)
        return status.error

    async def _start(self, name: str, start: driver.StartDma) -> driver.DmaResult | str:
        pinned = self.pins.get(name)
        if pinned is None:
            return NO_SUCH_PIN
        return await self.ask(self.at(pinned.driver), msgspec.structs.replace(start, handle=pinned.handle))
