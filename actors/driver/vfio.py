"""VFIO: memory of a guest, or of a program, mapped for a device as a whole (drivers/vfio/vfio_iommu_type1.c)."""

from __future__ import annotations

from gupsim.actors.driver.driver import Driver, Registration
from gupsim.actors.rules.pins import DriverCall, VfioZeroPage
from gupsim.protocol.driver import PinBuffer, Pinned, Registered
from gupsim.protocol.gup import LookUpPfn
from gupsim.protocol.memmap import ZERO_PFN, ChangeFlags, Page, PutRefs, ReadFlags, UnpinRefs
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll, GetUserPages
from gupsim.protocol.pages import Pages


class Vfio(Driver):
    """It pins for a long time, page by page; where that is refused it looks frames of VM_PFNMAP memory up, without a
    reference; and it gives back nothing that is reserved (put_pfn()). A map that fails in the middle fails as a whole.
    """

    async def pin_buffer(self, msg: PinBuffer) -> Pinned:
        """vfio_pin_map_dma()."""
        handle = self._next("handle")
        write = bool(msg.flags & Foll.WRITE)
        pins = self.rules.driver_call is DriverCall.PIN
        pfns: list[int] = []
        error = 0
        while len(pfns) < msg.nr and not error:
            pfn, error = await self._vaddr_get_pfn(msg, msg.address + len(pfns) * PAGE_SIZE, handle, pins=pins)
            if not error:
                pfns.append(pfn)
        registration = Registration(handle, msg.owner, Pages.of(pfns), pins, write)
        if error:
            for pfn in pfns:
                await self.give_back(registration, pfn, 1, unpin=pins, dirty=False)
            return Pinned(0, error)
        self.registrations[handle] = registration
        self.trace(Registered(self.name, handle, msg.owner, registration.pfns, pins, write))
        return Pinned(handle, len(pfns))

    async def _vaddr_get_pfn(self, msg: PinBuffer, address: int, handle: int, *, pins: bool) -> tuple[int, int]:
        """vaddr_get_pfns(): a frame, or a negative errno."""
        flags = Foll.LONGTERM | (Foll.PIN if pins else Foll.GET) | (msg.flags & Foll.WRITE)
        call = GetUserPages(msg.mm, address, 1, int(flags), self._holder(handle), remote=pins)
        got = await self.ask(self.at("mm"), call)
        if got.result == 1:
            pfn = got.pfns[0]
            if pfn == ZERO_PFN and pins and self.rules.vfio_zero_page is VfioZeroPage.UNPINNED:
                await self.ask(self.memmap, UnpinRefs(pfn, 1, self._holder(handle)))
            return pfn, 0
        seen = await self.ask(self.at("mm"), LookUpPfn(msg.mm, address, bool(msg.flags & Foll.WRITE)))
        if seen.error or not await self._is_reserved(seen.pfn):
            return -1, got.result
        return seen.pfn, 0

    async def give_back(self, registration: Registration, pfn: int, count: int, *, unpin: bool, dirty: bool) -> None:
        """put_pfn(): dirty if the device could write, whatever it did."""
        if await self._is_reserved(pfn):
            return
        if registration.pins:
            if registration.write and not await self._is_dirty(pfn):
                await self._set_page_dirty_lock(pfn)
            await self.ask(self.memmap, UnpinRefs(pfn, count, self._holder(registration.handle)))
            return
        if registration.write:
            # SetPageDirty() alone, until 5.5: no tag, no buffers (S06).
            await self.ask(self.memmap, ChangeFlags(pfn, set=Page.DIRTY))
        await self.ask(self.memmap, PutRefs(pfn, 1, "gup", self._holder(registration.handle), pages=count))

    async def _is_reserved(self, pfn: int) -> bool:
        """is_invalid_reserved_pfn()."""
        return bool((await self.ask(self.memmap, ReadFlags(pfn, Page.RESERVED))).flags)
